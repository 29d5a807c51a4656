# SPDX-License-Identifier: Apache-2.0
"""Figures against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from mvloc_ros.evaluation.baselines import constant_pose, constant_pose_errors, nearest_training_poses
from mvloc_ros.evaluation.percentiles import percentiles
from mvloc_ros.evaluation.pose_errors import PoseErrors
from mvloc_ros.geometry import quaternion, se3


def turned(x: float, degrees: float) -> np.ndarray:
    half = np.radians(degrees) / 2
    return se3.from_parts(np.array([x, 0, 0]), np.array([0, 0, np.sin(half), np.cos(half)]))


def test_errors_and_recall_by_hand():
    truth = np.array([turned(0, 0)] * 5)
    missing = np.full((4, 4), np.nan)
    estimates = np.array([turned(0.02, 1), turned(0.05, 4.999), turned(0.09, 2), turned(0.01, 30), missing])
    errors = PoseErrors.of(estimates, truth)
    np.testing.assert_allclose(errors.translation_m, [0.02, 0.05, 0.09, 0.01, np.nan])
    np.testing.assert_allclose(errors.rotation_deg, [1, 4.999, 2, 30, np.nan])
    result = errors.accuracy()
    assert result.recall == {"5cm_5deg": 2 / 5, "10cm_5deg": 3 / 5}
    assert result.translation_m.median == pytest.approx(0.035)
    assert result.translation_m.mean == pytest.approx(0.0425)
    # Linear between ranks: 95 % of 3 steps is 2.85, between 0.05 and 0.09.
    assert result.translation_m.p95 == pytest.approx(0.05 + 0.85 * 0.04)
    assert (result.translation_m.max, result.rotation_deg.max) == (pytest.approx(0.09), pytest.approx(30))


def test_no_pose_at_all_is_a_recall_of_zero_and_no_figures():
    result = PoseErrors(np.full(3, np.nan), np.full(3, np.nan)).accuracy()
    assert result.recall == {"5cm_5deg": 0.0, "10cm_5deg": 0.0}
    assert result.translation_m is None


def test_percentiles_skip_what_was_not_measured():
    values = np.array([np.nan, *range(101)], dtype=float)
    result = percentiles(values)
    assert (result.p50, result.p95, result.p99, result.max) == (50, 95, 99, 100)
    assert percentiles(np.array([np.nan])) is None


def test_the_constant_pose_is_the_median_position_and_the_mean_rotation():
    pose = constant_pose(np.array([turned(0, 10), turned(1, 20), turned(50, 30)]))
    assert pose[0, 3] == 1.0
    assert np.degrees(se3.rotation_error(pose, turned(0, 20))) == pytest.approx(0, abs=1e-6)
    # Two opposite signs of one rotation are one rotation.
    assert np.isclose(np.abs(quaternion.from_matrix(pose[:3, :3]) @ quaternion.from_matrix(turned(0, 20)[:3, :3])), 1)


def test_the_errors_of_the_constant_pose_are_those_of_answering_it_for_every_frame():
    training = np.array([turned(0, 10), turned(1, 20), turned(50, 30)])
    truth = np.array([turned(1, 20), turned(3, 20)])
    errors = constant_pose_errors(training, truth)
    assert errors.translation_m == pytest.approx([0.0, 2.0])
    assert errors.rotation_deg == pytest.approx([0.0, 0.0], abs=1e-6)


def test_the_nearest_training_pose_weighs_a_centimetre_like_a_degree():
    training = np.array([turned(0.10, 0), turned(0, 8), turned(3, 0)])
    nearest = nearest_training_poses(training, np.array([turned(0, 0), turned(0.02, 0), turned(2.9, 1)]))
    np.testing.assert_allclose(nearest, training[[1, 0, 2]])
