# SPDX-License-Identifier: Apache-2.0
"""What whoever needs the robot's transforms asks for, whether TF answers or a recording."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Found:
    """`T_target_source` at a stamp, or why it is not known.

    Attributes:
        T: float64 4x4, or None.
        connected: whether there is a chain of transforms between the two frames at any time.
        reason: why there is no transform, in words; empty where there is one.
    """

    T: NDArray[np.float64] | None
    connected: bool
    reason: str


class TransformLookup(Protocol):
    """The robot's transforms."""

    def lookup(self, target: str, source: str, stamp_ns: int, wait: bool = True) -> Found:
        """`T_target_source` at a stamp; with `wait` it may wait for a transform that is on its way."""
        ...

    def forget(self) -> None:
        """Drop what moved, after a jump back of the clock."""
        ...
