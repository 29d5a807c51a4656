# SPDX-License-Identifier: Apache-2.0
"""How one parameter of the node is declared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor

OFF = "off"


@dataclass(frozen=True)
class Spec:
    """Default, meaning and limits: `choices` for strings, `range` (both ends included) for numbers."""

    default: Any
    description: str
    choices: tuple[str, ...] = ()
    range: tuple[float, float] | None = None

    def descriptor(self) -> ParameterDescriptor:
        """For `declare_parameter`; rclpy enforces the range."""
        descriptor = ParameterDescriptor(description=self.description)
        if self.choices:
            descriptor.additional_constraints = f"one of: {', '.join(self.choices)}"
            # YAML 1.1, which ROS reads values as, takes an unquoted off for a boolean.
            descriptor.dynamic_typing = OFF in self.choices
        if self.range and isinstance(self.default, int):
            low, high = (int(end) for end in self.range)
            descriptor.integer_range = [IntegerRange(from_value=low, to_value=high, step=1)]
        elif self.range:
            descriptor.floating_point_range = [FloatingPointRange(from_value=self.range[0], to_value=self.range[1])]
        return descriptor

    def meant(self, value: Any) -> Any:
        """The value that was written: `off` where YAML made a boolean of it."""
        return OFF if value is False and OFF in self.choices else value
