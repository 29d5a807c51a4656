# SPDX-License-Identifier: Apache-2.0
"""The colour image beside the brightness that the map's points had in training: the evidence of older maps.

Two things are asked, both of the points that lie on the map's surfaces. Does the image look like the map there: the
correlation of both. And would it look more like the map if it were shifted: then colour and depth are not of one
moment, however well the depth image fits, and a comparison of brightness alone would not tell a small motion.

Another light lowers both, so maps of today are judged by `local_contrast`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.geometry.projection import image_points, transform_points

if TYPE_CHECKING:
    from mvloc_ros.localization.inlier_residuals import Support
    from mvloc_ros.localization.local_map import LocalMap

Array = NDArray[np.float64]

# Below this standard deviation of the grey levels an image shows nothing: a covered lens, no light.
_BLANK = 4.0
# Points that a correlation needs to say anything.
_MIN_POINTS = 50
# What is nearer along the optical axis is not in the image, or behind the camera.
_LEAST_M = 1e-3
# Shifts that are tried, as shares of the image's width, in eight directions: 1.5, 3, 6 and 10 degrees of 60.
_RADII = (0.025, 0.05, 0.1, 0.165)


@dataclass(frozen=True)
class Appearance:
    """How the colour image compares with the map.

    Attributes:
        correlation: of brightness, in [-1, 1].
        shifted: the largest correlation that a shifted image has; above `correlation` where a shift would help.
    """

    correlation: float
    shifted: float


def gray(color: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Brightness `[H, W]` of RGB `[H, W, 3]`."""
    return np.asarray(cv2.cvtColor(color, cv2.COLOR_RGB2GRAY), dtype=np.uint8)


def is_blank(color: NDArray[np.uint8]) -> bool:
    """Whether an image shows nothing."""
    return float(np.std(gray(color))) < _BLANK


def compare(
    found: Support, target: LocalMap, color: NDArray[np.uint8], camera: PinholeCamera, T_color_depth: Array
) -> Appearance | None:
    """Compare image and map over the inliers; None where there are too few.

    Args:
        found: the points and what they matched.
        target: the map there.
        color: RGB uint8 `[H, W, 3]`.
        camera: the colour camera at any size of this aspect ratio.
        T_color_depth: 4x4.
    """
    image = gray(color)
    height, width = image.shape
    points = in_image(found, target, camera.scaled_to(width, height), T_color_depth)
    if points is None:
        return None
    u, v, brightness = points
    expected = brightness.astype(np.float32)
    # One row a shift, the image as it is first; at the border the nearest pixel stands for what lies beyond.
    columns = np.clip(np.rint(u + width * _SHIFTS[:, :1]), 0, width - 1).astype(np.intp)
    rows = np.clip(np.rint(v + width * _SHIFTS[:, 1:]), 0, height - 1).astype(np.intp)
    measured = image.ravel()[rows * width + columns].astype(np.float32)
    measured -= measured.mean(axis=1, keepdims=True)
    expected -= expected.mean()
    spread = np.sqrt(np.mean(measured**2, axis=1) * np.mean(expected**2))
    correlations = np.where(spread < 1.0, 0.0, measured @ expected / (len(expected) * np.maximum(spread, 1.0)))
    return Appearance(float(correlations[0]), float(correlations[1:].max()))


def in_image(
    found: Support, target: LocalMap, camera: PinholeCamera, T_color_depth: Array
) -> tuple[Array, Array, NDArray[np.uint8]] | None:
    """Where the inliers are in the colour image, `[N]` each: column, row, and the brightness of the map's point.

    Those outside of the image of `camera` and those whose brightness the map does not know are left out; None where
    too few are left.
    """
    known = found.inlier & (target.brightness[found.nearest] > 0)
    u, v, inside = _pixels_of(found.points[known], camera, T_color_depth)
    if np.count_nonzero(inside) < _MIN_POINTS:
        return None
    return u[inside], v[inside], target.brightness[found.nearest][known][inside]


def are_in_image(points: Array, camera: PinholeCamera, T_color_depth: Array) -> NDArray[np.bool_]:
    """Which of points `[N, 3]` of the depth camera lie in the image of `camera`."""
    return _pixels_of(points, camera, T_color_depth)[2]


def _pixels_of(points: Array, camera: PinholeCamera, T_color_depth: Array) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Column and row `[N]` of points, and whether they are in the image."""
    seen = transform_points(T_color_depth, points)
    u, v = image_points(np.maximum(seen, [-np.inf, -np.inf, _LEAST_M]), camera)
    inside = (u > -0.5) & (v > -0.5) & (u < camera.width - 0.5) & (v < camera.height - 0.5)
    return u, v, inside & (seen[:, 2] >= _LEAST_M)


def shifts(radii: tuple[float, ...]) -> Array:
    """`[1 + 8 K, 2]` columns and rows, as shares of the image's width: none, then eight directions of each radius."""
    angles = np.arange(8) * np.pi / 4
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return np.concatenate([np.zeros((1, 2)), *(radius * circle for radius in radii)])


_SHIFTS = shifts(_RADII)
