# SPDX-License-Identifier: Apache-2.0
"""What a kind of hostile inputs is: it makes one from a seed, in a folder, and gives it to the readers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from mvloc_ros.geometry import se3


class SenselessError(AssertionError):
    """A reader accepted its input and answered with numbers that cannot be: the fault that nobody would notice."""


@dataclass(frozen=True)
class Input:
    """One hostile input.

    Attributes:
        what: how it differs from a valid one, in words.
        feed: gives it to the readers; raises what they raise, and SenselessError for an answer that cannot be.
        must_refuse: the rule that it breaks, in words: to accept it is a fault. Empty where accepting may be right.
    """

    what: str
    feed: Callable[[], None]
    must_refuse: str = ""


class Kind(Protocol):
    """Inputs of one sort; made once for each process, with valid inputs that it may keep."""

    def plain(self, folder: Path) -> list[Input]:
        """The valid inputs that are mutated, written into `folder`; all of them must be accepted."""

    def make(self, random: Random, folder: Path) -> Input:
        """A hostile input, written into `folder`, which is empty and is kept where the input finds a fault."""


def require(condition: object, what: str) -> None:
    """Raise SenselessError with `what` was accepted unless the condition holds."""
    if not condition:
        raise SenselessError(what)


def require_finite(what: str, *values: ArrayLike) -> None:
    """Raise SenselessError if a number is not finite."""
    try:
        finite = all(np.isfinite(np.asarray(value, dtype=np.float64)).all() for value in values)
    except (TypeError, ValueError):
        raise SenselessError(f"{what} is no number") from None
    require(finite, f"{what} is not finite")


def require_rigid(what: str, T: ArrayLike) -> None:
    """Raise SenselessError if a 4x4 matrix is no rigid transform."""
    require_finite(what, T)
    require(se3.is_rigid(np.asarray(T), tolerance=1e-3), f"{what} is no rigid transform")


def require_covariance(what: str, matrix: ArrayLike) -> None:
    """Raise SenselessError if a 6x6 matrix is not symmetric, or has a negative variance."""
    C = np.asarray(matrix, dtype=np.float64)
    require_finite(what, C)
    require((np.diag(C) >= 0.0).all(), f"{what} has a negative variance")
    require(np.allclose(C, C.T, rtol=1e-6, atol=1e-12), f"{what} is not symmetric")
