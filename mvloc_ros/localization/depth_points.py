# SPDX-License-Identifier: Apache-2.0
"""A depth image as points in the depth camera's frame: the same for the map's building and for registration.

Structured-light and stereo cameras measure disparity, so what their calibration misses is an offset of the
disparity that changes over the image: 1 / z' = 1 / z + c(u, v). A first-generation Kinect shows vertical bands of
up to 3e-3 1/m, 3 cm at 3 m. `mvloc map` finds c on the training frames; it comes with the map.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.model.frame import DepthImage
from mvloc_ros.model.preprocessing import crop

Array = NDArray[np.float64]

CORRECTION_SHAPE = (24, 32)
"""Rows and columns of c over the image: cells of 20 pixels of a VGA image."""

# What an image is thinned to before its points are made: more would be averaged away again.
_COLUMNS = 128


@dataclass(frozen=True, eq=False)
class DepthCamera:
    """What turns depth pixels into points.

    Attributes:
        camera: intrinsics at any size of the same aspect ratio as the images.
        near_m, far_m: range of the measurements that are used.
        correction: c in 1/m, `CORRECTION_SHAPE`; zeros for none.
    """

    camera: PinholeCamera
    near_m: float
    far_m: float
    correction: NDArray[np.float32]

    def points(self, image: DepthImage, columns: int = _COLUMNS) -> Array:
        """Points `[N, 3]` in metres of every n-th valid pixel, so that about `columns` are left of a row."""
        return self.sampled(image, columns)[0]

    def nearer(self, image: DepthImage, columns: int = _COLUMNS) -> Array:
        """Points `[N, 3]` in metres that are nearer than `near_m`, sampled as `points`, uncorrected."""
        uncorrected = DepthCamera(self.camera, 0.0, self.near_m, np.zeros_like(self.correction))
        return uncorrected.points(image, columns)

    def share_nearer(self, image: DepthImage) -> float:
        """Share of the valid pixels that are nearer than `near_m`; 0 without any."""
        z = crop(image.values, image.view).astype(np.float64) * image.metres_per_unit
        valid = np.isfinite(z) & (z > 0.0)
        return int(np.count_nonzero(valid & (z <= self.near_m))) / max(1, int(np.count_nonzero(valid)))

    def sampled(self, image: DepthImage, columns: int = _COLUMNS) -> tuple[Array, NDArray[np.intp], NDArray[np.intp]]:
        """As `points`, and the cell of the correction's grid, row and column `[N]`, that each one lies in."""
        values = crop(image.values, image.view)
        height, width = values.shape
        step = max(1, round(width / columns))
        first = step // 2
        thinned = values[first::step, first::step]
        z = thinned.astype(np.float64) * image.metres_per_unit
        if thinned.dtype == np.uint16:
            z[thinned == np.iinfo(np.uint16).max] = 0.0  # "nothing seen"
        valid = (z > self.near_m) & (z < self.far_m)
        row, column = np.nonzero(valid)
        row, column = row * step + first, column * step + first
        camera = self.camera.scaled_to(width, height)
        z = z[valid]
        if self.correction.any():
            c = cv2.resize(self.correction, (width, height), interpolation=cv2.INTER_LINEAR)[row, column]
            z = z / (1.0 + c * z)
        points = np.stack([(column - camera.cx) * z / camera.fx, (row - camera.cy) * z / camera.fy, z], axis=1)
        rows, columns_ = self.correction.shape
        return points, row * rows // height, column * columns_ // width
