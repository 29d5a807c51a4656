# SPDX-License-Identifier: Apache-2.0
"""Whether a registered pose follows from an expected one, in what the points determine."""

from __future__ import annotations

import numpy as np
import pytest

from mvloc_ros.localization.inlier_residuals import innovation
from mvloc_ros.localization.verification import continuity, undetermined

EXPECTED = np.diag([0.03**2] * 3 + [0.02**2] * 3)


def test_it_is_the_mahalanobis_distance_of_both_uncertainties():
    rng = np.random.default_rng(0)
    for _ in range(20):
        root = rng.standard_normal((6, 6))
        information, delta = 400.0 * root @ root.T, 0.05 * rng.standard_normal(6)
        stated = EXPECTED + np.linalg.inv(information)
        assert innovation(delta, information, EXPECTED) == pytest.approx(
            delta @ np.linalg.solve(stated, delta), rel=1e-6
        )


def test_where_registration_slid_along_a_wall_nothing_contradicts():
    information = np.diag([1e6, 0.0, 0.0, 0.0, 1e6, 1e6])
    along, across = np.array([0.0, 0.4, -0.2, 0.3, 0.0, 0.0]), np.array([0.2, 0.0, 0.0, 0.0, 0.0, 0.0])
    assert innovation(along, information, EXPECTED) == pytest.approx(0.0, abs=1e-9)
    assert innovation(across, information, EXPECTED) > 40.0


def test_continuity_falls_with_the_contradiction_and_with_vagueness():
    assert continuity(0.0, np.diag([1e-8] * 6)) == pytest.approx(1.0, abs=1e-3)
    assert continuity(54.0, np.diag([1e-8] * 6)) == pytest.approx(0.5, abs=1e-3)
    assert continuity(0.0, np.diag([0.15**2] * 3 + [0.0] * 3)) == pytest.approx(0.5)


def test_a_pose_that_is_open_in_one_direction_is_undetermined():
    turn = np.linalg.qr(np.random.default_rng(1).standard_normal((3, 3)))[0]
    long = np.eye(6) * 1e-4
    long[:3, :3] = turn @ np.diag([1e-4, 1e-4, 0.16**2]) @ turn.T
    assert "determines the pose in all directions" in undetermined(long)
    assert undetermined(np.diag([0.14**2] * 3 + [np.radians(7.5) ** 2] * 3)) == ""
    assert undetermined(np.diag([1e-6] * 5 + [np.radians(9.0) ** 2]))
