# SPDX-License-Identifier: Apache-2.0
"""The map's frame: z up, the floor at z = 0, the first camera above the origin and looking along x (REP-103, REP-105).

Up is where the cameras' tops point on the average, then the normal of the level surfaces near that direction.
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
_ROUNDS = 2
# Cameras that look straight down or were turned over tell no up direction.
_LEAST_UPRIGHT = 0.7


@dataclass(frozen=True, eq=False)
class Upright:
    """Where the map's frame is.

    Attributes:
        T_map_first: 4x4, from the frame in which the poses were found.
        by: what z was taken from, `BY_FLOOR` or `BY_CAMERA`.
        origin: where the first camera is: x and y in meters, heading against x in degrees.
        floor_z_m: height of the floor; None where none was found, z = 0 is the first camera's height then.
    """

    T_map_first: Array
    by: str
    floor_z_m: float | None
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)


def upright(
    points: Array,
    normals: Array,
    poses: Array,
    resolution_m: float,
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> Upright:
    """The map's frame.

    Args:
        points: surfaces `[N, 3]`.
        normals: `[N, 3]`, towards the cameras.
        poses: of the cameras, `[M, 4, 4]`.
        resolution_m: how far the points are apart.
        origin: where the first camera is in that frame: x and y in meters, heading against x in degrees.
    """
    T = turned_up(camera_up(poses))
    by = BY_CAMERA
    if float(np.linalg.norm(poses[:, :3, 1].mean(axis=0))) >= _LEAST_UPRIGHT:
        for _ in range(_ROUNDS):
            turned = normals @ T[:3, :3].T
            T = turned_up(mean_normal(turned)) @ T
        by = BY_FLOOR
    placed, facing, cameras = transform_points(T, points), normals @ T[:3, :3].T, T @ poses
    content = MapPoints(placed, facing.astype(np.float32), np.zeros(len(points), np.uint8))
    none, floor_z = np.zeros(CORRECTION_SHAPE, np.float32), None
    try:
        floor_z = find_floor(SceneMap.from_points(content, none, 4.0, resolution_m), cameras).height_m
    except MappingError:
        T = turned_up(camera_up(poses)) if by == BY_FLOOR else T
        cameras, by = T @ poses, BY_CAMERA
    first = cameras[0]
    turn = np.deg2rad(origin[2]) - np.arctan2(first[1, 2], first[0, 2])
    c, s = np.cos(turn), np.sin(turn)
    below = np.array([*first[:2, 3], first[2, 3] if floor_z is None else floor_z])
    level = np.eye(4)
    level[:2, :2] = [[c, -s], [s, c]]
    level[:3, 3] = np.array([*origin[:2], 0.0]) - level[:3, :3] @ below
    return Upright(level @ T, by, None if floor_z is None else 0.0, origin)


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
