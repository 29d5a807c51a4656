# SPDX-License-Identifier: Apache-2.0
"""The parameters of `mvloc_ros.parameters` as ROS parameters: declared, read, and changed."""

from __future__ import annotations

import re
from collections.abc import Iterable

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node
from rclpy.parameter import Parameter

from mvloc_ros.limits import MOST_NAMED
from mvloc_ros.parameters.checks import fault_of, out_of_bounds
from mvloc_ros.parameters.declaration import Declaration
from mvloc_ros.parameters.errors import ParameterError
from mvloc_ros.parameters.table import TABLE, NodeParameters, is_common, unknown


def declare(node: Node) -> None:
    """Declare every parameter with its description, range and default.

    Raises:
        ParameterError: the value that was given at the start has the wrong type or is outside of its range, or it is
            read at the start only and is none of the choices.
    """
    for name, declaration in TABLE.items():
        try:
            node.declare_parameter(name, declaration.default, descriptor(declaration))
        except (InvalidParameterTypeException, InvalidParameterValueException) as error:
            raise ParameterError(out_of_bounds(declaration, _given(error))) from None
        if declaration.changes == "start" and (fault := fault_of(declaration, node.get_parameter(name).value)):
            raise ParameterError(fault)


def ignored(node: Node) -> list[str]:
    """A sentence for each of the first values that were given at the start for parameters that there are not.

    rclpy ignores them without a word, and has no public way to ask for them.
    """
    given = getattr(node, "_parameter_overrides", {})
    names = sorted(name for name in given if name not in TABLE and not is_common(name))
    return [unknown(name) for name in names[:MOST_NAMED]]


def descriptor(declaration: Declaration) -> ParameterDescriptor:
    """For `declare_parameter`; rclpy enforces type and range."""
    unit = f" [{declaration.unit}]" if declaration.unit else ""
    described = ParameterDescriptor(
        description=f"{declaration.text[0].upper()}{declaration.text[1:]}{unit}.",
        read_only=declaration.changes == "start",
        dynamic_typing=declaration.takes_boolean,
    )
    if declaration.choices:
        described.additional_constraints = f"one of: {declaration.limits()}"
    if declaration.range is not None:
        low, high = declaration.range
        if isinstance(declaration.default, int):
            described.integer_range = [IntegerRange(from_value=int(low), to_value=int(high), step=1)]
        else:
            described.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
    return described


def _given(error: Exception) -> str:
    """The value that rclpy refused, which only its sentence has."""
    given = re.search(r"value \((.*?)\)|to '(.*?)' of type", str(error))
    return "what was given" if given is None else given[1] or given[2]


def read(node: Node) -> NodeParameters:
    """The values as they stand now. Raises ParameterError where one cannot be used."""
    return NodeParameters().having({name: node.get_parameter(name).value for name in TABLE})


def check_change(parameters: Iterable[Parameter], configured: bool) -> SetParametersResult:
    """Accept or refuse a change at run time, with the reason.

    What is read when the node is configured is refused while it is, as it would change nothing until the next time.
    """
    for parameter in parameters:
        declaration = TABLE.get(parameter.name)
        if declaration is None:
            continue  # use_sim_time and the like are rclpy's
        reason = fault_of(declaration, parameter.value)
        if configured and declaration.changes == "configure":
            reason = f"{parameter.name} is read at configure: deactivate, clean up, set it, configure again."
        if reason:
            return SetParametersResult(successful=False, reason=reason)
    return SetParametersResult(successful=True)
