# SPDX-License-Identifier: Apache-2.0
"""How one parameter is declared: as a field of a frozen dataclass that carries all that is to be said of it.

`pair_tolerance: float = parameter(0.02, "largest difference ...", unit="s", range=(0.0, 1.0))`
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any, Literal

OFF = "off"
Changes = Literal["start", "configure", "running"]


def parameter(
    default: bool | int | float | str,
    text: str,
    *,
    unit: str = "",
    range: tuple[float, float] | None = None,
    choices: tuple[str, ...] = (),
    changes: Changes = "configure",
) -> Any:
    """A field of a group of parameters; its name is the ROS parameter's, its type that of the default.

    Args:
        default: the value where none is given.
        text: the meaning, for `ros2 param describe`, config/mvloc.yaml and docs/node.md; without unit, range and full
            stop.
        unit: of the number.
        range: of the number, both ends included.
        choices: what a text may be.
        changes: when a change is taken up: at the start of the process only, at the next configure, or at once.
    """
    metadata = {"text": text, "unit": unit, "range": range, "choices": choices, "changes": changes}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Declaration:
    """What `parameter` was told, with the name of the field."""

    name: str
    default: Any
    text: str
    unit: str
    range: tuple[float, float] | None
    choices: tuple[str, ...]
    changes: Changes

    @property
    def takes_boolean(self) -> bool:
        """Whether `off` is a choice: YAML 1.1, by which ROS reads values, takes an unquoted off for a boolean."""
        return OFF in self.choices

    def meant(self, value: Any) -> Any:
        """The value that was written: `off` where YAML made a boolean of it."""
        return OFF if value is False and self.takes_boolean else value

    def limits(self) -> str:
        """Range or choices in words: `0 to 1`, `raw, compressed`; empty where there are none."""
        if self.range is not None:
            return f"{number(self.range[0])} to {number(self.range[1])}"
        return ", ".join(self.choices)


def declarations(group: type) -> Iterator[Declaration]:
    """The parameters of a group, in the order of its fields."""
    return (Declaration(item.name, item.default, **item.metadata) for item in fields(group))


def number(value: float) -> str:
    """A number without trailing zeros: `0.02`, `45`, `1e6`."""
    return f"{value:g}".replace("e+0", "e")
