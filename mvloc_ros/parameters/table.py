# SPDX-License-Identifier: Apache-2.0
"""All parameters of the node: the declarations by name, and the values of one configuration."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from mvloc_ros.foreign_text import shown
from mvloc_ros.parameters.checks import fault_of
from mvloc_ros.parameters.declaration import Declaration, declarations
from mvloc_ros.parameters.errors import ParameterError
from mvloc_ros.parameters.frames import FrameParameters
from mvloc_ros.parameters.gate import GateParameters
from mvloc_ros.parameters.inputs import InputParameters
from mvloc_ros.parameters.model import ModelParameters
from mvloc_ros.parameters.nav2 import Nav2Parameters
from mvloc_ros.parameters.refinement import RefinementParameters
from mvloc_ros.parameters.reports import ReportParameters

GROUPS: dict[str, type] = {
    "Model and start": ModelParameters,
    "Inputs": InputParameters,
    "Frames, transforms and time": FrameParameters,
    "Gate": GateParameters,
    "Refinement": RefinementParameters,
    "In AMCL's place": Nav2Parameters,
    "Status and diagnostics": ReportParameters,
}
TABLE: dict[str, Declaration] = {item.name: item for group in GROUPS.values() for item in declarations(group)}


@dataclass(frozen=True)
class NodeParameters(
    ModelParameters,
    InputParameters,
    FrameParameters,
    GateParameters,
    RefinementParameters,
    Nav2Parameters,
    ReportParameters,
):
    """The values of one configuration, by the names of the ROS parameters; without arguments, the defaults."""

    def having(self, values: Mapping[str, Any]) -> NodeParameters:
        """A copy with some values replaced, by name; `off` may come as YAML's false.

        Raises:
            ParameterError: a name is unknown, or a value cannot be used.
        """
        for name, value in values.items():
            fault = fault_of(TABLE[name], value) if name in TABLE else unknown(name)
            if fault:
                raise ParameterError(fault)
        return replace(self, **{name: TABLE[name].meant(value) for name, value in values.items()})


def is_common(name: str) -> bool:
    """Whether a name is one of those that rclpy gives every node."""
    return name in ("use_sim_time", "start_type_description_service") or name.startswith("qos_overrides.")


def unknown(name: str) -> str:
    """The sentence for a name that no parameter has."""
    nearest = difflib.get_close_matches(name, TABLE, n=1, cutoff=0.0)[0]
    return f"The node has no parameter {shown(name)}; the nearest name is {nearest}, and config/mvloc.yaml lists all."
