# SPDX-License-Identifier: Apache-2.0
"""What an encoding of sensor_msgs/Image says about the pixels."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

NUMPY_NAMES = {
    "8U": "uint8",
    "8S": "int8",
    "16U": "uint16",
    "16S": "int16",
    "32S": "int32",
    "32F": "float32",
    "64F": "float64",
}
DEPTH_NAMES = {numpy_name: depth for depth, numpy_name in NUMPY_NAMES.items()}
OPENCV_DEPTHS = {"8U": 0, "8S": 1, "16U": 2, "16S": 3, "32S": 4, "32F": 5, "64F": 6}
GENERIC = re.compile(r"(8U|8S|16U|16S|32S|32F|64F)(?:C([1-4]))?")

# name -> (colour space, depth, channels)
NAMED: dict[str, tuple[str, str, int]] = {
    "yuv422": ("UYVY", "8U", 2),
    "yuv422_yuy2": ("YUY2", "8U", 2),
}
for _bits in (8, 16):
    _depth = f"{_bits}U"
    NAMED[f"mono{_bits}"] = ("GRAY", _depth, 1)
    for _space in ("RGB", "BGR", "RGBA", "BGRA"):
        NAMED[f"{_space.lower()}{_bits}"] = (_space, _depth, len(_space))
    for _pattern in ("RGGB", "BGGR", "GBRG", "GRBG"):
        NAMED[f"bayer_{_pattern.lower()}{_bits}"] = (_pattern, _depth, 1)


class CvBridgeError(TypeError):
    """An image cannot be converted."""


@dataclass(frozen=True)
class Encoding:
    """An encoding's name, the depth in OpenCV's words, the channels, and the colour space where it has one."""

    name: str
    depth: str
    channels: int
    space: str | None

    @property
    def dtype(self) -> np.dtype:
        """The type of one channel, in this machine's byte order."""
        return np.dtype(NUMPY_NAMES[self.depth])

    @property
    def bits(self) -> int:
        """Bits of one channel."""
        return int(self.depth[:-1])

    @property
    def generic(self) -> str:
        """The name without colour, such as 8UC3."""
        return f"{self.depth}C{self.channels}"

    @property
    def cvtype(self) -> int:
        """OpenCV's number for the type: depth in the lower three bits, channels above."""
        return OPENCV_DEPTHS[self.depth] + ((self.channels - 1) << 3)


def parse(name: str) -> Encoding:
    """What the name of an encoding means; raises CvBridgeError where it means nothing."""
    if name in NAMED:
        space, depth, channels = NAMED[name]
        return Encoding(name, depth, channels, space)
    match = GENERIC.fullmatch(name)
    if match is None:
        raise CvBridgeError(f"Unrecognized image encoding [{name}]")
    return Encoding(name, match[1], int(match[2] or 1), None)


def generic_name(dtype: np.dtype, channels: int) -> str:
    """The encoding without colour of an array, such as 16UC1; raises CvBridgeError where OpenCV has no such type."""
    if dtype.name not in DEPTH_NAMES:
        raise CvBridgeError(f"An image of type {dtype.name} has no encoding")
    return f"{DEPTH_NAMES[dtype.name]}C{channels}"
