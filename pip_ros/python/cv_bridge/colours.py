# SPDX-License-Identifier: Apache-2.0
"""Conversions between encodings, by the rules of cv_bridge.

Between colour encodings OpenCV converts, and 8 and 16 bits are scaled into one another (255 is 65535). An encoding
without colour (16UC1, 8UC3, 32FC1, ...) never becomes one with colour, nor changes its channels.
"""

from __future__ import annotations

import cv2
import numpy as np

from cv_bridge.encodings import CvBridgeError, Encoding

PIXELS = ("GRAY", "RGB", "BGR", "RGBA", "BGRA")
# OpenCV names a Bayer pattern by the second row's second and third pixel, ROS by the first four.
OPENCV_BAYER = {"RGGB": "BG", "BGGR": "RG", "GBRG": "GR", "GRBG": "GB"}


def convert(image: np.ndarray, source: Encoding, target: Encoding) -> np.ndarray:
    """The image in another encoding; raises CvBridgeError where there is no such conversion."""
    if source.name == target.name:
        return image
    if source.space is None and target.space is not None:
        raise CvBridgeError(
            f"[{source.name}] is not a color format. but [{target.name}] is. The conversion does not make sense"
        )
    if source.space is None or target.space is None:
        if source.channels != target.channels:
            raise CvBridgeError(f"[{source.name}] and [{target.name}] do not have the same number of channels")
        return _change_depth(image, source, target)
    if source.space != target.space:
        image = _change_space(image, source, target)
    return _change_depth(image, source, target)


def _change_space(image: np.ndarray, source: Encoding, target: Encoding) -> np.ndarray:
    if source.space in PIXELS and target.space in PIXELS:
        code = f"COLOR_{source.space}2{target.space}"
    elif source.space in ("UYVY", "YUY2") and target.space in PIXELS:
        code = f"COLOR_YUV2{target.space}_{source.space}"
    elif source.space in OPENCV_BAYER and target.space in ("GRAY", "RGB", "BGR"):
        code = f"COLOR_Bayer{OPENCV_BAYER[source.space]}2{target.space}"
    else:
        raise CvBridgeError(f"Unsupported conversion from [{source.name}] to [{target.name}]")
    try:
        return np.asarray(cv2.cvtColor(image, getattr(cv2, code)))
    except cv2.error as error:
        raise CvBridgeError(f"OpenCV cannot convert [{source.name}] to [{target.name}]: {error}") from error


def _change_depth(image: np.ndarray, source: Encoding, target: Encoding) -> np.ndarray:
    if source.depth == target.depth:
        return image
    scale = {(8, 16): 65535.0 / 255.0, (16, 8): 255.0 / 65535.0}.get((source.bits, target.bits), 1.0)
    values = image * np.float64(scale)
    if target.dtype.kind == "f":
        return values.astype(target.dtype)
    limits = np.iinfo(target.dtype)
    # NaN has no integer; zero is what depth images mean by it.
    return np.clip(np.rint(np.nan_to_num(values, nan=0.0)), limits.min, limits.max).astype(target.dtype)
