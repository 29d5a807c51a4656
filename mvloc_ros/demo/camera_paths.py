# SPDX-License-Identifier: Apache-2.0
"""Smooth random camera paths through the room.

A path is a uniform cubic B-spline through random control points in (x, y, z, yaw, pitch, roll). Such a curve is
twice continuously differentiable and stays inside the bounding box of its control points, so that box is the volume of
the training. Its timing keeps speed and turn rate below their limits.

The camera looks north and to both sides, never south, where the log-quaternion that MVLoc regresses (Eq. 12) is
discontinuous.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

MAX_SPEED = 0.5  # m/s
MAX_TURN = np.deg2rad(40.0)  # rad/s, about the vertical axis
_ROOT = 1.1127756842787055  # of x^7 = x + 1
_SAMPLES = 120  # per control point, for the relation between time and the curve
_LEAST_S = 2.0  # minimum s per control point: the camera slows down in tight turns


@dataclass(frozen=True)
class Volume:
    """Bounds of (x, y, z in meters; yaw, pitch, roll in degrees); yaw 90 looks north (+y), pitch up is positive."""

    low: tuple[float, float, float, float, float, float] = (-1.5, -1.0, 0.9, 10.0, -11.0, -3.0)
    high: tuple[float, float, float, float, float, float] = (1.5, 1.0, 1.5, 170.0, 7.0, 3.0)

    def shrunk(self, share: float) -> Volume:
        """The same volume with every side multiplied by `share`, about its center."""
        low, high = np.array(self.low), np.array(self.high)
        centre, half = (low + high) / 2, share * (high - low) / 2
        a, b, c, d, e, f = (centre - half).tolist()
        g, h, i, j, k, m = (centre + half).tolist()
        return Volume((a, b, c, d, e, f), (g, h, i, j, k, m))


def drive(volume: Volume, key: tuple[int, ...], stamps_s: npt.ArrayLike) -> FloatArray:
    """Poses T_map_camera [N, 4, 4] at times [N] (s, from 0) on the path that `key` determines.

    A longer path starts with the shorter one.
    """
    times = np.asarray(stamps_s, dtype=np.float64)
    count = 8
    while True:
        curve = _spline(_control_points(volume, key, count))
        clock = _clock(curve)
        if clock[-1] > np.max(times):
            break
        count *= 2
    parameters = np.array([np.interp(times, clock, column) for column in curve.T]).T
    return np.array([camera_pose(*row) for row in parameters])


def camera_pose(x: float, y: float, z: float, yaw: float, pitch: float = 0.0, roll: float = 0.0) -> FloatArray:
    """T_map_camera 4x4 of a camera at (x, y, z) meters; angles in radians, optical frame (z forward, y down)."""
    ahead = np.array([np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), np.sin(pitch)])
    level = np.array([np.sin(yaw), -np.cos(yaw), 0.0])
    below = np.cross(ahead, level)
    pose = np.eye(4)
    pose[:3, 0] = np.cos(roll) * level + np.sin(roll) * below
    pose[:3, 1] = np.cos(roll) * below - np.sin(roll) * level
    pose[:3, 2] = ahead
    pose[:3, 3] = x, y, z
    return pose


def _control_points(volume: Volume, key: tuple[int, ...], count: int) -> FloatArray:
    """[count, 6], angles in radians; a random start for the key, then steps that cover the volume evenly.

    The steps are the additive recurrence of Roberts (R6): powers of the inverse of the root of x^7 = x + 1, assigned to
    the coordinates at random, so that every key gives a different curve.
    """
    rng = np.random.default_rng(key)
    steps = rng.permutation(_ROOT ** -np.arange(1.0, 7.0))
    share = (rng.random(6) + np.arange(count)[:, None] * steps) % 1.0
    low, high = np.array(volume.low), np.array(volume.high)
    points = low + share * (high - low)
    points[:, 3:] = np.deg2rad(points[:, 3:])
    return points


def _spline(points: FloatArray) -> FloatArray:
    """Dense samples of the uniform cubic B-spline, [M, 6]."""
    t = (np.arange(_SAMPLES) / _SAMPLES)[:, None]
    weights = (
        (1 - t) ** 3 / 6,
        (3 * t**3 - 6 * t**2 + 4) / 6,
        (-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6,
        t**3 / 6,
    )
    basis = np.concatenate(weights, axis=1)  # [_SAMPLES, 4]
    return np.concatenate([basis @ points[i : i + 4] for i in range(len(points) - 3)])


def _clock(curve: FloatArray) -> FloatArray:
    """Time in seconds at each sample, a smooth combination that keeps all limits."""
    change = np.gradient(curve, axis=0)
    speed, turn = np.linalg.norm(change[:, :3], axis=1) / MAX_SPEED, change[:, 3] / MAX_TURN
    pace = np.sqrt(speed**2 + turn**2 + (_LEAST_S / _SAMPLES) ** 2)
    return np.concatenate([[0.0], np.cumsum((pace[1:] + pace[:-1]) / 2)])
