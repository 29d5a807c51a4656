# SPDX-License-Identifier: Apache-2.0
"""The map's frame: z up, the floor at z = 0, the first camera above the origin and looking along x (REP-103, REP-105).

Up is what the accelerometer says, where there is one, else where the cameras' tops point on the average; then the
normal of the level surfaces near that direction.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry.covariance import skew
from mvloc_ros.geometry.projection import transform_points
from mvloc_ros.localization.depth_points import CORRECTION_SHAPE
from mvloc_ros.localization.scene_map import MapPoints, SceneMap
from mvloc_ros.mapping.errors import MappingError
from mvloc_ros.mapping.grid_floor import camera_up, find_floor, mean_normal

Array = NDArray[np.float64]

BY_FLOOR, BY_CAMERA = "floor plane", "first camera"
BY_IMU, BY_IMU_AND_FLOOR = "IMU", "IMU and the floor plane"
_ROUNDS = 2
# Cameras that look straight down or were turned over tell no up direction.
_LEAST_UPRIGHT = 0.7
# Level surfaces refine what the accelerometer says by this at most: beyond they are a ramp, or it errs.
_MOST_REFINED = np.deg2rad(3.0)
# Cameras that lean so far by the IMU on the average are said.
_LEANING = np.deg2rad(60.0)


@dataclass(frozen=True, eq=False)
class Upright:
    """Where the map's frame is.

    Attributes:
        T_map_first: 4x4, from the frame in which the poses were found.
        by: what z was taken from, `BY_FLOOR`, `BY_CAMERA`, `BY_IMU` or `BY_IMU_AND_FLOOR`.
        origin: where the first camera is: x and y in meters, heading against x in degrees.
        floor_z_m: height of the floor; None where none was found, z = 0 is the first camera's height then.
        remark: how what tells z contradicts itself; empty where it does not.
    """

    T_map_first: Array
    by: str
    floor_z_m: float | None
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)
    remark: str = ""


def upright(
    points: Array,
    normals: Array,
    poses: Array,
    resolution_m: float,
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0),
    up: Array | None = None,
) -> Upright:
    """The map's frame.

    Args:
        points: surfaces `[N, 3]`.
        normals: `[N, 3]`, towards the cameras.
        poses: of the cameras, `[M, 4, 4]`.
        resolution_m: how far the points are apart.
        origin: where the first camera is in that frame: x and y in meters, heading against x in degrees.
        up: by the accelerometer, unit vector `[3]`; None without.
    """
    T, by, remark = _by_cameras(normals, poses) if up is None else _by_imu(normals, poses, up)
    placed, facing, cameras = transform_points(T, points), normals @ T[:3, :3].T, T @ poses
    content = MapPoints(placed, facing.astype(np.float32), np.zeros(len(points), np.uint8))
    none, floor_z = np.zeros(CORRECTION_SHAPE, np.float32), None
    try:
        scene = SceneMap.from_points(content, none, 4.0, resolution_m)
        floor_z = find_floor(scene, cameras if up is None else None).height_m
    except MappingError:
        T = turned_up(camera_up(poses) if up is None else up)
        cameras, by = T @ poses, BY_CAMERA if up is None else BY_IMU
    first = cameras[0]
    turn = np.deg2rad(origin[2]) - np.arctan2(first[1, 2], first[0, 2])
    c, s = np.cos(turn), np.sin(turn)
    below = np.array([*first[:2, 3], first[2, 3] if floor_z is None else floor_z])
    level = np.eye(4)
    level[:2, :2] = [[c, -s], [s, c]]
    level[:3, 3] = np.array([*origin[:2], 0.0]) - level[:3, :3] @ below
    return Upright(level @ T, by, None if floor_z is None else 0.0, origin, remark)


def _by_cameras(normals: Array, poses: Array) -> tuple[Array, str, str]:
    """T (4x4) that brings up to z, what it is by, and a remark."""
    T = turned_up(camera_up(poses))
    if float(np.linalg.norm(poses[:, :3, 1].mean(axis=0))) < _LEAST_UPRIGHT:
        return T, BY_CAMERA, ""
    return _by_level_surfaces(normals, T), BY_FLOOR, ""


def _by_imu(normals: Array, poses: Array, up: Array) -> tuple[Array, str, str]:
    """The same by the accelerometer, and the level surfaces where they agree with it."""
    T, remark = turned_up(up), ""
    leaning = float(np.arccos(np.clip(camera_up(poses) @ up, -1.0, 1.0)))
    if leaning > _LEANING:
        remark = (
            f"by the IMU the camera leans by {np.rad2deg(leaning):.0f} degrees on the average: if it does not, the "
            "accelerometer has other axes or the opposite sign (at rest it must show +9.81 m/s^2 upwards, REP-145); "
            "then use --without-imu"
        )
    refined = _by_level_surfaces(normals, T)
    off = float(np.arccos(np.clip(refined[2, :3] @ up, -1.0, 1.0)))
    if off <= _MOST_REFINED:
        return refined, BY_IMU_AND_FLOOR, remark
    tilted = f"level surfaces tilt by {np.rad2deg(off):.1f} degrees against the IMU, which z is taken from"
    return T, BY_IMU, "; ".join(part for part in (remark, tilted) if part)


def _by_level_surfaces(normals: Array, T: Array) -> Array:
    """T (4x4), which brings up near z, refined by the surfaces that are level then."""
    for _ in range(_ROUNDS):
        T = turned_up(mean_normal(normals @ T[:3, :3].T)) @ T
    return T


def turned_up(up: Array) -> Array:
    """The smallest rotation (4x4) that brings a direction to z."""
    z = np.array([0.0, 0.0, 1.0])
    axis, cosine = np.cross(up, z), float(up @ z)
    T = np.eye(4)
    if cosine < -1.0 + 1e-9:
        T[1, 1] = T[2, 2] = -1.0
        return T
    K = skew(axis)
    T[:3, :3] = np.eye(3) + K + K @ K / (1.0 + cosine)
    return T
