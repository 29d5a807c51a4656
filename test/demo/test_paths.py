# SPDX-License-Identifier: Apache-2.0
"""The drives: a robot's speeds, inside the volume, and a test drive that training never saw."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvloc_ros.demo.camera_paths import MAX_SPEED, MAX_TURN, Volume, camera_pose, drive
from mvloc_ros.demo.room import build_room
from mvloc_ros.demo.sequence_plans import RATE_HZ, plan_test, plan_training
from mvloc_ros.geometry import se3


def yaw_of(poses: np.ndarray) -> np.ndarray:
    return np.unwrap(np.arctan2(poses[:, 1, 2], poses[:, 0, 2]))


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**31), length=st.floats(1.0, 40.0))
def test_drives_are_smooth_slow_and_stay_inside(seed: int, length: float) -> None:
    step = 0.02
    times = np.arange(0, length, step)
    poses = drive(Volume(), (seed,), times)
    assert all(se3.is_rigid(pose) for pose in poses[:: max(1, len(poses) // 50)])
    positions = poses[:, :3, 3]
    volume = Volume()
    assert (positions >= np.array(volume.low[:3]) - 1e-9).all()
    assert (positions <= np.array(volume.high[:3]) + 1e-9).all()
    yaw = yaw_of(poses)
    assert np.rad2deg(yaw).min() >= volume.low[3] - 1e-6
    assert np.rad2deg(yaw).max() <= volume.high[3] + 1e-6
    velocity = np.diff(positions, axis=0) / step
    assert np.linalg.norm(velocity, axis=1).max() <= MAX_SPEED * 1.01
    assert np.abs(np.diff(yaw) / step).max() <= MAX_TURN * 1.01
    acceleration = np.diff(velocity[::5], axis=0) / (5 * step)
    assert np.linalg.norm(acceleration, axis=1).max(initial=0) < 1.5  # m/s^2


def test_a_longer_drive_begins_with_the_shorter() -> None:
    short, long = (drive(Volume(), (3, 4), np.arange(0, seconds, 0.1)) for seconds in (5.0, 200.0))
    np.testing.assert_allclose(long[: len(short)], short, atol=1e-12)


def test_camera_pose_looks_where_its_angles_say() -> None:
    pose = camera_pose(1, 2, 3, np.deg2rad(90), np.deg2rad(30))
    np.testing.assert_allclose(pose[:3, 2], [0, np.cos(np.pi / 6), 0.5], atol=1e-12)  # ahead: north, upwards
    np.testing.assert_allclose(pose[:3, 0], [1, 0, 0], atol=1e-12)  # right: east
    assert pose[2, 1] < 0  # the image's down is down
    np.testing.assert_allclose(pose[:3, 3], [1, 2, 3])
    assert se3.is_rigid(pose)


def test_the_log_quaternion_never_jumps() -> None:
    """The orientation that the network regresses stays away from the half turn where its logarithm jumps."""
    from mvloc_ros.geometry import quaternion

    for plan in (*plan_training(0), plan_test(0)):
        orientation = se3.to_parts(plan.poses)[1]
        assert np.abs(orientation[:, 3]).min() > 0.05
        steps = np.linalg.norm(np.diff(quaternion.log(orientation), axis=0), axis=1)
        assert steps.max() < MAX_TURN * max(np.diff(plan.indices)) / RATE_HZ


@pytest.mark.parametrize("seed", [0, 1])
def test_the_test_drive_is_new_and_within_what_training_covers(seed: int) -> None:
    training = np.concatenate([plan.poses for plan in plan_training(seed)])
    test = plan_test(seed)
    assert len(test.poses) == 300
    assert set(np.diff(test.indices)) == {1}
    distance = np.linalg.norm(test.poses[:, None, :3, 3] - training[None, :, :3, 3], axis=-1)
    cosine = (np.einsum("aij,bij->ab", test.poses[:, :3, :3], training[:, :3, :3]) - 1) / 2
    apart = distance + np.arccos(np.clip(cosine, -1, 1))  # metres plus radians
    nearest = apart.min(axis=1)
    assert nearest.min() > 0.03
    assert np.median(nearest) > 0.1
    assert nearest.max() < 0.7
    low, high = training[:, :3, 3].min(axis=0), training[:, :3, 3].max(axis=0)
    assert ((test.poses[:, :3, 3] > low) & (test.poses[:, :3, 3] < high)).all()
    yaw, trained = yaw_of(test.poses), np.concatenate([yaw_of(plan.poses) for plan in plan_training(seed)])
    assert trained.min() < yaw.min()
    assert yaw.max() < trained.max()


def test_lights_and_exposures_differ_between_sequences_and_the_test_light_is_untrained() -> None:
    training, test = plan_training(0), plan_test(0)
    assert len({(tuple(plan.light.intensities.items()), plan.exposure) for plan in training}) == len(training)
    assert all(plan.light != test.light for plan in training)


def test_no_furniture_stands_where_the_camera_moves() -> None:
    low, high = np.array(Volume().low[:2]), np.array(Volume().high[:2])
    corners = np.array([(x, y, z) for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])
    for solid in build_room().solids:
        points = solid.centre + (corners * solid.size) @ solid.rotation.T
        if points[:, 2].max() < 0.02 or points[:, 2].min() > 2.0:  # the rug, and what hangs
            continue
        outside = (points[:, :2].min(axis=0) > high - 0.02) | (points[:, :2].max(axis=0) < low + 0.02)
        assert outside.any(), solid.centre
