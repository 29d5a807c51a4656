# SPDX-License-Identifier: Apache-2.0
"""Depth images of a folder as what the check compares: a thinned image, and points away from its edges."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.geometry.projection import image_points
from mvloc_ros.recordings.errors import RecordingError
from mvloc_ros.recordings.frames import FrameRecord
from mvloc_ros.recordings.images import read_depth

Array = NDArray[np.float64]

POINTS = 1000
"""Points of one frame that are carried into others."""
_COLUMNS = 320
_FLAT = 0.03
"""Relative difference to the neighbours below which a pixel is on a surface and not at an edge, where noise, flying
pixels and half a pixel of error decide what is measured."""


@dataclass(frozen=True, eq=False)
class DepthView:
    """One depth image.

    Attributes:
        depth: every `step`-th pixel, metres, float32 `[h, w]`, 0 where nothing was measured.
        first, step: row and column of the full image that lie at index 0, and from one to the next.
        camera: intrinsics of the full image.
        points: `[N, 3]` in metres in the depth camera's optical frame.
    """

    depth: NDArray[np.float32]
    first: int
    step: int
    camera: PinholeCamera
    points: Array

    def measured_at(self, points: Array) -> tuple[NDArray[np.bool_], Array]:
        """Which points `[N, 3]` fall on a measurement, and the depth `[N]` measured there (0 elsewhere)."""
        ahead = points[:, 2] > 0.0
        u, v = image_points(np.where(ahead[:, None], points, 1.0), self.camera)
        height, width = self.depth.shape
        column, row = ((np.clip(x, -1e6, 1e6) - self.first) / self.step for x in (u, v))
        column, row = np.rint(column).astype(np.intp), np.rint(row).astype(np.intp)
        inside = ahead & (column >= 0) & (column < width) & (row >= 0) & (row < height)
        found = np.zeros(len(points))
        found[inside] = self.depth[row[inside], column[inside]]
        return found > 0.0, found


class DepthViews:
    """The depth images of frames, read once each; None where one is missing or damaged."""

    def __init__(self, camera: PinholeCamera, units_per_metre: float) -> None:
        self._camera, self._units = camera, units_per_metre
        self.of = lru_cache(maxsize=None)(self._read)

    def _read(self, frame: FrameRecord) -> DepthView | None:
        if frame.depth is None:
            return None
        try:
            depth = read_depth(frame.depth, self._units)
        except RecordingError:
            return None  # counted where all images are read
        return view_of(depth, self._camera) if depth.shape == (self._camera.height, self._camera.width) else None


def view_of(depth: NDArray[np.float32], camera: PinholeCamera) -> DepthView:
    """Thin a depth map `[H, W]` in metres and pick points on its surfaces."""
    step = max(1, camera.width // _COLUMNS)
    first = step // 2
    thin = np.ascontiguousarray(depth[first::step, first::step])
    row, column = _surface_pixels(thin)
    apart = max(1, len(row) // POINTS)
    row, column = row[apart // 2 :: apart], column[apart // 2 :: apart]
    z = thin[row, column].astype(np.float64)
    u, v = column * step + first, row * step + first
    points = np.stack([(u - camera.cx) * z / camera.fx, (v - camera.cy) * z / camera.fy, z], axis=1)
    return DepthView(thin, first, step, camera, points)


def _surface_pixels(depth: NDArray[np.float32]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of pixels whose four neighbours are measured at about the same depth."""
    middle = depth[1:-1, 1:-1]
    flat = middle > 0.0
    for neighbour in (depth[:-2, 1:-1], depth[2:, 1:-1], depth[1:-1, :-2], depth[1:-1, 2:]):
        flat &= np.abs(neighbour - middle) < _FLAT * middle
    row, column = np.nonzero(flat)
    return row + 1, column + 1
