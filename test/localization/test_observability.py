# SPDX-License-Identifier: Apache-2.0
"""What geometry leaves open is open, unless something else tells it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mvloc_ros.localization.inlier_residuals import Support, weakest_m
from mvloc_ros.localization.rig_points import Rays

# Across a wall at 2 m: along it to both sides, and about its normal.
OPEN = (0, 1, 5)


def wall(count: int = 400) -> Support:
    """Points on a wall across the view, each known to a centimetre along its normal."""
    rng = np.random.default_rng(0)
    points = np.column_stack([rng.uniform(-1.0, 1.0, (count, 2)), np.full(count, 2.0)])
    normals = np.tile([0.0, 0.0, -1.0], (count, 1))
    jacobian = np.hstack([normals, np.cross(points, normals)]) / 0.01
    zeros = np.zeros(count)
    inlier = np.ones(count, np.bool_)
    return Support(points, np.zeros(count, np.intp), inlier, zeros, zeros, jacobian.T @ jacobian, Rays.of_one(points))


def told_of(axes: tuple[int, ...], sigma_m: float) -> np.ndarray:
    """So well known in some axes; a rotation by what it moves a point at 2 m."""
    information = np.zeros((6, 6))
    for axis in axes:
        information[axis, axis] = (1.0 if axis < 3 else 4.0) / sigma_m**2
    return information


def test_a_wall_leaves_three_directions_open():
    assert weakest_m(wall()) == math.inf
    assert weakest_m(wall(), np.zeros((6, 6))) > 1e6


@pytest.mark.parametrize("sigma_m", [0.02, 0.1])
def test_what_is_told_of_all_three_is_what_is_known_of_the_weakest(sigma_m: float):
    assert weakest_m(wall(), told_of(OPEN, sigma_m)) == pytest.approx(sigma_m, rel=0.02)


@pytest.mark.parametrize("missing", OPEN)
def test_one_that_nothing_tells_stays_open(missing: int):
    axes = tuple(axis for axis in OPEN if axis != missing)
    assert weakest_m(wall(), told_of(axes, 0.02)) > 1e3


def test_without_points_nothing_is_known():
    empty = wall(0)
    assert weakest_m(empty) == math.inf
    assert weakest_m(empty, told_of(tuple(range(6)), 0.02)) == math.inf
