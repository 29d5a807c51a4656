# SPDX-License-Identifier: Apache-2.0
"""What the depth camera's calibration misses, seen in its own recording.

A map of many frames averages over the image, so that each frame differs from it by what is peculiar to a place in the
image. See `localization.depth_points` for the model, 1 / z' = 1 / z + c(u, v).
"""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
import small_gicp
from numpy.typing import NDArray

from mvloc_ros.geometry.depth_noise import depth_noise
from mvloc_ros.geometry.projection import transform_points
from mvloc_ros.localization.depth_points import CORRECTION_SHAPE, DepthCamera
from mvloc_ros.localization.scene_map import MapPoints
from mvloc_ros.mapping.fusion import PosedDepth

Array = NDArray[np.float64]

_COLUMNS = 80
# Correspondences farther away than this are other surfaces.
_NEAR_M = 0.1
# A residual along the ray is known where the surface is met at this cosine at least.
_MIN_COSINE = 0.5
# A cell is accepted as far as it has more information than so many typical measurements.
_PRIOR_MEASUREMENTS = 100.0
_SMOOTHING_CELLS = 0.7


def measure(frames: Iterable[PosedDepth], camera: DepthCamera, content: MapPoints) -> NDArray[np.float32]:
    """What to add to `camera.correction`, 1/m, from residuals of frames against a map at their recorded poses."""
    tree = small_gicp.KdTree(content.points)
    rows, columns = CORRECTION_SHAPE
    weight, weighted = np.zeros(rows * columns), np.zeros(rows * columns)
    typical: list[float] = []
    for frame in frames:
        points, row, column = camera.sampled(frame.depth, _COLUMNS)
        if not len(points):
            continue
        z = points[:, 2]
        placed = transform_points(frame.T_map_depth, points)
        index, squared = tree.batch_knn_search(placed, 1)
        nearest = np.asarray(index)[:, 0].astype(np.intp)
        normal = content.normals[nearest]
        # How fast a point leaves the surface per metre of depth; negative where the surface faces the camera.
        rate = np.einsum("ni,ni->n", normal, (placed - frame.T_map_depth[:3, 3]) / z[:, None])
        too_far = np.einsum("ni,ni->n", normal, placed - content.points[nearest]) / np.where(rate < 0, rate, -1.0)
        good = (np.asarray(squared)[:, 0] < _NEAR_M**2) & (rate < -_MIN_COSINE)
        good &= np.abs(too_far) < 0.02 + 0.01 * z**2
        cell = (row * columns + column)[good]
        information = (z[good] ** 2 / depth_noise(z[good])) ** 2
        weight += np.bincount(cell, information, rows * columns)
        # 1/z' - 1/z for z' = z - too_far.
        weighted += np.bincount(cell, information * too_far[good] / z[good] ** 2, rows * columns)
        typical.append(float(np.median(information)) if len(information) else 0.0)
    prior = _PRIOR_MEASUREMENTS * (float(np.median(typical)) if typical else 1.0)
    return (_smooth(weighted) / (_smooth(weight) + max(prior, 1e-12))).astype(np.float32)


def _smooth(cells: Array) -> Array:
    return np.asarray(
        cv2.GaussianBlur(cells.reshape(CORRECTION_SHAPE), (0, 0), _SMOOTHING_CELLS, borderType=cv2.BORDER_REFLECT)
    )
