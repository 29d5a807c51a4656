# SPDX-License-Identifier: Apache-2.0
"""Global descriptors of a frame: what the images that the network is given look like, in a few hundred numbers.

Color: histograms of oriented gradients (Dalal and Triggs, 2005) of a 64x48 gray image, cells of 8x8 pixels, each
normalized by the contrast of its block of 2x2 cells, so that a change of light matters little; blocks with no more
contrast than noise has count less. Depth: a coarse map of the mean logarithm of the measurements, NaN where less than a
quarter of a cell has any.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

HOG_SIZE, _CELL, _BLOCK, _BINS = (64, 48), 8, 16, 9
"""Of the gray image: width and height; cells and blocks in pixels; directions without sign."""
COLOR_LENGTH = (HOG_SIZE[0] // _CELL) * (HOG_SIZE[1] // _CELL) * _BINS
DEPTH_SIZE = (8, 6)
"""Of the depth map: width and height."""
DEPTH_LENGTH = DEPTH_SIZE[0] * DEPTH_SIZE[1]
_LEAST_MEASURED = 0.25
_NEAREST_M = 0.1

_DARK = 8.0
"""Gray levels below which brightness is noise."""
_FAINT = 0.04
"""Root mean square of the gradient of the logarithm, per pixel, below which a block's contrast may be noise."""

_hog = cv2.HOGDescriptor(HOG_SIZE, (_BLOCK, _BLOCK), (_BLOCK, _BLOCK), (_CELL, _CELL), _BINS)
_blocks = HOG_SIZE[0] // _BLOCK, HOG_SIZE[1] // _BLOCK


@dataclass(frozen=True, eq=False)
class Descriptor:
    """Of one frame; a part is None where the frame lacks the image.

    Attributes:
        color: float32 `[COLOR_LENGTH]`.
        depth: float32 `[DEPTH_LENGTH]`, logarithm of metres; NaN where nothing was measured.
    """

    color: NDArray[np.float32] | None
    depth: NDArray[np.float32] | None


def describe(
    color: NDArray[np.uint8] | None, depth: NDArray[np.float32] | None, near_m: float, far_m: float
) -> Descriptor:
    """The descriptor of a frame.

    Args:
        color: RGB `[H, W, 3]` as the network is given it; None without.
        depth: metres `[H, W]` likewise.
        near_m: what is nearer is no measurement.
        far_m: what is further away is none.
    """
    return Descriptor(
        None if color is None else describe_color(color),
        None if depth is None else describe_depth(depth, near_m, far_m),
    )


def describe_color(color: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Histograms of gradients of an RGB image `[H, W, 3]`."""
    small = cv2.resize(color, HOG_SIZE, interpolation=cv2.INTER_AREA)
    gray = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
    histograms = np.asarray(_hog.compute(gray), dtype=np.float32).reshape(_blocks[0] * _blocks[1], -1)
    return np.asarray(histograms * _clearness(gray)[:, None], dtype=np.float32).ravel()


def _clearness(gray: NDArray[np.uint8]) -> NDArray[np.float32]:
    """From 0 (noise) to 1 of each block, in the order of the histograms: column by column."""
    logs = np.log(gray.astype(np.float32) + np.float32(_DARK))
    squares = sum(np.square(cv2.Sobel(logs, cv2.CV_32F, *axis, ksize=3, scale=0.125)) for axis in ((1, 0), (0, 1)))
    power = cv2.resize(np.asarray(squares, dtype=np.float32), _blocks, interpolation=cv2.INTER_AREA)
    return np.asarray(np.sqrt(power / (power + np.float32(_FAINT**2))), dtype=np.float32).T.ravel()


def describe_depth(depth: NDArray[np.float32], near_m: float, far_m: float) -> NDArray[np.float32]:
    """Mean logarithm of the depth of each cell of a map `[H, W]` in metres."""
    with np.errstate(invalid="ignore"):
        is_measured = (depth >= max(near_m, _NEAREST_M)) & (depth <= far_m)
    share = cv2.resize(is_measured.astype(np.float32), DEPTH_SIZE, interpolation=cv2.INTER_AREA)
    logs = np.log(np.where(is_measured, depth, np.float32(1.0)))
    total = cv2.resize(logs.astype(np.float32), DEPTH_SIZE, interpolation=cv2.INTER_AREA)
    known = share >= _LEAST_MEASURED
    return np.where(known, total / np.maximum(share, 1e-6), np.float32(math.nan)).astype(np.float32).ravel()
