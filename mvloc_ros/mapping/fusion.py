# SPDX-License-Identifier: Apache-2.0
"""Fuses depth images with poses into voxels with one point each, the weighted mean of its measurements.

Measurements are weighted by the inverse of their variance, so near measurements dominate. Each voxel counts the frames
that observed it: moving objects are observed by few frames in each voxel, and are removed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.geometry.depth_noise import depth_noise
from mvloc_ros.geometry.projection import image_points, transform_points
from mvloc_ros.geometry.voxels import sum_by_key, voxel_keys
from mvloc_ros.localization.depth_points import DepthCamera
from mvloc_ros.mapping.further_depth import DepthEye
from mvloc_ros.model.frame import DepthImage

Array = NDArray[np.float64]

# Frames whose voxels are merged into the map at once, since merging sorts all of them.
_BATCH = 25
# Columns of a subsampled image: three points per voxel of 2 cm at 2 m.
_COLUMNS = 213


@dataclass(frozen=True, eq=False)
class PosedDepth:
    """One depth image of a frame.

    Attributes:
        depth: as stored.
        gray: image `[H, W]` of the color camera that shows the same, or None.
        T_map_depth: pose of the depth sensor, 4x4.
        eye: which sensor; None: the depth camera of the pair.
        continues: it is of the same moment as the one before: a surface that both observe counts as observed once.
    """

    depth: DepthImage
    gray: NDArray[np.uint8] | None
    T_map_depth: Array
    eye: DepthEye | None = None
    continues: bool = False


@dataclass(frozen=True, eq=False)
class Voxels:
    """Occupied voxels, `[N]` each.

    Attributes:
        points: mean position, map frame.
        views: mean direction to the cameras; shorter than 1 if these directions differ.
        weights: sum of inverse variances, 1/m^2.
        frames: number of frames that observed it.
        brightness: mean gray level; NaN if no color image shows it.
    """

    points: Array
    views: Array
    weights: Array
    frames: Array
    brightness: Array

    def chosen(self, which: NDArray[np.bool_]) -> Voxels:
        """Some of them."""
        return Voxels(*(value[which] for value in vars(self).values()))


def fuse(
    frames: Iterable[PosedDepth], camera: DepthCamera, color_camera: PinholeCamera, T_color_depth: Array, size_m: float
) -> Voxels:
    """Fuse frames into voxels of edge `size_m`; the cameras are those of the pair.

    Raises:
        ValueError: the poses are too far apart for voxels of that size.
    """
    keys, sums = np.zeros(0, np.int64), np.zeros((0, 10))
    waiting: list[tuple[NDArray[np.int64], Array]] = []
    origin: Array | None = None
    for frame in frames:
        if origin is None:
            origin = np.round(frame.T_map_depth[:3, 3])
        found = _voxels_of(frame, camera, color_camera, T_color_depth, origin, size_m)
        if frame.continues and waiting:
            waiting[-1] = _of_one_moment(waiting[-1], found)
            continue
        if len(waiting) == _BATCH:
            keys, sums = _merged(keys, sums, waiting)
            waiting = []
        waiting.append(found)
    keys, sums = _merged(keys, sums, waiting)
    weights, colored = sums[:, 6], sums[:, 9]
    return Voxels(
        points=sums[:, :3] / weights[:, None] + (0.0 if origin is None else origin),
        views=sums[:, 3:6] / weights[:, None],
        weights=weights,
        frames=sums[:, 7],
        brightness=np.where(colored > 0, sums[:, 8] / np.maximum(colored, 1.0), np.nan),
    )


def _voxels_of(
    frame: PosedDepth,
    camera: DepthCamera,
    color_camera: PinholeCamera,
    T_color_depth: Array,
    origin: Array,
    size_m: float,
) -> tuple[NDArray[np.int64], Array]:
    """Keys `[M]` and sums `[M, 10]`: position, view (both weighted), weight, frames, brightness, frames with color."""
    if (eye := frame.eye) is not None:
        camera, color_camera, T_color_depth = eye.depth, eye.color, eye.T_color_sensor
    points = camera.points(frame.depth, _COLUMNS)
    weight = depth_noise(points[:, 2:]) ** -2
    placed = transform_points(frame.T_map_depth, points) - origin
    view = frame.T_map_depth[:3, 3] - origin - placed
    view /= np.linalg.norm(view, axis=1, keepdims=True)
    gray, colored = _brightness(points, frame.gray, color_camera, T_color_depth)
    ones = np.ones_like(weight)
    rows = np.hstack([placed * weight, view * weight, weight, ones, gray[:, None], colored[:, None]])
    keys, sums = sum_by_key(voxel_keys(placed, size_m), rows)
    seen, with_color = sums[:, 7].copy(), sums[:, 9].copy()
    # A frame counts once, for any number of its pixels in the voxel.
    sums[:, 7] = 1.0
    sums[:, 8] /= np.maximum(with_color, 1.0)
    sums[:, 9] = with_color > 0
    sums[:, :7] /= seen[:, None]
    return keys, sums


def _of_one_moment(
    first: tuple[NDArray[np.int64], Array], second: tuple[NDArray[np.int64], Array]
) -> tuple[NDArray[np.int64], Array]:
    """Keys and sums of what two sensors observed at one moment."""
    keys, sums = sum_by_key(np.concatenate([first[0], second[0]]), np.concatenate([first[1], second[1]]))
    sums[:, 7] = 1.0
    return keys, sums


def _brightness(
    points: Array, gray: NDArray[np.uint8] | None, camera: PinholeCamera, T_color_depth: Array
) -> tuple[Array, Array]:
    """Gray level `[N]` of each point, 0 if unknown, and whether it is known (0 or 1)."""
    if gray is None:
        return np.zeros(len(points)), np.zeros(len(points))
    seen = transform_points(T_color_depth, points)
    u, v = image_points(np.maximum(seen, [-np.inf, -np.inf, 1e-3]), camera.scaled_to(gray.shape[1], gray.shape[0]))
    inside = (u > -0.5) & (v > -0.5) & (u < gray.shape[1] - 0.5) & (v < gray.shape[0] - 0.5)
    inside &= seen[:, 2] > 0.0
    level = np.zeros(len(points))
    level[inside] = gray[np.rint(v[inside]).astype(np.intp), np.rint(u[inside]).astype(np.intp)]
    return level, inside.astype(np.float64)


def _merged(
    keys: NDArray[np.int64], sums: Array, parts: list[tuple[NDArray[np.int64], Array]]
) -> tuple[NDArray[np.int64], Array]:
    if not parts:
        return keys, sums
    return sum_by_key(
        np.concatenate([keys, *(part[0] for part in parts)]), np.concatenate([sums, *(part[1] for part in parts)])
    )
