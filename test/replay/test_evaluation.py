# SPDX-License-Identifier: Apache-2.0
"""Joining poses with ground truth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvloc_ros.evaluation.matching import match
from mvloc_ros.geometry import se3
from mvloc_ros.geometry.trajectory import Trajectory
from mvloc_ros.replay.errors import ReplayError
from mvloc_ros.replay.evaluation import evaluate
from mvloc_ros.replay.report import report_values
from mvloc_ros.replay.run import Run
from mvloc_ros.replay.table import text_table


def at(x: float) -> np.ndarray:
    return se3.from_parts(np.array([x, 0, 0]), np.array([0, 0, 0, 1.0]))


def run(truth: dict[int, float], estimates: dict[int, float], **changes) -> Run:
    values = {
        "source": "live",
        "recording": "bag",
        "model": "m",
        "backend": "b",
        "frames_ns": np.array(sorted(truth), dtype=np.int64),
        "truth": Trajectory.collect({s: at(x) for s, x in truth.items()}),
        "estimates": Trajectory.collect({s: at(x) for s, x in estimates.items()}),
        "latency_ms": {},
        "drops": {},
        "training_poses": None,
    }
    return Run(**{**values, **changes})


def test_poses_join_by_the_exact_stamp():
    result = evaluate(run({10: 0, 20: 0, 30: 0}, {30: 0.3, 10: 0.1, 21: 9.0}, latency_ms={"total": {10: 1.0, 30: 3.0}}))
    np.testing.assert_allclose(result.translation_m, [0.1, np.nan, 0.3])
    assert (result.frames, result.poses, result.stray_poses) == (3, 2, 1)
    np.testing.assert_allclose(result.step_ms["total"], [1.0, np.nan, 3.0])
    assert result.latency_ms["total"].max == 3.0
    assert result.accuracy.recall["10cm_5deg"] == pytest.approx(1 / 3)


def test_a_tolerance_allows_the_nearest_stamp():
    result = evaluate(run({10: 0, 20: 0}, {11: 1, 19: 2}, tolerance_ns=1))
    np.testing.assert_allclose(result.translation_m, [1, 2])


def test_frames_without_truth_have_no_error_and_do_not_count_as_failures():
    frames = np.array([10, 20, 30], dtype=np.int64)
    result = evaluate(run({10: 0, 20: 0}, {10: 0, 20: 0, 30: 0}, frames_ns=frames))
    assert np.isnan(result.translation_m[2])
    assert result.poses == 3
    assert result.accuracy.recall["5cm_5deg"] == 1.0


def test_how_many_frames_have_truth_is_said_where_it_is_not_all_of_them():
    frames = np.array([10, 20, 30], dtype=np.int64)
    partly = evaluate(run({10: 0, 20: 0}, {10: 0, 20: 0, 30: 0}, frames_ns=frames))
    assert "2 frames have ground truth" in text_table(partly)
    assert report_values(partly)["frames_with_truth"] == 2
    assert "have ground truth" not in text_table(evaluate(run({10: 0, 20: 0}, {10: 0})))


def test_truth_that_no_frame_shares_is_a_mistake_and_not_a_recording_without_truth():
    apart = {"frames_ns": np.array([10_000, 20_000], dtype=np.int64)}
    with pytest.raises(ReplayError, match=r"No ground truth .* \(the nearest is 0\.000001000 s off\): .*--tolerance"):
        evaluate(run({11_000: 0, 22_000: 0}, {10_000: 0}, **apart))
    assert evaluate(run({11_000: 0}, {10_000: 0}, **apart, tolerance_ns=1000)).accuracy is not None


def test_no_truth_gives_no_accuracy():
    result = evaluate(run({}, {10: 0}, frames_ns=np.array([10], dtype=np.int64)))
    assert result.accuracy is None
    assert result.poses == 1


def test_stamps_of_another_recording_are_a_mistake_and_not_a_failure():
    with pytest.raises(ReplayError, match=r"No pose in bag has the stamp of a frame \(the nearest is 0\.9"):
        evaluate(run({10**9: 0}, {10**8: 0}))
    with pytest.raises(ReplayError, match="no frame to evaluate"):
        evaluate(run({}, {}))


def test_no_pose_at_all_is_a_result():
    result = evaluate(run({10: 0}, {}, training_poses=np.array([at(0.2)])))
    assert result.poses == 0
    assert result.accuracy.translation_m is None
    assert result.baselines["constant_pose"].translation_m.median == pytest.approx(0.2)


stamps = st.lists(st.integers(0, 200), unique=True, max_size=15).map(sorted)


@given(frames=stamps, poses=stamps, tolerance=st.integers(0, 30))
def test_matching_is_one_to_one_and_within_the_tolerance(frames: list[int], poses: list[int], tolerance: int):
    found = match(np.array(frames, dtype=np.int64), np.array(poses, dtype=np.int64), tolerance)
    used = [int(i) for i in found if i >= 0]
    assert len(set(used)) == len(used)
    for stamp, i in zip(frames, found, strict=True):
        if i >= 0:
            assert abs(poses[i] - stamp) == min(abs(pose - stamp) for pose in poses) <= tolerance
        elif stamp in poses:
            pytest.fail("an exact stamp was left out")
