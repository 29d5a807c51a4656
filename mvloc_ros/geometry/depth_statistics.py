# SPDX-License-Identifier: Apache-2.0
"""The range of depth measurements, and whether the assumed unit is plausible.

A depth image does not state its unit. A wrong unit shows in implausible distances: rooms are a few metres large.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

UNITS_M = {
    "metres": 1.0,
    "millimetres": 1e-3,
    "tenths of a millimetre": 1e-4,
    "1/5000 m, as in TUM RGB-D": 1.0 / 5000.0,
    "1/256 m, as of LIDARs": 1.0 / 256.0,
}
"""Units that depth is stored in, in metres."""
_USUAL_M, _MOST_USUAL_M = (0.5, 8.0), 2.0
"""Usual medians of depth in rooms, and the preferred one for a guess."""
_STEP = 8


@dataclass(frozen=True)
class DepthStatistics:
    """Of a sample of depth pixels.

    Attributes:
        pixels, measured: how many there are, and how many of them have a measurement.
        median_m: of the measurements; NaN without any.
        inside: share of the measurements that lie within the range which was asked for; 0 without any.
    """

    pixels: int
    measured: int
    median_m: float
    inside: float

    def text(self) -> str:
        """For the user."""
        if not self.measured:
            return "no pixel is measured" if self.pixels else "no depth image was read"
        return f"median {self.median_m:.3g} m, {self.measured / self.pixels:.0%} of the pixels measured"


class DepthTally:
    """Collects a sample of depth maps in metres."""

    def __init__(self, near_m: float, far_m: float) -> None:
        """Take the range that counts."""
        self._near_m, self._far_m = near_m, far_m
        self._pixels = 0
        self._measured: list[NDArray[np.float32]] = []

    def add(self, metres: ArrayLike, step: int = _STEP) -> None:
        """Take every `step`-th row and column of a map `[H, W]`; all of it where those have no measurement."""
        values = np.asarray(metres, dtype=np.float32)
        sample = values[step // 2 :: step, step // 2 :: step]
        if min(values.shape) > 4 * step and (sample > 0.0).any():  # a sample may miss all points of a LIDAR
            values = sample
        self._pixels += values.size
        self._measured.append(values[np.isfinite(values) & (values > 0.0)])

    def result(self) -> DepthStatistics:
        """What was collected."""
        measured = np.concatenate([np.zeros(0, np.float32), *self._measured])
        if not measured.size:
            return DepthStatistics(self._pixels, 0, math.nan, 0.0)
        inside = np.mean((measured >= self._near_m) & (measured <= self._far_m))
        return DepthStatistics(self._pixels, int(measured.size), float(np.median(measured)), float(inside))


def likely_unit(median_m: float, unit_m: float) -> tuple[str, float] | None:
    """Name and metres of the unit in which a median, read in units of `unit_m`, would be plausible; None if none is."""
    if not (math.isfinite(median_m) and median_m > 0.0):
        return None
    fitting = [
        (abs(math.log(median_m / unit_m * other / _MOST_USUAL_M)), name, other)
        for name, other in UNITS_M.items()
        if abs(other / unit_m - 1.0) > 0.01 and _USUAL_M[0] <= median_m / unit_m * other <= _USUAL_M[1]
    ]
    return min(fitting)[1:] if fitting else None


def unit_hint(median_m: float, unit_m: float) -> str:
    """`the values look like millimetres (0.001 m), in which the median would be 1.5 m`; empty without a guess."""
    guess = likely_unit(median_m, unit_m)
    if guess is None:
        return ""
    name, other = guess
    return f"the values look like {name} ({other:g} m), in which the median would be {median_m / unit_m * other:.3g} m"


def unusual(median_m: float, unit_m: float) -> str:
    """A sentence where a depth camera's median is implausible and would be plausible in another unit; else empty."""
    hint = "" if _USUAL_M[0] <= median_m <= _USUAL_M[1] else unit_hint(median_m, unit_m)
    return f"a median depth of {median_m:.3g} m is unusual for a depth camera; {hint}" if hint else ""
