# SPDX-License-Identifier: Apache-2.0
"""Points to depth maps: pinhole, cylindrical, and depth of one camera seen from another.

The node and the training folders use these same functions. Points are `[N, 3]` in metres in an optical
frame (x right, y down, z forward; REP-103). Depth maps are float32 metres, 0 where no point fell.
Pixels are counted as in `geometry.camera`: (0, 0) is the CENTRE of the first pixel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mvloc_ros.geometry.camera import PinholeCamera

Array = NDArray[np.float64]
_Number = TypeVar("_Number", np.float32, np.float64)

NEAREST_M = 1e-3
"""Points closer than this to the camera's plane are inside the lens: no measurement."""
_TURN = 2.0 * math.pi
_OVERLAP = 1.1
"""Registration enlarges a depth pixel by this, so that a small rotation between the cameras tears no surface."""
_LARGEST_FOOTPRINT = 8.0
_LARGEST_SQUARE = 32.0
_BLOCK = 1 << 14
"""Points that are transformed at once. BLAS libraries divide larger products between threads, which costs these small
matrices many times what they take, and more where other programs have the cores."""


@dataclass(frozen=True)
class Panorama:
    """A cylindrical depth map around the camera's y axis.

    Columns are linear in the azimuth atan2(x, z), to the right positive. Rows run from the top down and are
    linear in the elevation above the horizon, asin(-y / r), or with `vertical="height"` in the height
    -y / sqrt(x^2 + z^2) on a cylinder of radius one, which is what an unrolled cylinder shows.

    Attributes:
        left: azimuth of the left edge in radians; `right` that of the right edge, at most one turn further.
        top: elevation of the upper edge in radians; `bottom` that of the lower edge.
    """

    width: int
    height: int
    left: float = -math.pi
    right: float = math.pi
    top: float = math.radians(15.0)
    bottom: float = math.radians(-25.0)
    vertical: str = "elevation"

    def __post_init__(self) -> None:
        if min(self.width, self.height) < 1 or not self.left < self.right <= self.left + _TURN + 1e-9:
            raise ValueError(f"A panorama needs pixels and at most one turn from left to right: {self}.")
        if not -math.pi / 2 <= self.bottom < self.top <= math.pi / 2 or self.vertical not in ("elevation", "height"):
            raise ValueError(f"A panorama needs bottom < top within +-90 degrees, and elevation or height: {self}.")

    def pixels(self, points: Array) -> tuple[Array, Array]:
        """Columns and rows, `[N]` each and not rounded, of points `[N, 3]`; columns count from the left edge's."""
        x, y, z = points.T
        level = np.hypot(x, z)
        turned = np.mod(np.arctan2(x, z) - self.left, _TURN)
        u = turned / (self.right - self.left) * self.width - 0.5
        low, high = self._row_value(self.bottom), self._row_value(self.top)
        value = np.arctan2(-y, level) if self.vertical == "elevation" else -y / np.maximum(level, NEAREST_M)
        return u, (high - value) / (high - low) * self.height - 0.5

    def _row_value(self, elevation: float) -> float:
        return elevation if self.vertical == "elevation" else math.tan(elevation)


def project_pinhole(points: ArrayLike, camera: PinholeCamera, splat: float = 1.0) -> NDArray[np.float32]:
    """Depth map `[height, width]` of points `[N, 3]` in the camera's optical frame: z in metres.

    The nearest point of a pixel wins. Points that are not finite, behind the camera or outside of the image
    are left out. Each point covers `splat` x `splat` pixels (1: its own), so that sparse scans of a LIDAR
    hide what is behind them.
    """
    finite = _finite(points)
    ahead = finite[finite[:, 2] > NEAREST_M]
    u, v = image_points(ahead, camera)
    return _nearest(u, v, ahead[:, 2], _footprint(splat), (camera.height, camera.width))


def project_cylindrical(points: ArrayLike, panorama: Panorama, splat: float = 1.0) -> NDArray[np.float32]:
    """Range map `[height, width]` of points `[N, 3]` in the optical frame: distance from the origin in metres.

    As `project_pinhole` otherwise. In a panorama of one whole turn the left and right edges touch.
    """
    finite = _finite(points)
    distance = np.linalg.norm(finite, axis=1)
    apart, distance = finite[distance > NEAREST_M], distance[distance > NEAREST_M]
    u, v = panorama.pixels(apart)
    whole_turn = panorama.right - panorama.left > _TURN - 1e-9
    return _nearest(u, v, distance, _footprint(splat), (panorama.height, panorama.width), wrap=whole_turn)


def image_points(points: Array, camera: PinholeCamera) -> tuple[Array, Array]:
    """Columns and rows, `[N]` each and not rounded, of points `[N, 3]` in front of the camera."""
    x, y, z = points.T
    return camera.fx * x / z + camera.cx, camera.fy * y / z + camera.cy


def unproject(depth: ArrayLike, camera: PinholeCamera) -> Array:
    """Points `[N, 3]` float64 in the camera's optical frame of a depth map `[H, W]` in metres, row after row.

    Pixels without a measurement (0, NaN, infinite, negative) give no point.

    Raises:
        ValueError: the map has not the camera's size.
    """
    z = np.asarray(depth, dtype=np.float64)
    if z.shape != (camera.height, camera.width):
        raise ValueError(f"A depth map of {z.shape[::-1]} pixels is not of the camera {camera}.")
    v, u = np.nonzero(np.isfinite(z) & (z > 0.0))
    z = z[v, u]
    return np.stack([(u - camera.cx) * z / camera.fx, (v - camera.cy) * z / camera.fy, z], axis=1)


def transform_points(T: ArrayLike, points: ArrayLike) -> Array:
    """Points `[N, 3]` mapped by a 4x4 transform."""
    T, points = np.asarray(T, dtype=np.float64), np.asarray(points, dtype=np.float64)
    moved = np.empty((len(points), 3))
    for first in range(0, len(points), _BLOCK):
        np.matmul(points[first : first + _BLOCK], T[:3, :3].T, out=moved[first : first + _BLOCK])
    moved += T[:3, 3]
    return moved


def measured_points(points: NDArray[_Number]) -> NDArray[_Number]:
    """Those of points `[N, 3]` in their sensor's own frame that are measurements: finite, and not (0, 0, 0).

    To be called before the points are carried into another frame, where the sensor's origin is a place like any other.
    """
    return points[np.isfinite(points).all(axis=1) & points.any(axis=1)]


def register_depth(
    depth: ArrayLike, depth_camera: PinholeCamera, color_camera: PinholeCamera, T_color_depth: ArrayLike
) -> NDArray[np.float32]:
    """Depth map of the depth camera as the colour camera would have measured it, `[H, W]` of the colour camera.

    Each depth pixel is carried as the rectangle that it covers in the colour image, so that a surface has no
    holes where the colour image has more pixels; where surfaces overlap the nearest wins. What the depth
    camera did not see stays 0.
    """
    before = unproject(depth, depth_camera)
    after = transform_points(T_color_depth, before)
    ahead = after[:, 2] > NEAREST_M
    before, after = before[ahead], after[ahead]
    nearer = before[:, 2] / after[:, 2]
    wide, high = (
        np.clip(_OVERLAP * nearer * ratio, 1.0, _LARGEST_FOOTPRINT * max(1.0, ratio))
        for ratio in (color_camera.fx / depth_camera.fx, color_camera.fy / depth_camera.fy)
    )
    u, v = image_points(after, color_camera)
    return _nearest(u, v, after[:, 2], (wide, high), (color_camera.height, color_camera.width))


def visible_points(points: Array, camera: PinholeCamera, size_m: float) -> NDArray[np.int64]:
    """Which point each pixel shows: indices `[height, width]` into finite points `[N, 3]` in the optical frame, or -1.

    The nearest point of a pixel wins. A point covers at least its own pixel, and as many more as a square of `size_m`
    that faces the camera, up to `_LARGEST_SQUARE`, so that a surface whose points are so far apart hides what is
    behind it.
    """
    ahead = np.flatnonzero(points[:, 2] > NEAREST_M)
    u, v = image_points(points[ahead], camera)
    margin = _LARGEST_SQUARE
    inside = (u > -margin) & (v > -margin) & (u < camera.width + margin) & (v < camera.height + margin)
    ahead, u, v = ahead[inside], u[inside], v[inside]
    order = np.argsort(points[ahead, 2], kind="stable")
    ahead, u, v = ahead[order], u[order], v[order]
    pixels = np.clip(max(camera.fx, camera.fy) * size_m / points[ahead, 2], 1.0, _LARGEST_SQUARE)
    # From near to far: the smallest number of a pixel is the nearest point's. Near points, which cover much, are few.
    number, shape = np.arange(1.0, len(ahead) + 1.0), (camera.height, camera.width)
    first = np.full(shape, np.inf)
    bands = 2.0 ** np.arange(0, np.log2(_LARGEST_SQUARE) + 1)
    for low, high in zip((0.0, *bands[:-1]), bands, strict=True):
        band = (pixels > low) & (pixels <= high)
        shown = _nearest(u[band], v[band], number[band], (pixels[band], pixels[band]), shape).astype(np.float64)
        first = np.where(shown > 0.0, np.minimum(first, shown), first)
    known = np.isfinite(first)
    result = np.full(shape, -1, np.int64)
    result[known] = ahead[first[known].astype(np.int64) - 1]
    return result


def _finite(points: ArrayLike) -> Array:
    points = np.asarray(points, dtype=np.float64).reshape(-1, 3)
    return points[np.isfinite(points).all(axis=1)]


def _footprint(splat: float) -> tuple[Array, Array]:
    if not (math.isfinite(splat) and splat >= 1.0):
        raise ValueError(f"A point covers at least its own pixel: splat must be 1 or more, not {splat}.")
    return np.array(splat), np.array(splat)


def _nearest(
    u: Array, v: Array, values: Array, footprint: tuple[Array, Array], shape: tuple[int, int], wrap: bool = False
) -> NDArray[np.float32]:
    """The smallest value in each pixel; a point covers the pixels whose centres its footprint contains."""
    height, width = shape
    wide, high = np.broadcast_to(footprint[0], u.shape), np.broadcast_to(footprint[1], v.shape)
    # Far outside first: a point beside the camera has columns that no integer holds.
    near = (np.abs(u) < 1e6) & (np.abs(v) < 1e6)
    u, v, values, wide, high = u[near], v[near], values[near], wide[near], high[near]
    # Half-open, (u - w/2, u + w/2]: a point between two pixels belongs to the right one, as by floor(u + 1/2).
    first_column = np.floor(u - 0.5 * wide).astype(np.int64) + 1
    first_row = np.floor(v - 0.5 * high).astype(np.int64) + 1
    buffer = np.full(height * width, np.inf)
    for down in range(math.ceil(np.max(high, initial=1.0))):
        for right in range(math.ceil(np.max(wide, initial=1.0))):
            column, row = first_column + right, first_row + down
            covered = (column <= u + 0.5 * wide) & (row <= v + 0.5 * high)
            if wrap:
                column = np.mod(column, width)
            covered &= (column >= 0) & (column < width) & (row >= 0) & (row < height)
            np.minimum.at(buffer, row[covered] * width + column[covered], values[covered])
    buffer[~np.isfinite(buffer)] = 0.0
    return buffer.reshape(height, width).astype(np.float32)
