# SPDX-License-Identifier: Apache-2.0
"""How an IMU is turned against the camera, as far as only its accelerometer tells that."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry import quaternion, se3
from mvloc_ros.posing.forces import Mean, Way, mean_over
from mvloc_ros.posing.imu_motion import ImuMotion

Array = NDArray[np.float64]

# How the IMU is turned about the axis that rotations leave open: steps, and how much better the best must be.
_STEPS, _BETTER = 72, 0.7
_SHORT_S = 0.5
# Without angular velocity: starts this far apart must lead to one direction, and all samples must agree on it.
_STARTS_RAD, _ONE_RAD, _AGREE_RAD, _ROUNDS = np.deg2rad(25.0), np.deg2rad(2.0), np.deg2rad(2.0), 200


def turned_as(motion: ImuMotion, ways: Sequence[Way]) -> Array | None:
    """R_camera_imu (3x3), completed or found by the accelerations; None where nothing tells."""
    X = motion.R_camera_imu
    if X is None:
        return None if motion.imu.rates is not None else _by_tilts(ways)
    if motion.mount is None or motion.mount.is_determined:
        return X
    return _about(motion.mount.axis, X, ways)


def _about(axis: Array, X: Array, ways: Sequence[Way]) -> Array:
    """X turned about an axis (of the camera) to where forces are best explained by changes of the velocity."""
    turns = [_rotation(axis * angle) @ X for angle in np.linspace(0.0, 2.0 * np.pi, _STEPS, endpoint=False)]
    costs = []
    for turned in turns:
        means = [mean for way in ways for mean in _short(way, turned)]
        if not means:
            return X
        forces = np.array([mean.force for mean in means])
        costs.append(float(np.median(np.linalg.norm(forces - np.median(forces, axis=0), axis=1))))
    best = int(np.argmin(costs))
    return turns[best] if costs[best] < _BETTER * float(np.median(costs)) else X


def _short(way: Way, X: Array) -> list[Mean]:
    middles = np.arange(way.times[0] + _SHORT_S, way.times[-1] - _SHORT_S, _SHORT_S)
    found = [mean_over(way, X, middle - _SHORT_S, middle + _SHORT_S) for middle in middles]
    return [mean for mean in found if mean is not None]


def _by_tilts(ways: Sequence[Way]) -> Array | None:
    """R_camera_imu by the forces alone: turned so, they point up in the map at every time.

    Directions and up are found in turns. If that depends on where it starts, the camera tilted too little.
    """
    spans = [(span, way) for way in ways for span in _spans(way)]
    if not spans:
        return None
    forces = np.array([way.forces[a:b].mean(axis=0) for (a, b), way in spans])
    forces /= np.maximum(np.linalg.norm(forces, axis=1, keepdims=True), 1e-9)
    turns = np.array([way.turns[(a + b) // 2] for (a, b), way in spans])
    start = -turns[:, :, 1].mean(axis=0)
    start /= max(float(np.linalg.norm(start)), 1e-9)
    aside = np.linalg.svd(start[None, :])[2][1:] * _STARTS_RAD
    found = [_settled(_rotation(v) @ start, forces, turns) for v in (np.zeros(3), *aside, *-aside)]
    ups = np.array([up for up, _ in found])
    X = found[0][1]
    off = np.einsum("nij,jk,nk->ni", turns, X, forces) @ ups[0]
    is_one = np.arccos(np.clip(ups @ ups[0], -1.0, 1.0)).max() <= _ONE_RAD
    return X if is_one and float(np.median(np.arccos(np.clip(off, -1.0, 1.0)))) <= _AGREE_RAD else None


def _spans(way: Way) -> list[tuple[int, int]]:
    """Ranges of samples, half a second each."""
    edges = np.searchsorted(way.at, np.arange(way.at[0], way.at[-1], _SHORT_S))
    return [(int(a), int(b)) for a, b in pairwise(edges) if b - a >= 2]


def _settled(up: Array, forces: Array, turns: Array) -> tuple[Array, Array]:
    X = np.eye(3)
    for _ in range(_ROUNDS):
        wanted = np.swapaxes(turns, 1, 2) @ up
        X = np.asarray(se3.project_to_so3(wanted.T @ forces))
        up = np.einsum("nij,jk,nk->i", turns, X, forces)
        up /= max(float(np.linalg.norm(up)), 1e-9)
    return up, X


def _rotation(vector: Array) -> Array:
    return np.asarray(quaternion.to_matrix(quaternion.exp(0.5 * vector)))
