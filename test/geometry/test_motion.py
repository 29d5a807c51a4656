# SPDX-License-Identifier: Apache-2.0
"""Poses that one body cannot have: jumps, single outliers, and two publishers in one series."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mvloc_ros.geometry import quaternion, se3
from mvloc_ros.geometry.motion_limits import MotionLimits, alternation
from mvloc_ros.geometry.trajectory import Interpolation, NoPose, Trajectory

HOW = Interpolation(200_000_000)
PERIOD = 100_000_000


def drive(count: int = 20, yaw: float = 0.0) -> np.ndarray:
    """1 m/s along x, with `yaw` rad a step."""
    turns = quaternion.exp(np.array([[0.0, 0.0, yaw * i / 2] for i in range(count)]))
    return se3.from_parts([[0.1 * i, 0.0, 0.0] for i in range(count)], turns)


def series(poses: np.ndarray, period: int = PERIOD) -> Trajectory:
    return Trajectory(np.arange(len(poses), dtype=np.int64) * period, poses)


def test_no_pose_is_made_up_inside_a_jump():
    poses = drive()
    poses[10:, 1, 3] += 1.5
    trajectory = series(poses)
    middle = 9 * PERIOD + PERIOD // 2
    assert trajectory.sample(middle, HOW) is NoPose.JUMP
    np.testing.assert_array_equal(trajectory.jumps(HOW), [9])
    for stamp in (9 * PERIOD, 10 * PERIOD):
        np.testing.assert_array_equal(trajectory.sample(stamp, HOW), poses[stamp // PERIOD])
    fast = Interpolation(HOW.max_gap_ns, MotionLimits(max_speed=20.0))
    np.testing.assert_allclose(trajectory.sample(middle, fast)[:3, 3], [0.95, 0.75, 0.0], atol=1e-12)


def test_a_turn_on_the_spot_can_be_a_jump():
    poses = drive()
    poses[10:, :3, :3] = poses[10:, :3, :3] @ quaternion.to_matrix(quaternion.exp(np.array([0.0, 0.0, 0.5])))
    trajectory = series(poses)
    assert trajectory.sample(9 * PERIOD + 1, HOW) is NoPose.JUMP
    slow_enough = Interpolation(HOW.max_gap_ns, MotionLimits(max_turn_rate=math.radians(600.0)))
    assert trajectory.sample(9 * PERIOD + 1, slow_enough) is not None


def test_a_single_pose_that_is_out_of_reach_is_not_used():
    poses = drive()
    poses[10, :3, 3] = 0.0, 3.0, 0.0
    trajectory = series(poses)
    assert trajectory.sample(10 * PERIOD, HOW) is NoPose.ISOLATED
    np.testing.assert_array_equal(trajectory.jumps(HOW), [9, 10])
    # Poses far apart in time say nothing of each other.
    np.testing.assert_array_equal(trajectory.sample(10 * PERIOD, Interpolation(PERIOD // 2)), poses[10])


def test_noise_of_a_fast_tracking_system_is_no_jump():
    noise = np.random.default_rng(0).normal(0.0, 0.003, (2000, 3))
    poses = se3.from_parts(noise, np.tile([0.0, 0.0, 0.0, 1.0], (2000, 1)))
    assert not len(series(poses, period=1_000_000).jumps(HOW))


@pytest.mark.parametrize("period", [20_000_000, 100_000_000, 1_000_000_000])
def test_two_publishers_that_take_turns_are_told_at_any_rate(period: int):
    poses = drive(yaw=0.02)
    poses[1::2, 1, 3] += 0.4
    apart = alternation(series(poses, period).stamps_ns, poses)
    assert apart is not None
    assert apart[0] == pytest.approx(0.4, abs=0.01)


def test_two_orientations_that_take_turns_are_told():
    poses = drive()
    poses[1::2, :3, :3] = quaternion.to_matrix(quaternion.exp(np.array([0.0, 0.0, math.pi / 4])))
    apart = alternation(series(poses).stamps_ns, poses)
    assert apart is not None
    assert math.degrees(apart[1]) == pytest.approx(90.0, abs=1.0)


@pytest.mark.parametrize("sigma", [0.01, 0.1, 1.0])
@pytest.mark.parametrize("seed", range(5))
def test_noise_and_motion_are_not_two_publishers(sigma: float, seed: int):
    poses = drive(200, yaw=0.05)
    poses[:, :3, 3] += np.random.default_rng(seed).normal(0.0, sigma, (200, 3))
    poses[100:, 0, 3] += 3.0
    assert alternation(series(poses).stamps_ns, poses) is None
