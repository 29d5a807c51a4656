# SPDX-License-Identifier: Apache-2.0
"""How well depth that is projected from frame to frame by their poses agrees with the depth measured there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry import se3
from mvloc_ros.geometry.projection import transform_points
from mvloc_ros.recordings.agreement.depth_views import DepthView

Array = NDArray[np.float64]

TOLERANCE = 0.05
"""Relative difference of two depths that agree: several times the noise of a depth camera at any usable range.

Relative alone, so that the result does not depend on the unit in which poses and depth agree."""


@dataclass(frozen=True, eq=False)
class Counts:
    """Of each pair of frames, both ways: points that agree, and that lie in front of or behind what was measured.

    A point in front of it contradicts the measurement, which saw through it; one behind may be hidden. Arrays are
    int64 `[pairs]`; `carried` is how many points were carried at all.
    """

    agree: NDArray[np.int64]
    front: NDArray[np.int64]
    behind: NDArray[np.int64]
    carried: NDArray[np.int64]


def compare(pairs: Sequence[tuple[DepthView, DepthView]], T_first_second: Array) -> Counts:
    """Carry the points of each frame of a pair into the other; poses `[pairs, 4, 4]`, NaN for no pose."""
    counts = np.zeros((len(pairs), 4), dtype=np.int64)
    for i, ((first, second), T) in enumerate(zip(pairs, T_first_second, strict=True)):
        if np.isfinite(T).all():
            counts[i] = _one_way(second, first, T) + _one_way(first, second, se3.inverse(T))
    return Counts(*counts.T)


def _one_way(source: DepthView, target: DepthView, T_target_source: Array) -> NDArray[np.int64]:
    points = transform_points(T_target_source, source.points)
    hit, measured = target.measured_at(points)
    difference = (points[hit, 2] - measured[hit]) / measured[hit]
    agree = int(np.sum(np.abs(difference) <= TOLERANCE))
    front = int(np.sum(difference < -TOLERANCE))
    return np.array([agree, front, len(difference) - agree - front, len(points)])
