# SPDX-License-Identifier: Apache-2.0
"""The floor that a robot drives on as a level: when it is taken as one, and what it says of the keyframes."""

from __future__ import annotations

import numpy as np
import pytest
from posing_scene import box_room, camera, transform, view

from mvloc_ros.geometry import se3
from mvloc_ros.localization.motion import moved
from mvloc_ros.posing.level_floor import LevelFloor, level_floor
from mvloc_ros.posing.pose_graph import Relative, optimize

COUNT = 12


def driven(heights: np.ndarray) -> np.ndarray:
    """Cameras on a circle in the room, pitched by 25 degrees, as high as given."""
    turn = np.linspace(0.0, 330.0, COUNT)
    return np.array([camera(2.0, 1.5, z, yaw=a, pitch=25.0) for z, a in zip(heights, turn, strict=True)])


def floor_of(true: np.ndarray, poses: np.ndarray, with_floor: bool = True) -> LevelFloor | None:
    """By what cameras see from their true poses, with the poses that were found."""
    rng = np.random.default_rng(0)
    points, normals = box_room(20_000, rng)
    kept = np.full(len(points), True) if with_floor else normals[:, 2] < 0.5
    return level_floor([view((points[kept], normals[kept]), T, rng) for T in true], poses)


@pytest.mark.parametrize("T", [np.eye(4), transform(1.0, 2.0, -3.0, 20.0, -10.0, 50.0)], ids=["level", "tilted"])
def test_a_camera_at_a_constant_height_tells_height_roll_and_pitch(T: np.ndarray):
    true = driven(np.full(COUNT, 0.9))
    found = floor_of(true, T @ true)
    assert found is not None
    assert found.height_m == pytest.approx(0.9, abs=0.01)
    assert len(found.known) == COUNT
    for known in found.known:
        assert known.T[2, 3] == pytest.approx(0.9, abs=0.02)
        up = known.T[2, :3]
        assert np.rad2deg(np.arccos(np.clip(up @ true[known.pose][2, :3], -1.0, 1.0))) < 1.0
        sigma = np.sqrt(np.diag(known.covariance))
        assert sigma[2] < 0.05
        assert np.rad2deg(sigma[3:5]).max() < 1.0
        assert sigma[[0, 1, 5]].min() > 100.0
    np.testing.assert_allclose((found.T_level @ T)[2, :3], [0.0, 0.0, 1.0], atol=0.01)


def test_a_camera_that_is_carried_tells_no_level_floor():
    true = driven(1.2 + 0.1 * np.sin(np.arange(COUNT)))
    assert floor_of(true, true) is None


def test_where_no_floor_is_seen_none_is_made_up():
    true = driven(np.full(COUNT, 0.9))
    assert floor_of(true, true, with_floor=False) is None


def test_a_map_that_bends_down_is_made_level():
    """Odometry that pitches by 0.3 degrees each keyframe sinks; what the floor says of each one holds it."""
    pytest.importorskip("gtsam", reason="poses are found with gtsam, which is not installed")
    true = np.array([camera(0.6 + 0.25 * k, 1.5, 0.9, yaw=2.0 * k, pitch=25.0) for k in range(COUNT)])
    sigmas = np.array([0.01, 0.01, 0.01, *np.deg2rad([0.5, 0.5, 0.5])])
    bend = np.array([0.0, 0.0, 0.0, np.deg2rad(0.3), 0.0, 0.0])
    steps, bent = [], [true[0]]
    for k in range(COUNT - 1):
        T = moved(se3.inverse(true[k]) @ true[k + 1], bend)
        steps.append(Relative(k, k + 1, T, np.diag(sigmas**-2.0), is_robust=False))
        bent.append(bent[-1] @ T)
    found = floor_of(true, np.array(bent))
    assert found is not None
    without = optimize(found.T_level @ np.array(bent), steps).poses
    level = optimize(found.T_level @ np.array(bent), steps, found.known, with_covariances=True)
    assert np.ptp(without[:, 2, 3]) > 0.03
    assert np.ptp(level.poses[:, 2, 3]) < 0.01
    assert np.sqrt(level.covariances[-1, 2, 2]) < 0.02


@pytest.mark.parametrize(("slope", "is_level"), [(0.0, True), (0.7, True), (4.0, False), (8.0, False)])
def test_a_ramp_is_no_level_floor(slope: float, is_level: bool):
    """A robot that drives up a ramp has the ramp below it, as it had the floor before, and is pitched like it."""
    ahead = np.arange(0.0, 6.0, 0.15)
    pitch = np.where((ahead > 2.0) & (ahead < 4.0), slope, 0.0)
    height = np.concatenate([[0.0], np.cumsum(0.15 * np.tan(np.deg2rad(pitch[:-1])))])
    rng = np.random.default_rng(0)
    surface = box_room(20_000, rng)
    level = camera(1.0, 1.5, 0.9, yaw=0.0, pitch=25.0)
    seen = view(surface, level, rng)
    poses = np.array(
        [camera(x, 1.5, 0.9 + z, yaw=0.0, pitch=25.0 - up) for x, z, up in zip(ahead, height, pitch, strict=True)]
    )
    assert (level_floor([seen] * len(poses), poses) is not None) == is_level
