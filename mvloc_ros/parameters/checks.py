# SPDX-License-Identifier: Apache-2.0
"""Whether a value can be used for a parameter, and if not, why."""

from __future__ import annotations

import math
from typing import Any

from mvloc_ros.foreign_text import shown
from mvloc_ros.parameters.declaration import Declaration

_KINDS = {bool: "true or false", int: "a whole number", float: "a number with a decimal point", str: "a text"}


def fault_of(declaration: Declaration, value: Any) -> str:
    """Why a value cannot be used, in one sentence; empty if it can. `off` may come as YAML's false.

    Types are those of ROS: a whole number is no number with a decimal point.
    """
    name, choices = declaration.name, declaration.choices
    if type(value) is not type(declaration.default) and not declaration.takes_boolean:
        return out_of_bounds(declaration, str(value))
    if choices and declaration.meant(value) not in choices:
        return f"The parameter {name} must be one of {', '.join(choices)}, not {shown(repr(value))}."
    if declaration.range and not declaration.range[0] <= value <= declaration.range[1]:
        return out_of_bounds(declaration, str(value))
    if isinstance(value, float) and not math.isfinite(value):
        return f"The parameter {name} must be a finite number, not {value}."
    return ""


def out_of_bounds(declaration: Declaration, given: str) -> str:
    """The sentence for a value of the wrong type or outside of the range, which reads `given`."""
    expected = _KINDS[type(declaration.default)]
    if declaration.range:
        expected += f" from {declaration.limits()}"
    return (
        f"The parameter {declaration.name} must be {expected} (default: {declaration.default!r}), not {shown(given)}."
    )
