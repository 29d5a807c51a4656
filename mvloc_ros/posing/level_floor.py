# SPDX-License-Identifier: Apache-2.0
"""The floor that a robot drives on, taken as level: what keeps a large map from bending up or down.

Only for a camera that is always as high above the lowest level surface that it sees: one on a robot with wheels. A
table would give another height, and a camera that is carried rises and sinks. A floor that was seen to tilt by more
than 2 degrees within a few meters has a ramp and is not level. Slopes that begin more gently are not seen: where there
are some, the assumption is to be switched off (`PosingOptions.level_floor`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry.projection import transform_points
from mvloc_ros.mapping.grid_floor import camera_up, mean_normal
from mvloc_ros.posing.pose_graph import Known
from mvloc_ros.posing.upright import turned_up
from mvloc_ros.posing.view import View

Array = NDArray[np.float64]

_LEVEL = float(np.cos(np.deg2rad(12.0)))
_BIN_M, _FIT_M = 0.04, 0.05
# A floor has so many of a view's points, and lies so far below the camera.
_LEAST_POINTS, _BELOW_M = 150, 0.15
# Keyframes that must see it at one height, and how much that may differ.
_LEAST_SHARE, _SAME_HEIGHT_M, _LEAST_SAME = 0.2, 0.03, 0.8
# Within windows of so many meters, so far apart, the floor as it was seen must not tilt by more.
_WINDOW_M, _APART_M, _LEAST_IN_WINDOW, _MOST_BEND_RAD = 1.0, 0.5, 3, np.deg2rad(2.0)
_SIGMA_M, _SIGMA_RAD, _UNKNOWN = 0.02, np.deg2rad(0.5), 1e3


@dataclass(frozen=True, eq=False)
class LevelFloor:
    """Where the floor is level.

    Attributes:
        T_level: 4x4 that brings poses into a frame with z up and the floor near z = 0.
        known: of each keyframe that sees the floor its height, roll and pitch by that.
        height_m: of the camera above the floor.
    """

    T_level: Array
    known: list[Known]
    height_m: float

    def tilt_against(self, up: Array) -> float:
        """Angle in rad between its normal and a unit vector `[3]` in the frame of the poses that it was found by."""
        return float(np.arccos(np.clip(self.T_level[2, :3] @ up, -1.0, 1.0)))


def level_floor(views: Sequence[View], poses: Array) -> LevelFloor | None:
    """The floor by keyframes with their poses `[N, 4, 4]`; None if they do not see one, always at the same height."""
    T = turned_up(camera_up(poses))
    normals = np.concatenate([view.normals @ (T @ pose)[:3, :3].T for view, pose in zip(views, poses, strict=True)])
    T = turned_up(mean_normal(normals)) @ T
    seen = [(n, plane) for n, view in enumerate(views) if (plane := _floor_of(view, T @ poses[n])) is not None]
    if len(seen) < _LEAST_SHARE * len(views):
        return None
    heights = np.array([height for _, (_, height) in seen])
    usual = float(np.median(heights))
    same = np.abs(heights - usual) <= _SAME_HEIGHT_M
    if same.mean() < _LEAST_SAME:
        return None
    if _largest_bend(seen, T @ poses) > _MOST_BEND_RAD:
        return None
    T[2, 3] = usual - float(np.median([(T @ poses[n])[2, 3] for n, _ in seen]))
    known = []
    for (number, (normal, height)), is_same in zip(seen, same, strict=True):
        if is_same:
            pose = T @ poses[number]
            told = turned_up(pose[:3, :3] @ normal) @ np.block([[pose[:3, :3], np.zeros((3, 1))], [0.0, 0.0, 0.0, 1.0]])
            told[:3, 3] = [pose[0, 3], pose[1, 3], height]
            sigmas = np.array([_UNKNOWN, _UNKNOWN, _SIGMA_M, _SIGMA_RAD, _SIGMA_RAD, _UNKNOWN])
            known.append(Known(number, told, np.diag(sigmas**2)))
    return LevelFloor(T, known, usual)


def _largest_bend(seen: Sequence[tuple[int, tuple[Array, float]]], poses: Array) -> float:
    """By how much the floor, as it was seen on the way, tilts within a few meters at most, in radians.

    Odometry that drifts bends a floor by a degree in ten meters or more, the foot of a ramp by all of its slope.
    """
    up = np.array([poses[n, :3, :3] @ normal for n, (normal, _) in seen])
    positions = np.array([poses[n, :3, 3] for n, _ in seen])
    way = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(positions, axis=0), axis=1))])
    bend = 0.0
    for at in np.arange(_WINDOW_M, way[-1], _WINDOW_M):
        before = up[(way >= at - _WINDOW_M) & (way < at)]
        after = up[(way >= at + _APART_M) & (way < at + _APART_M + _WINDOW_M)]
        if min(len(before), len(after)) >= _LEAST_IN_WINDOW:
            tilts = np.median(before, axis=0)[:2] - np.median(after, axis=0)[:2]
            bend = max(bend, float(np.linalg.norm(tilts)))
    return bend


def _floor_of(view: View, T: Array) -> tuple[Array, float] | None:
    """Normal `[3]` of the lowest level surface in the camera's frame, and the camera's height above it.

    `T` (4x4) has the camera in a frame with z about up.
    """
    facing = view.normals @ T[2, :3]
    points = view.points[facing >= _LEVEL]
    heights = transform_points(T, points)[:, 2] - T[2, 3]
    points, heights = points[heights < -_BELOW_M], heights[heights < -_BELOW_M]
    if len(points) < _LEAST_POINTS:
        return None
    low = float(heights.min())
    counts = np.bincount(((heights - low) / _BIN_M).astype(np.intp))
    large = np.flatnonzero(counts + np.append(counts[1:], 0) >= _LEAST_POINTS)
    if not len(large):
        return None
    level = low + (large[0] + 1) * _BIN_M
    near = points[np.abs(heights - level) < _FIT_M]
    middle = near.mean(axis=0)
    normal = np.linalg.svd(near - middle, full_matrices=False)[2][2]
    normal = normal if normal @ middle < 0.0 else -normal  # towards the camera
    return normal, float(-normal @ middle)
