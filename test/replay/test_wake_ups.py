# SPDX-License-Identifier: Apache-2.0
"""Starts without knowledge: where they begin and end, and how they are evaluated."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mvloc_ros.cli import main
from mvloc_ros.evaluation.wake_ups import WakeUp, WakeUpError, evaluate_wake_ups, plan_wake_ups
from mvloc_ros.geometry import se3
from mvloc_ros.geometry.trajectory import Trajectory

SECOND = 10**9
NONE = [0.0, 0.0, 0.0, 1.0]


def drive(speeds: list[float]) -> Trajectory:
    """One pose a second, driven at these speeds along x."""
    x = np.concatenate([[0.0], np.cumsum(speeds)])
    return Trajectory(
        np.arange(len(x), dtype=np.int64) * SECOND, np.stack([se3.from_parts([at, 0.0, 0.0], NONE) for at in x])
    )


def test_a_start_ends_with_its_time_or_its_way_whichever_comes_first():
    truth = drive([0.01] * 30 + [0.6] * 10)
    slow, fast = plan_wake_ups(truth, truth.stamps_ns, 2)[0], plan_wake_ups(truth, truth.stamps_ns[30:], 1)[0]
    assert (slow.start_ns, slow.end_ns) == (0, 10 * SECOND)
    assert (fast.start_ns, fast.end_ns) == (30 * SECOND, 32 * SECOND)
    starts = [wake_up.start_ns for wake_up in plan_wake_ups(truth, truth.stamps_ns, 4)]
    assert starts == [0, 10 * SECOND, 20 * SECOND, 30 * SECOND]


def test_where_the_truth_pauses_none_starts_and_none_goes_on():
    """The true poses of the frames 4 to 16 are missing."""
    truth = drive([0.02] * 40)
    kept = np.r_[0:4, 17 : len(truth)]
    partial = Trajectory(truth.stamps_ns[kept], truth.poses[kept])
    found = plan_wake_ups(partial, truth.stamps_ns, 8)
    starts = {wake_up.start_ns for wake_up in found}
    assert starts <= set(partial.stamps_ns.tolist())
    before = [wake_up for wake_up in found if wake_up.start_ns < truth.stamps_ns[4]]
    assert before
    assert {wake_up.end_ns for wake_up in before} == {int(truth.stamps_ns[3])}


def test_what_cannot_be_judged_is_refused():
    truth = drive([0.1] * 5)
    with pytest.raises(WakeUpError, match="the recording has none"):
        plan_wake_ups(Trajectory.collect({}), truth.stamps_ns, 2)
    with pytest.raises(WakeUpError, match="7 wake-ups need as many frames with ground truth; the recording has 6"):
        plan_wake_ups(truth, truth.stamps_ns, 7)


def off(truth: Trajectory, index: int, metres: float, degrees: float = 0.0) -> np.ndarray:
    half = np.radians(degrees) / 2
    return truth.poses[index] @ se3.from_parts([0.0, metres, 0.0], [0.0, 0.0, np.sin(half), np.cos(half)])


def test_the_first_pose_decides_and_every_far_one_is_counted():
    truth = drive([0.1] * 9)
    right = WakeUp(0, 9 * SECOND, {2 * SECOND: off(truth, 2, 0.14, 4.9), 5 * SECOND: off(truth, 5, 0.6)})
    wrong = WakeUp(0, 9 * SECOND, {SECOND: off(truth, 1, 0.16), 4 * SECOND: off(truth, 4, 0.0)})
    turned = WakeUp(SECOND, 9 * SECOND, {2 * SECOND: off(truth, 2, 0.0, 16.0)})
    result = evaluate_wake_ups([right, wrong, turned, WakeUp(0, SECOND)], truth)
    assert (result.count, result.right, result.silent) == (4, 1, 1)
    assert (result.accepted, result.false_accepts) == (5, 2)
    assert result.times_s == (2.0,)
    assert result.values()["time_s"] == {"median": 2.0, "p90": 2.0}
    assert "1 (25.0%) with a right first pose" in result.text()


def test_poses_beside_the_truths_stamps_need_a_tolerance_and_are_not_taken_for_silence():
    truth = drive([0.1] * 9)
    beside = WakeUp(0, 9 * SECOND, {2 * SECOND + 1000: off(truth, 2, 0.1)})
    with pytest.raises(WakeUpError, match=r"no ground truth within 0 s, .* set --tolerance"):
        evaluate_wake_ups([beside], truth)
    result = evaluate_wake_ups([beside], truth, 1000)
    assert (result.right, result.silent, result.accepted) == (1, 0, 1)


def test_wake_ups_of_a_recording_are_in_report_and_table(camera_bag, tiny_bundle: Path, tmp_path: Path, capsys):
    """The tiny model errs by 1 cm and 1 degree an index, so that the first six starts are right."""
    out = tmp_path / "out"
    words = ["replay", str(camera_bag()), "--model", str(tiny_bundle), "--out", str(out), "--wake-ups", "8"]
    assert main(words) == 0
    found = json.loads((out / "report.json").read_text())["wake_up"]
    assert (found["count"], found["without_pose"], found["false_accepts"]) == (8, 0, 0)
    assert found["right"] == 6
    assert found["odometry_share"] == 0.0
    assert found["time_s"] == {"median": 0.0, "p90": 0.0}
    assert "wake-ups 8: 6 (75.0%) with a right first pose" in capsys.readouterr().out
    assert main([*words[:2], *words[2:-1], "9"]) == 2
    assert "9 wake-ups need as many frames" in capsys.readouterr().err


def test_without_truth_there_are_no_wake_ups(camera_bag, tiny_bundle: Path, tmp_path: Path, capsys):
    bag = camera_bag(truth=False)
    words = ["replay", str(bag), "--model", str(tiny_bundle), "--out", str(tmp_path / "out"), "--wake-ups", "2"]
    assert main(words) == 2
    assert "name it with --truth-topic" in capsys.readouterr().err
