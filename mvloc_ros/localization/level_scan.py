# SPDX-License-Identifier: Apache-2.0
"""What depth images show around a camera that moves in a plane: occupied and free cells, in layers of height.

One image shows a few meters of wall, which many places have. While the place is not known, images of several moments
are put together by odometry.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry import se3
from mvloc_ros.geometry.projection import transform_points
from mvloc_ros.localization.motion import Distance
from mvloc_ros.localization.planar_motion import PlanarMotion

Array = NDArray[np.float64]

CELL_M = 0.2
LAYERS_M = ((-0.6, -0.3), (-0.3, 0.0), (0.0, 0.3), (0.3, 0.7))
"""Above the camera's height."""
REACH_M = 8.0
"""What is further away from the camera is left out."""
_RADIUS = round(REACH_M / CELL_M)
_SIDE = 2 * _RADIUS + 1
# A ray says nothing of the last stretch before what it meets, which lies in the same cell or beside it.
_BEFORE_M = 0.35
_MOST_POINTS = 2500
# Images that are kept: from so far apart, and so many.
_APART_M, _APART_RAD, _MOST_IMAGES = 0.15, np.radians(10.0), 10
_KEPT_NS = 30_000_000_000
# Odometry that says more than this since the image before (m/s, rad/s, and more for its noise) is no motion of a robot:
# its origin was reset.
_SPEED, _TURN_RATE, _SLACK_M, _SLACK_RAD = 5.0, 2.0 * np.pi, 0.3, np.radians(20.0)


@dataclass(frozen=True, eq=False)
class LevelScan:
    """Cells around the camera, of `CELL_M`, in the level frame (see `PlanarMotion`).

    Attributes:
        hits: for each layer the cells `[K, 2]` that something was seen in, in meters.
        free: for each layer those that were looked through.
    """

    hits: tuple[Array, ...]
    free: tuple[Array, ...]

    @property
    def count(self) -> int:
        """Of occupied cells."""
        return sum(map(len, self.hits))


@dataclass(frozen=True, eq=False)
class DepthScan:
    """What one depth sensor saw at one moment: points `[N, 3]` and the sensor's place `[3]`, in one frame."""

    points: Array
    origin: Array

    def moved(self, T: Array) -> DepthScan:
        """In another frame, 4x4."""
        return DepthScan(transform_points(T, self.points), T[:3, :3] @ self.origin + T[:3, 3])


@dataclass(frozen=True, eq=False)
class _Moment:
    """What all depth sensors saw, in the level frame of that moment."""

    scans: tuple[DepthScan, ...]
    stamp_ns: int
    T_odom_camera: Array


class ScanHistory:
    """The images of one stream since its place was lost. Owned by one thread."""

    def __init__(self, motion: PlanarMotion, bottom_m: float) -> None:
        """Start empty; `bottom_m` above the camera is the floor, of which nothing is taken."""
        self._bottom_m = bottom_m
        self._to_level = np.eye(4)
        self._to_level[:3, :3] = motion.R_level_camera
        self._kept: list[_Moment] = []
        self._last: tuple[int, Array] | None = None

    def forget(self) -> None:
        """Begin again: what was seen may be of another place."""
        self._kept, self._last = [], None

    def has_jumped(self, stamp_ns: int, T_odom_camera: Array | None) -> bool:
        """Whether odometry (4x4) says what no robot does since the last image with it."""
        if self._last is None or T_odom_camera is None:
            return False
        then_ns, then = self._last
        came, seconds = Distance.of(se3.inverse(then) @ T_odom_camera), 1e-9 * abs(stamp_ns - then_ns)
        return came.metres > _SLACK_M + _SPEED * seconds or came.radians > _SLACK_RAD + _TURN_RATE * seconds

    def with_images(self, scans: Sequence[DepthScan], stamp_ns: int, T_odom_camera: Array | None) -> LevelScan:
        """Add what the depth sensors see, and put together what is known around the camera.

        Args:
            scans: of each sensor, in the camera's frame.
            stamp_ns: of the images.
            T_odom_camera: 4x4; without it only these images count.
        """
        now = tuple(_thinned(scan, len(scans)).moved(self._to_level) for scan in scans)
        placed = list(now)
        if T_odom_camera is not None:
            self._last = stamp_ns, T_odom_camera
            self._kept = [one for one in self._kept if 0 <= stamp_ns - one.stamp_ns <= _KEPT_NS]
            is_new = True
            for one in self._kept:
                T = self._moved(one.T_odom_camera, T_odom_camera)
                placed += [scan.moved(T) for scan in one.scans]
                came = Distance.of(T)
                is_new &= came.metres >= _APART_M or came.radians >= _APART_RAD
            if is_new:
                self._kept = [*self._kept, _Moment(now, stamp_ns, T_odom_camera)][-_MOST_IMAGES:]
        return _cells(placed, self._bottom_m)

    def _moved(self, then: Array, now: Array) -> Array:
        """Of level coordinates of one moment into those of another, 4x4."""
        return np.asarray(self._to_level @ se3.inverse(now) @ then @ self._to_level.T)


def _thinned(scan: DepthScan, sensors: int) -> DepthScan:
    every = max(1, -(-len(scan.points) * sensors // _MOST_POINTS))
    return DepthScan(scan.points[::every], scan.origin)


def _cells(scans: Sequence[DepthScan], bottom_m: float) -> LevelScan:
    hits = np.zeros((len(LAYERS_M), _SIDE, _SIDE), np.bool_)
    free = np.zeros_like(hits)
    for scan in scans:
        points, origin = scan.points, scan.origin
        for layer, (low, high) in enumerate(LAYERS_M):
            inside = (points[:, 2] >= max(low, bottom_m)) & (points[:, 2] < high)
            seen = np.unique(np.rint(points[inside, :2] / CELL_M).astype(np.int64), axis=0)
            _mark(hits[layer], seen)
            _mark(free[layer], _looked_through(CELL_M * seen.astype(np.float64), origin[:2]))
    free &= ~hits
    return LevelScan(
        tuple(_places(layer) for layer in hits),
        tuple(_places(layer) for layer in free),
    )


def _looked_through(ends: Array, origin: Array) -> NDArray[np.int64]:
    """Cells `[M, 2]` that rays from a place to others `[K, 2]` pass before they end; one may be there twice."""
    along = ends - origin
    lengths = np.linalg.norm(along, axis=1)
    steps = np.arange(2.0 * CELL_M, REACH_M, CELL_M)
    on_rays = origin + (along / np.maximum(lengths, 1e-9)[:, None])[:, None, :] * steps[None, :, None]
    passed = on_rays[steps[None, :] < (lengths - _BEFORE_M)[:, None]]
    return np.rint(passed / CELL_M).astype(np.int64)


def _mark(layer: NDArray[np.bool_], cells: NDArray[np.int64]) -> None:
    inside = cells[np.abs(cells).max(axis=1, initial=0) <= _RADIUS] + _RADIUS
    layer[inside[:, 0], inside[:, 1]] = True


def _places(layer: NDArray[np.bool_]) -> Array:
    return CELL_M * (np.argwhere(layer) - _RADIUS).astype(np.float64)
