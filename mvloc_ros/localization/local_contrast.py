# SPDX-License-Identifier: Apache-2.0
"""The colour image's local contrast beside that of the map's points: a comparison that another light does not change.

The logarithm of a grey level is, up to noise, that of the surface's albedo plus that of the light. A lamp, a spot, a
cast and an exposure add what changes slowly over the image, a gamma curve scales the whole. So of both, the image at
the map's points and the map's brightness there, the mean of the surroundings is subtracted, and what is left is
correlated. Edges of shadows stay; they lower the correlation, wherever the image is shifted to.

As in `appearance`, the image is shifted as well: by 1.5 degrees (of 60), which colour and depth of cameras that are not
synchronised may differ by, and by 3 degrees and more. What counts is the largest correlation without a shift or with a
small one, and the ratios to it of the one without a shift, and of the largest with a large shift: noise, saturation and
shadows lower all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.localization.appearance import gray, in_image, shifts
from mvloc_ros.localization.inlier_residuals import Support
from mvloc_ros.localization.local_map import LocalMap

Array = NDArray[np.float64]

# The surroundings: cells of a twentieth of the image's width, weighted by a Gaussian of one cell's width.
_COLUMNS, _ROWS = 20, 15
_REACH = 1.0
# Grey levels that are added before the logarithm: noise of dark pixels, and rounding, are no contrast.
_DARK = 4.0
# A root mean square contrast of 1 % is noise; where neither map nor image has 3 %, there is nothing to compare.
_LEAST_CONTRAST, _NOTHING_TO_COMPARE = 0.01, 0.03
# A correlation that a ratio can be taken of.
_LEAST_CORRELATION = 0.05
# As shares of the image's width: 1.5, 3, 6 and 10 degrees of 60; none and the first eight are small.
_SHIFTS = shifts((0.025, 0.05, 0.1, 0.165))
_SMALL = 9


@dataclass(frozen=True)
class LocalContrast:
    """How the colour image's local contrast compares with the map's.

    Attributes:
        correlation: in [-1, 1], of the image as it is.
        nearby: the largest of that and of those with a small shift.
        shifted: the largest of those with a large shift.
    """

    correlation: float
    nearby: float
    shifted: float

    @property
    def ratio(self) -> float:
        """Of the largest correlation with a large shift to that without, at least 0."""
        return max(0.0, self.shifted) / max(_LEAST_CORRELATION, self.nearby)

    @property
    def synchrony(self) -> float:
        """Of the correlation of the image as it is to the largest nearby, at least 0."""
        return max(0.0, self.correlation) / max(_LEAST_CORRELATION, self.nearby)


def compare(
    found: Support, target: LocalMap, color: NDArray[np.uint8], camera: PinholeCamera, T_color_depth: Array
) -> LocalContrast | None:
    """Compare image and map over the inliers; arguments as of `appearance.compare`.

    None where neither the map nor the image has contrast there (a wall of one colour). Too few inliers correlate with
    nothing: a pose at which little of the image shows what the map has is not one that cannot be compared.
    """
    image = gray(color)
    height, width = image.shape
    points = in_image(found, target, camera.scaled_to(width, height), T_color_depth)
    if points is None:
        return LocalContrast(0.0, 0.0, 0.0)
    u, v, expected = points
    measured = _shifted(_LOGARITHM[image], u, v)
    cell_x = np.clip(u * (_COLUMNS / width), 0, _COLUMNS - 1).astype(np.intp)
    cell_y = np.clip(v * (_ROWS / height), 0, _ROWS - 1).astype(np.intp)
    contrast = _less_surroundings(np.vstack([_LOGARITHM[expected], measured]), cell_y * _COLUMNS + cell_x)
    spread = np.sqrt(np.einsum("kn,kn->k", contrast, contrast) / len(u))
    if max(spread[0], spread[1]) < _NOTHING_TO_COMPARE:
        return None
    products = contrast[1:] @ contrast[0] / len(u)
    correlations = products / (np.maximum(spread[1:], _LEAST_CONTRAST) * max(float(spread[0]), _LEAST_CONTRAST))
    small, large = float(correlations[:_SMALL].max()), float(correlations[_SMALL:].max())
    return LocalContrast(float(correlations[0]), small, large)


def _shifted(levels: Array, u: Array, v: Array) -> Array:
    """Levels of an image `[H, W]` at `[N]` pixels, `[33, N]`: a row each of `_SHIFTS`, rounded to whole pixels.

    At the border the nearest pixel stands for what lies beyond.
    """
    pixels = np.rint(levels.shape[1] * _SHIFTS).astype(np.intp)
    margin = int(np.abs(pixels).max())
    wide = cv2.copyMakeBorder(levels, margin, margin, margin, margin, cv2.BORDER_REPLICATE)
    columns, rows = np.rint(u).astype(np.intp) + margin, np.rint(v).astype(np.intp) + margin
    at = rows * wide.shape[1] + columns
    return np.asarray(wide.ravel().take(at + (pixels[:, 1] * wide.shape[1] + pixels[:, 0])[:, None]))


def _less_surroundings(values: Array, cell: NDArray[np.intp]) -> Array:
    """Rows of values `[K, N]` of points that lie in cells `[N]`, less the weighted mean around each one's cell."""
    count, size = len(values) + 1, _ROWS * _COLUMNS
    rows = np.vstack([np.ones(values.shape[1]), values])
    index = (cell + size * np.arange(count)[:, None]).ravel()
    sums = np.bincount(index, rows.ravel(), count * size).reshape(count, _ROWS, _COLUMNS)
    around = (_WEIGHTS_DOWN @ sums @ _WEIGHTS_ACROSS).reshape(count, size).take(cell, axis=1)
    return np.asarray(values - around[1:] / around[0])


def _weights(count: int) -> Array:
    apart = np.arange(count)[:, None] - np.arange(count)
    return np.asarray(np.exp(-0.5 * (apart / _REACH) ** 2))


_WEIGHTS_ACROSS, _WEIGHTS_DOWN = _weights(_COLUMNS), _weights(_ROWS)
_LOGARITHM = np.log(np.arange(256) + _DARK)
