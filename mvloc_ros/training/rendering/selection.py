# SPDX-License-Identifier: Apache-2.0
"""Which frames make a view: few that together see most of it, from near its place and in about its direction."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry import se3
from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.training.rendering.source import COARSE, Source

Array = NDArray[np.float64]

MOST_FRAMES = 10
# Frames that are looked at: the nearest ones.
_CANDIDATES = 400
_ANGLE = math.radians(20.0)  # as in `coloring.dislike`
_NEAREST_M = 0.1
# What one more frame brings for a cell of the view that others show well.
_NEED_LEFT = 0.4
# In cells: a frame that adds less is not worth its time.
_LEAST_GAIN = 0.5
# A cell counts as seen from a weight of a view from 45 degrees beside, or from three times as far.
_SEEN = 0.1


class Selection(NamedTuple):
    """Numbers of frames in the source, best first, and the share of the view that they show, by coarse points."""

    frames: NDArray[np.int64]
    covered: float


def select(source: Source, T_map_view: Array, camera: PinholeCamera) -> Selection:
    """Frames for a view; none if none sees anything of it."""
    distances = np.linalg.norm(source.poses[:, :3, 3] - T_map_view[:3, 3], axis=1)
    near = np.sort(np.argsort(distances, kind="stable")[:_CANDIDATES])
    shown = _shown(source, near, T_map_view, camera)
    need = np.ones(shown.shape[1])
    chosen: list[int] = []
    for _ in range(min(MOST_FRAMES, len(near))):
        gains = shown @ need
        gains[chosen] = -1.0
        best = int(np.argmax(gains))
        if gains[best] < _LEAST_GAIN:
            break
        chosen.append(best)
        need *= 1.0 - (1.0 - _NEED_LEFT) * shown[best]
    if not chosen:
        return Selection(np.zeros(0, np.int64), 0.0)
    covered = float((shown[chosen].max(axis=0) > _SEEN).mean())
    return Selection(near[np.array(chosen)], covered)


def _shown(source: Source, near: NDArray[np.int64], T_map_view: Array, camera: PinholeCamera) -> Array:
    """How well each frame shows each cell of the view, from 0 to 1, `[N, cells]`."""
    T = (se3.inverse(T_map_view) @ source.poses[near]).astype(np.float32)
    other = source.points[near] @ T[:, :3, :3].transpose(0, 2, 1)
    ray = other + T[:, None, :3, 3]
    with np.errstate(invalid="ignore", divide="ignore"):
        z = ray[..., 2]
        column = np.floor((camera.fx * ray[..., 0] / z + camera.cx + 0.5) * (COARSE[0] / camera.width))
        row = np.floor((camera.fy * ray[..., 1] / z + camera.cy + 0.5) * (COARSE[1] / camera.height))
        inside = (z > _NEAREST_M) & (column >= 0) & (column < COARSE[0]) & (row >= 0) & (row < COARSE[1])
        frame, point = np.nonzero(inside)
        ray, other = ray[frame, point], other[frame, point]
        near_m, far_m = np.linalg.norm(ray, axis=1), np.linalg.norm(other, axis=1)
        cosine = np.clip((ray * other).sum(axis=1) / (near_m * far_m), -1.0, 1.0)
        weight = np.exp(-np.arccos(cosine) / _ANGLE - np.maximum(np.log2(far_m / near_m), 0.0))
    cells = COARSE[0] * COARSE[1]
    cell = (row[frame, point] * COARSE[0] + column[frame, point]).astype(np.int64)
    sums = np.bincount(frame * cells + cell, weight, len(near) * cells)
    return np.minimum(sums.reshape(len(near), cells), 1.0)
