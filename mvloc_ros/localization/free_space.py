# SPDX-License-Identifier: Apache-2.0
"""What the map would hide: its coarse points drawn into a small depth image and compared with what was measured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry import se3
from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.geometry.depth_noise import depth_noise
from mvloc_ros.geometry.projection import image_points, transform_points
from mvloc_ros.localization.local_map import COARSE_FACTOR, LocalMap

Array = NDArray[np.float64]

COLUMNS, ROWS = 40, 30
# A point must face the camera at least so much (cosine) to be drawn: edges on view hide little.
_FACING = 0.3
_SIGMAS = 3.0
# Nearer points are inside the lens.
_NEAREST_M = 0.05


@dataclass(frozen=True)
class FreeSpace:
    """Pixels of one depth camera, or of several, in which both the map and the frame have something.

    Attributes:
        through: the frame shows something behind a surface of the map: the pose is wrong, or the surface is gone.
        before: the frame shows something in front of it: somebody stands there, or the pose is wrong.
        both: those in which both have something.
        measured: those in which the frame has something.
    """

    through: int
    before: int
    both: int
    measured: int

    @property
    def seen_through(self) -> float:
        """Share of `through`."""
        return self.through / max(1, self.both)

    @property
    def hidden(self) -> float:
        """Share of `before`."""
        return self.before / max(1, self.both)

    def __add__(self, other: FreeSpace) -> FreeSpace:
        """Of both cameras."""
        return FreeSpace(
            self.through + other.through,
            self.before + other.before,
            self.both + other.both,
            self.measured + other.measured,
        )


NOTHING_SEEN = FreeSpace(0, 0, 0, 0)


def compare(
    points: Array, target: LocalMap, T_map_depth: Array, camera: PinholeCamera, resolution_m: float
) -> FreeSpace:
    """Compare points `[N, 3]` of a depth camera with the map at its pose (4x4); `camera` at any size."""
    small = camera.scaled_to(COLUMNS, ROWS)
    surface = target.coarse_near(T_map_depth[:3, 3])
    seen = transform_points(se3.inverse(T_map_depth), surface.points)
    # Most of the map is not in view: what is outside of a cone around it is left out first.
    wide, high = max(small.cx, COLUMNS - 1 - small.cx) + 0.5, max(small.cy, ROWS - 1 - small.cy) + 0.5
    x, y, z = seen.T
    near = (z > _NEAREST_M) & (np.abs(x) * small.fx < wide * z) & (np.abs(y) * small.fy < high * z)
    seen, normals = seen[near], surface.normals[near] @ T_map_depth[:3, :3]
    facing = -np.einsum("ni,ni->n", normals, seen)
    drawn = seen[facing > _FACING * np.sqrt(np.einsum("ni,ni->n", seen, seen))]
    expected = _nearest(drawn, small)
    # Twice: the nearest of a pixel and its neighbours says whether it was surely seen through, and the farthest
    # whether it was surely hidden, wherever in the pixel an edge lies.
    nearest, farthest = _nearest(points, small), _farthest(points, small)
    both = np.isfinite(expected) & np.isfinite(nearest)
    margin = _SIGMAS * depth_noise(np.where(both, expected, 0.0)) + COARSE_FACTOR * resolution_m
    with np.errstate(invalid="ignore"):
        through = both & (_around(nearest, np.minimum) > expected + margin)
        hidden = both & (farthest < _around(expected, np.minimum) - margin)
    return FreeSpace(*(int(np.count_nonzero(found)) for found in (through, hidden, both, np.isfinite(nearest))))


def _pixels(points: Array, camera: PinholeCamera) -> tuple[NDArray[np.intp], Array]:
    ahead = points[points[:, 2] > _NEAREST_M]
    u, v = image_points(ahead, camera)
    inside = (np.abs(u - (COLUMNS - 1) / 2) < COLUMNS / 2) & (np.abs(v - (ROWS - 1) / 2) < ROWS / 2)
    column, row = np.rint(u[inside]).astype(np.intp), np.rint(v[inside]).astype(np.intp)
    return np.clip(row, 0, ROWS - 1) * COLUMNS + np.clip(column, 0, COLUMNS - 1), ahead[inside, 2]


def _nearest(points: Array, camera: PinholeCamera) -> Array:
    pixel, depth = _pixels(points, camera)
    image = np.full(ROWS * COLUMNS, np.inf)
    np.minimum.at(image, pixel, depth)
    return image.reshape(ROWS, COLUMNS)


def _farthest(points: Array, camera: PinholeCamera) -> Array:
    pixel, depth = _pixels(points, camera)
    image = np.full(ROWS * COLUMNS, -np.inf)
    np.maximum.at(image, pixel, depth)
    return image.reshape(ROWS, COLUMNS)


def _around(image: Array, pick: np.ufunc) -> Array:
    """The picked of each pixel and its eight neighbours."""
    wide = np.pad(image, 1, mode="edge")
    rows = pick(pick(wide[:-2], wide[1:-1]), wide[2:])
    return np.asarray(pick(pick(rows[:, :-2], rows[:, 1:-1]), rows[:, 2:]))
