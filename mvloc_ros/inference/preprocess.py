# SPDX-License-Identifier: Apache-2.0
"""Image to network input: one resize each, the same in training and at run time.

Everything else (conversion to float, normalisation, the mask of invalid depth) is inside the graph,
so that no two implementations of it can drift apart.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def resize_color(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Resize `[H, W, 3]` (or `[H, W, 4]`, `[H, W]`), keeping the channels.

    Area averaging when the image shrinks, so that fine texture does not alias; bilinear when it grows.
    """
    if image.shape[:2] == (height, width):
        return np.ascontiguousarray(image)
    shrinks = image.shape[0] >= height and image.shape[1] >= width
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (width, height), interpolation=interpolation), dtype=np.uint8)


def resize_depth(depth: NDArray[np.generic], height: int, width: int) -> NDArray[np.generic]:
    """Resize `[H, W]` by nearest neighbour: an average over an edge or a hole is a surface nowhere.

    The type is kept (uint16 millimetres resize as well as float32 metres).
    """
    if depth.shape == (height, width):
        return np.ascontiguousarray(depth)
    # INTER_NEAREST_EXACT samples at pixel centres; INTER_NEAREST is off by half a pixel.
    return cv2.resize(depth, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
