# SPDX-License-Identifier: Apache-2.0
"""How an IMU is turned against the camera, its bias, and what it tells of the camera's rotation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from imu_scene import R_CAMERA_IMU, imu_on, rotation
from posing_scene import camera

from mvloc_ros.geometry import se3
from mvloc_ros.localization.motion import moved
from mvloc_ros.posing.imu_motion import ImuMotion
from mvloc_ros.posing.kept_work import KeptWork
from mvloc_ros.recordings.imu.samples import ImageTimes, Imu, Readings

PERIOD_NS = 300_000_000
BIAS = np.array([0.02, -0.01, 0.015])


def by_hand(count: int = 100) -> list[np.ndarray]:
    t = 0.3 * np.arange(count)
    return [camera(0.1 * np.sin(k), 0.1 * np.cos(k), 1.2, 40.0 * np.sin(0.9 * k), 25.0 * np.sin(0.6 * k)) for k in t]


def on_wheels(count: int = 100) -> list[np.ndarray]:
    t = 0.3 * np.arange(count)
    return [camera(0.4 * k, 0.2 * k, 0.9, 50.0 * np.sin(0.5 * k) + 20.0 * np.sin(1.1 * k), 15.0) for k in t]


def learned(imu: Imu, poses: list[np.ndarray], first_ns: int = 0) -> ImuMotion:
    motion, rng = ImuMotion(imu), np.random.default_rng(1)
    for k in range(len(poses) - 2):
        seen = se3.inverse(poses[k]) @ poses[k + 1]
        noise = np.concatenate([np.zeros(3), np.deg2rad(0.15) * rng.standard_normal(3)])
        motion.learn(first_ns + k * PERIOD_NS, first_ns + (k + 1) * PERIOD_NS, moved(seen, noise))
    return motion


def off_deg(R: np.ndarray) -> np.ndarray:
    return np.rad2deg(se3.rotation_vector(R))


def test_axes_and_bias_are_found_from_a_camera_that_is_carried():
    poses = by_hand()
    motion = learned(imu_on(poses, 0.3, np.random.default_rng(0), bias=BIAS), poses)
    mount = motion.mount
    assert mount is not None
    assert mount.is_determined
    assert not mount.is_stated
    assert np.linalg.norm(off_deg(mount.R_camera_imu @ R_CAMERA_IMU.T)) < 1.2
    assert np.abs(mount.bias - BIAS).max() < 0.004
    assert motion.why_not == ""


@pytest.mark.parametrize("way", [by_hand, on_wheels])
def test_the_rotation_is_the_cameras_and_within_its_deviation(way):
    poses = way()
    motion = learned(imu_on(poses, 0.3, np.random.default_rng(0), bias=BIAS), poses)
    scaled = []
    for k in range(80):
        told = motion.rotation(k * PERIOD_NS, (k + 3) * PERIOD_NS)
        assert told is not None
        true = (se3.inverse(poses[k]) @ poses[k + 3])[:3, :3]
        scaled.append(np.linalg.norm(se3.rotation_vector(told[0].T @ true)) / told[1])
        assert told[1] < np.deg2rad(2.0)
    assert np.sqrt(np.mean(np.square(scaled)) / 3.0) < 1.2


def test_a_robot_on_a_floor_leaves_the_turn_about_the_vertical_open():
    """It is said, and what a rotation has about other axes counts as unknown."""
    poses = on_wheels()
    motion = learned(imu_on(poses, 0.3, np.random.default_rng(0), bias=BIAS), poses)
    mount = motion.mount
    assert mount is not None
    assert not mount.is_determined
    vertical = poses[0][:3, :3].T @ [0.0, 0.0, 1.0]
    assert abs(mount.axis @ vertical) > np.cos(np.deg2rad(1.0))
    # The vertical is where it is, whatever the turn about it.
    assert np.rad2deg(np.arccos(np.clip(vertical @ mount.R_camera_imu @ R_CAMERA_IMU.T @ vertical, -1, 1))) < 1.0
    tilting = [*poses, *(poses[-1] @ moved(np.eye(4), np.deg2rad([0, 0, 0, 4.0 * n, 0, 0])) for n in range(1, 8))]
    tilted = ImuMotion(imu_on(tilting, 0.3, np.random.default_rng(0), bias=BIAS), mount)
    last = len(poses) - 1
    level = tilted.rotation((last - 6) * PERIOD_NS, last * PERIOD_NS)
    steep = tilted.rotation(last * PERIOD_NS, (last + 6) * PERIOD_NS)
    assert level is not None
    assert steep is not None
    assert level[1] < np.deg2rad(2.0)
    assert steep[1] > np.deg2rad(15.0)


def test_what_the_recording_states_is_kept_if_its_rotations_agree():
    poses = by_hand()
    imu = imu_on(poses, 0.3, np.random.default_rng(0), bias=BIAS)
    right = learned(replace(imu, R_camera_imu=R_CAMERA_IMU), poses).mount
    assert right is not None
    assert right.is_stated
    np.testing.assert_array_equal(right.R_camera_imu, R_CAMERA_IMU)
    wrong = learned(replace(imu, R_camera_imu=rotation(0, 0, 90) @ R_CAMERA_IMU), poses).mount
    assert wrong is not None
    assert not wrong.is_stated
    assert np.linalg.norm(off_deg(wrong.R_camera_imu @ R_CAMERA_IMU.T)) < 1.0


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (np.rad2deg, "looks like deg/s"),
        (lambda w: w * [1.0, 1.0, -1.0], "its axes look mirrored"),
        (lambda w: w[::-1].copy(), "check its stamps"),
    ],
    ids=["deg/s", "mirrored", "other times"],
)
def test_rotations_that_do_not_fit_are_not_used_and_the_reason_is_said(fault, reason: str):
    poses = by_hand()
    imu = imu_on(poses, 0.3, np.random.default_rng(0))
    assert imu.rates is not None
    motion = learned(replace(imu, rates=Readings(imu.rates.stamps_ns, fault(imu.rates.values))), poses)
    assert motion.mount is None
    assert reason in motion.why_not
    assert "differ from those of the images by" in motion.why_not
    assert motion.rotation(0, PERIOD_NS) is None
    assert motion.R_camera_imu is None


def test_a_camera_that_hardly_turned_tells_no_axes():
    poses = [camera(0.1 * k, 0.0, 1.0, 0.2 * k) for k in range(60)]
    motion = learned(imu_on(poses, 0.3, np.random.default_rng(0)), poses)
    assert motion.mount is None
    assert "58 motions of the camera that images determine are too few" in motion.why_not
    assert motion.wants_a_look


def test_frames_that_are_counted_are_found_by_their_times():
    """The number of a frame counts whole periods; here every other image came 0.1 s late."""
    poses = by_hand()
    first_ns = 1_700_000_000_000_000_000
    imu = imu_on(poses, 0.3, np.random.default_rng(0), first_ns=first_ns)
    late = np.arange(0, 96, 3) + np.arange(32) % 2
    counted = np.arange(32, dtype=np.int64) * 900_000_000
    taken = first_ns + late.astype(np.int64) * PERIOD_NS
    motion = ImuMotion(replace(imu, times=ImageTimes(counted, taken)))
    for k in range(31):
        motion.learn(int(counted[k]), int(counted[k + 1]), se3.inverse(poses[late[k]]) @ poses[late[k + 1]])
    assert motion.mount is not None
    assert np.linalg.norm(off_deg(motion.mount.R_camera_imu @ R_CAMERA_IMU.T)) < 1.0
    assert motion.imu.recorded(int(counted[3]) + 450_000_000) == (taken[3] + taken[4]) // 2
    assert motion.imu.recorded(int(counted[-1]) + 1) is None


def test_what_was_found_is_kept_for_a_run_that_is_interrupted(tmp_path: Path):
    poses = by_hand()
    motion = learned(imu_on(poses, 0.3, np.random.default_rng(0), bias=BIAS), poses)
    given = {"IMU of seq-01": motion.imu}
    KeptWork(tmp_path, given).keep("tracking", [motion])
    (found,) = KeptWork(tmp_path, given).load("tracking")
    assert found.imu is motion.imu
    mine, theirs = found.rotation(0, PERIOD_NS), motion.rotation(0, PERIOD_NS)
    np.testing.assert_array_equal(mine[0], theirs[0])
    assert mine[1] == theirs[1]
    assert (tmp_path / "tracking.kept.json").stat().st_size < 100_000
