# SPDX-License-Identifier: Apache-2.0
"""The map's frame: z up by the floor, the first camera above the origin, x along its view."""

from __future__ import annotations

import numpy as np
import pytest
from posing_scene import ROOM_M, box_room, camera, transform

from mvloc_ros.geometry import se3
from mvloc_ros.geometry.projection import transform_points
from mvloc_ros.posing.upright import BY_CAMERA, BY_FLOOR, BY_IMU, BY_IMU_AND_FLOOR, upright

CAMERAS = np.array([camera(1.0 + 0.2 * k, 1.5, 1.1, yaw=15.0 * k, pitch=20.0) for k in range(9)])
"""Looking to one half of the room, so that their mean up direction is 15 degrees off."""
TILTED = transform(3.0, -2.0, 1.0, 25.0, -15.0, 70.0)
"""Where the room is in the frame in which the poses were found: tilted by more than the floor finder allows."""


def surfaces(with_floor: bool = True) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    points, normals = box_room(60_000, rng)
    points = points + 0.004 * rng.standard_normal(points.shape)
    kept = np.full(len(points), True) if with_floor else normals[:, 2] < 0.5
    return points[kept], normals[kept]


@pytest.mark.parametrize("T", [TILTED, se3.inverse(CAMERAS[0])], ids=["tilted", "frame of the first camera"])
def test_a_tilted_room_ends_with_z_up_and_the_floor_at_zero(T: np.ndarray):
    points, normals = surfaces()
    points, normals, poses = transform_points(T, points), normals @ T[:3, :3].T, T @ CAMERAS
    found = upright(points, normals, poses, 0.025)
    assert found.by == BY_FLOOR
    assert found.floor_z_m == 0.0
    up = found.T_map_first[:3, :3] @ T[:3, :3] @ [0.0, 0.0, 1.0]
    assert np.rad2deg(np.arccos(up[2])) < 0.5
    floor = transform_points(found.T_map_first @ T, np.array([[0.0, 0, 0], [4, 0, 0], [0, 3, 0], [4, 3, 0]]))
    assert np.abs(floor[:, 2].mean()) < 0.01
    first = found.T_map_first @ poses[0]
    np.testing.assert_allclose(first[:2, 3], 0.0, atol=1e-9)
    assert first[2, 3] == pytest.approx(1.1, abs=0.01)
    assert first[1, 2] == pytest.approx(0.0, abs=1e-9)
    assert first[0, 2] > 0.9
    assert se3.is_rigid(found.T_map_first, 1e-9)


def test_a_table_is_not_the_floor():
    points, normals = surfaces()
    rng = np.random.default_rng(1)
    table = np.column_stack([rng.uniform(1.0, 3.0, (20_000, 2)), np.full(20_000, 0.75)])
    points, normals = np.concatenate([points, table]), np.concatenate([normals, np.tile([0.0, 0, 1], (20_000, 1))])
    found = upright(transform_points(TILTED, points), normals @ TILTED[:3, :3].T, TILTED @ CAMERAS, 0.025)
    assert (found.T_map_first @ TILTED @ CAMERAS[0])[2, 3] == pytest.approx(1.1, abs=0.01)


def test_without_a_floor_the_first_camera_is_said():
    points, normals = surfaces(with_floor=False)
    poses = TILTED @ np.array([camera(1.0 + 0.2 * k, 1.5, 1.1, yaw=40.0 * k, pitch=20.0) for k in range(9)])
    found = upright(transform_points(TILTED, points), normals @ TILTED[:3, :3].T, poses, 0.025)
    assert found.by == BY_CAMERA
    assert found.floor_z_m is None
    first = found.T_map_first @ poses[0]
    np.testing.assert_allclose(first[:3, 3], 0.0, atol=1e-9)
    assert first[1, 2] == pytest.approx(0.0, abs=1e-9)
    # Up is where the cameras' tops point: pitched alike all around, they agree on it.
    up = found.T_map_first[:3, :3] @ TILTED[:3, :3] @ [0.0, 0.0, 1.0]
    assert np.rad2deg(np.arccos(up[2])) < 10.0


def test_cameras_that_look_straight_down_tell_no_up_direction():
    down = np.array([camera(1.0 + 0.1 * k, 1.5, 2.0, yaw=45.0 * k, pitch=88.0) for k in range(8)])
    points, normals = surfaces()
    found = upright(transform_points(TILTED, points), normals @ TILTED[:3, :3].T, TILTED @ down, 0.025)
    assert found.by == BY_CAMERA
    assert found.floor_z_m is None or np.isfinite(found.floor_z_m)
    assert ROOM_M[2] > 2.0


def test_the_first_camera_is_where_it_is_said_to_be():
    points, normals = box_room(20_000, np.random.default_rng(0))
    found = upright(points, normals, CAMERAS, 0.025, (2.0, -1.0, 90.0))
    first = found.T_map_first @ CAMERAS[0]
    np.testing.assert_allclose(first[:2, 3], [2.0, -1.0], atol=1e-9)
    assert np.rad2deg(np.arctan2(first[1, 2], first[0, 2])) == pytest.approx(90.0, abs=1e-6)


@pytest.mark.parametrize(
    ("off", "by", "tilt_deg"), [(0.0, BY_IMU_AND_FLOOR, 0.5), (2.0, BY_IMU_AND_FLOOR, 0.5), (8.0, BY_IMU, 8.0)]
)
def test_the_floor_refines_what_the_imu_says_and_does_not_overrule_it(off: float, by: str, tilt_deg: float):
    """With a floor that tilts by 8 degrees the room is on a ramp, or the accelerometer errs: it is said."""
    points, normals = surfaces()
    up = TILTED[:3, :3] @ transform(0.0, 0.0, 0.0, off, 0.0, 0.0)[:3, :3] @ [0.0, 0.0, 1.0]
    placed, facing = transform_points(TILTED, points), normals @ TILTED[:3, :3].T
    found = upright(placed, facing, TILTED @ CAMERAS, 0.025, up=up)
    assert found.by == by
    z = found.T_map_first[:3, :3] @ TILTED[:3, :3] @ [0.0, 0.0, 1.0]
    assert np.rad2deg(np.arccos(z[2])) == pytest.approx(tilt_deg, abs=0.5)
    assert ("tilt by 8.0 degrees against the IMU" in found.remark) == (by == BY_IMU)


def test_up_is_the_imus_where_no_floor_was_seen():
    """Cameras that look up to one side of the room: their mean top is 30 degrees off."""
    points, normals = surfaces(with_floor=False)
    up_there = np.array([camera(1.0 + 0.2 * k, 1.5, 1.1, yaw=10.0 * k, pitch=-30.0) for k in range(9)])
    placed, facing = transform_points(TILTED, points), normals @ TILTED[:3, :3].T
    found = upright(placed, facing, TILTED @ up_there, 0.025, up=TILTED[:3, :3] @ [0.0, 0.0, 1.0])
    assert (found.by, found.floor_z_m) == (BY_IMU, None)
    z = found.T_map_first[:3, :3] @ TILTED[:3, :3] @ [0.0, 0.0, 1.0]
    assert np.rad2deg(np.arccos(z[2])) < 0.1
    without = upright(placed, facing, TILTED @ up_there, 0.025)
    z = without.T_map_first[:3, :3] @ TILTED[:3, :3] @ [0.0, 0.0, 1.0]
    assert np.rad2deg(np.arccos(z[2])) > 15.0


def test_a_camera_that_is_upside_down_by_the_imu_is_said():
    points, normals = surfaces()
    placed, facing = transform_points(TILTED, points), normals @ TILTED[:3, :3].T
    found = upright(placed, facing, TILTED @ CAMERAS, 0.025, up=TILTED[:3, :3] @ [0.0, 0.0, -1.0])
    assert "by the IMU the camera leans by 164 degrees" in found.remark
    assert "opposite sign" in found.remark
