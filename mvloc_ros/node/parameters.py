# SPDX-License-Identifier: Apache-2.0
"""The node's parameters: one table that declares them, and the frozen values that a run uses.

`config/mvloc.yaml` lists the same parameters with the same defaults; a test compares the two.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

from rcl_interfaces.msg import SetParametersResult
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node
from rclpy.parameter import Parameter

from mvloc_ros.errors import MvlocError
from mvloc_ros.foreign_text import shown
from mvloc_ros.inference.backend import BACKENDS
from mvloc_ros.inference.precision import PRECISIONS
from mvloc_ros.node.frame_parameters import FRAME_SPECS, FrameParameters
from mvloc_ros.node.input_parameters import INPUT_SPECS, InputParameters
from mvloc_ros.node.parameter_spec import Spec
from mvloc_ros.node.refinement_parameters import REFINEMENT_SPECS, RefinementParameters


class ParameterError(MvlocError):
    """A parameter has a value that the node cannot use."""


@dataclass(frozen=True)
class NodeParameters(FrameParameters, InputParameters, RefinementParameters):
    """The values of one configuration, by the names of the ROS parameters."""

    model: str
    backend: str
    threads: int
    precision: str
    engine_cache: str
    autostart: bool
    status_period: float
    starvation_timeout: float


SPECS: dict[str, Spec] = {
    "model": Spec("", "Folder of the model bundle, as written by `mvloc export`."),
    "backend": Spec("auto", "What runs the network; auto takes the best that works here.", choices=BACKENDS),
    "threads": Spec(0, "CPU threads of the backend; 0 takes one per available core.", range=(0, 256)),
    "precision": Spec("auto", "Arithmetic of the network; auto takes fp16 on GPUs if the model has it.", PRECISIONS),
    "engine_cache": Spec("", "Folder of TensorRT's engines; empty takes ~/.cache/mvloc_ros/engines."),
    "autostart": Spec(True, "Configure and activate at start, without a lifecycle manager."),
    "status_period": Spec(
        1.0, "Seconds between diagnostics, and between status messages while no frame is processed.", range=(0.1, 60.0)
    ),
    "starvation_timeout": Spec(
        2.0,
        "Seconds without a pair of images after which the node says which topic is silent, and why.",
        range=(0.2, 60.0),
    ),
    **INPUT_SPECS,
    **FRAME_SPECS,
    **REFINEMENT_SPECS,
}


def declare(node: Node) -> None:
    """Declare every parameter with its description, range and default.

    Raises:
        ParameterError: the value that was given at the start has the wrong type or is outside of its range.
    """
    for name, spec in SPECS.items():
        try:
            node.declare_parameter(name, spec.default, spec.descriptor())
        except (InvalidParameterTypeException, InvalidParameterValueException) as error:
            raise ParameterError(_explain(name, spec, error)) from None


def _explain(name: str, spec: Spec, error: Exception) -> str:
    kind = {bool: "true or false", int: "a whole number", float: "a number with a decimal point", str: "a text"}
    expected = kind[type(spec.default)]
    if spec.range:
        expected += f" from {spec.range[0]:g} to {spec.range[1]:g}"
    given = re.search(r"value \((.*?)\)|to '(.*?)' of type", str(error))
    value = "what was given" if given is None else given[1] or given[2]
    return f"The parameter {name} must be {expected} (default: {spec.default!r}), not {shown(value)}."


def read(node: Node) -> NodeParameters:
    """The values as they stand now. Raises ParameterError where one cannot be used."""
    names = [field.name for field in fields(NodeParameters)]
    values = {name: SPECS[name].meant(node.get_parameter(name).value) for name in names}
    for name, value in values.items():
        fault = _fault_of(name, value)
        if fault:
            raise ParameterError(fault)
    return NodeParameters(**values)


def check_change(parameters: Iterable[Parameter], configured: bool) -> SetParametersResult:
    """Accept or refuse a change at run time, with the reason.

    All of ours but the model are read when the node is configured, so a change while it is would be a lie.
    """
    for parameter in parameters:
        if parameter.name not in SPECS:
            continue  # use_sim_time and the like are rclpy's
        reason = _fault_of(parameter.name, parameter.value)
        if configured and parameter.name != "model":
            reason = f"{parameter.name} is read at configure: deactivate, clean up, set it, configure again."
        if reason:
            return SetParametersResult(successful=False, reason=reason)
    return SetParametersResult(successful=True)


def _fault_of(name: str, value: Any) -> str:
    """Why a value cannot be used although rclpy lets it pass, in words."""
    choices = SPECS[name].choices
    if choices and SPECS[name].meant(value) not in choices:
        return f"The parameter {name} must be one of {', '.join(choices)}, not {shown(repr(value))}."
    if isinstance(value, float) and not math.isfinite(value):
        return f"The parameter {name} must be a finite number, not {value}."
    return ""
