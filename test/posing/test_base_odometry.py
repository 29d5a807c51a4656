# SPDX-License-Identifier: Apache-2.0
"""The camera's place on the robot, found from motions of both; and what it makes of the robot's odometry."""

from __future__ import annotations

import numpy as np
import pytest
from posing_scene import camera, transform

from mvloc_ros.geometry import se3
from mvloc_ros.geometry.trajectory import Trajectory
from mvloc_ros.localization.motion import moved
from mvloc_ros.posing.base_odometry import BaseOdometry, Mount, solve

STEP_NS = 100_000_000


def drive(count: int, rng: np.random.Generator) -> np.ndarray:
    """T_odom_base `[N, 4, 4]` of a robot on a level floor: from one keyframe to the next."""
    poses = [transform(0.5, -0.3, 0.0, 0.0, 0.0, 30.0)]
    for _ in range(count - 1):
        forward, degrees = rng.uniform(0.08, 0.20), rng.uniform(-15.0, 15.0)
        poses.append(poses[-1] @ transform(forward, 0.0, 0.0, 0.0, 0.0, degrees))
    return np.array(poses)


def noisy(T: np.ndarray, rng: np.random.Generator, metres: float = 0.003, degrees: float = 0.2) -> np.ndarray:
    sigma = np.array([metres] * 3 + [np.deg2rad(degrees)] * 3)
    return np.array([moved(one, sigma * rng.standard_normal(6)) for one in T])


@pytest.mark.parametrize(("yaw", "pitch"), [(0.0, 0.0), (0.0, 20.0), (90.0, 10.0), (180.0, 15.0), (-60.0, 25.0)])
def test_a_mount_is_found_from_motions_on_a_floor(yaw: float, pitch: float):
    rng = np.random.default_rng(0)
    X = camera(0.20, -0.07, 0.4, yaw, pitch)
    poses = drive(200, rng)
    base = se3.inverse(poses[:-1]) @ poses[1:]
    seen = noisy(se3.inverse(X) @ base @ X, rng)
    base[::12] = noisy(base[::12], rng, 0.10, 6.0)  # wheels slip
    mount = solve(base, seen)
    assert mount is not None
    assert np.rad2deg(se3.rotation_error(mount.T_base_camera, X)) < 0.3
    assert np.abs(mount.T_base_camera[:2, 3] - X[:2, 3]).max() < 0.01
    assert mount.metres < 0.01
    assert np.rad2deg(mount.radians) < 1.0


def test_motions_that_no_mount_explains_give_none():
    rng = np.random.default_rng(1)
    poses, others = drive(60, rng), drive(60, rng)
    X = camera(0.2, 0.0, 0.4, 0.0)
    base, unrelated = (se3.inverse(one[:-1]) @ one[1:] for one in (poses, others))
    assert solve(base, se3.inverse(X) @ unrelated @ X) is None


def test_odometry_of_a_mirrored_robot_gives_none():
    """Left and right swapped in a driver: no rigid mount explains it."""
    rng = np.random.default_rng(2)
    poses = drive(60, rng)
    base = se3.inverse(poses[:-1]) @ poses[1:]
    X = camera(0.2, 0.0, 0.4, 0.0)
    mirror = np.diag([1.0, -1.0, 1.0, 1.0])
    assert solve(mirror @ base @ mirror, se3.inverse(X) @ base @ X) is None


def test_the_motion_that_odometry_tells_is_the_cameras():
    rng = np.random.default_rng(3)
    X = camera(0.20, -0.07, 0.4, 15.0, 20.0)
    poses = drive(60, rng)
    stamps = STEP_NS * np.arange(60, dtype=np.int64)
    odometry = BaseOdometry(Trajectory(stamps, poses))
    cameras = poses @ X
    assert odometry.motion(0, STEP_NS) is None
    for k in range(40):
        odometry.learn(int(stamps[k]), int(stamps[k + 1]), se3.inverse(cameras[k]) @ cameras[k + 1])
    assert odometry.mount is not None
    for k, m in ((41, 42), (40, 50), (59, 45)):
        told = odometry.motion(int(stamps[k]), int(stamps[m]))
        assert told is not None
        T, sigma = told
        true = se3.inverse(cameras[k]) @ cameras[m]
        assert se3.translation_error(T, true) < 0.002
        assert np.rad2deg(se3.rotation_error(T, true)) < 0.05
        assert sigma.shape == (6,)
    near, far = (odometry.motion(0, int(stamps[m]))[1] for m in (1, 20))
    assert (far > near).all()


def test_odometry_tells_nothing_outside_its_time_and_over_gaps():
    poses = drive(30, np.random.default_rng(4))
    stamps = STEP_NS * np.concatenate([np.arange(15), np.arange(25, 40)]).astype(np.int64)
    odometry = BaseOdometry(Trajectory(stamps, poses), Mount(camera(0.2, 0.0, 0.4, 0.0), 0.0, 0.0))
    assert odometry.motion(0, 5 * STEP_NS) is not None
    assert odometry.motion(5 * STEP_NS, 20 * STEP_NS) is None
    assert odometry.motion(5 * STEP_NS, 60 * STEP_NS) is None


def test_motions_of_a_robot_that_hardly_turned_are_not_enough():
    X = camera(0.2, 0.0, 0.4, 0.0)
    poses = np.array([transform(0.1 * k, 0.0, 0.0, 0.0, 0.0, 0.5 * k) for k in range(40)])
    stamps = STEP_NS * np.arange(40, dtype=np.int64)
    odometry = BaseOdometry(Trajectory(stamps, poses))
    for k in range(39):
        odometry.learn(int(stamps[k]), int(stamps[k + 1]), se3.inverse(poses[k] @ X) @ poses[k + 1] @ X)
    assert odometry.mount is None
