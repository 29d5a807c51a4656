# SPDX-License-Identifier: Apache-2.0
"""What geometry leaves open is open, and the direction that it determines least counts."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from mvloc_ros.localization.inlier_residuals import Support, weakest_m
from mvloc_ros.localization.rig_points import Rays


def wall(count: int = 400) -> Support:
    """Points on a wall across the view, each known to a centimetre along its normal."""
    rng = np.random.default_rng(0)
    points = np.column_stack([rng.uniform(-1.0, 1.0, (count, 2)), np.full(count, 2.0)])
    normals = np.tile([0.0, 0.0, -1.0], (count, 1))
    jacobian = np.hstack([normals, np.cross(points, normals)]) / 0.01
    zeros = np.zeros(count)
    inlier = np.ones(count, np.bool_)
    return Support(points, np.zeros(count, np.intp), inlier, zeros, zeros, jacobian.T @ jacobian, Rays.of_one(points))


def test_a_wall_leaves_directions_open():
    assert weakest_m(wall()) == math.inf


@pytest.mark.parametrize("axis", range(6))
def test_the_axis_that_is_determined_least_counts(axis: int):
    points = wall()
    sigma_m = np.full(6, 0.01)
    sigma_m[axis] = 0.03
    length_m = np.array([1.0] * 3 + [points.rays.typical_m] * 3)
    determined = replace(points, hessian=np.diag((length_m / sigma_m) ** 2))
    assert weakest_m(determined) == pytest.approx(0.03, rel=0.05)


def test_without_points_nothing_is_known():
    assert weakest_m(wall(0)) == math.inf
