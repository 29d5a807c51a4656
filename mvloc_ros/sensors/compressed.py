# SPDX-License-Identifier: Apache-2.0
"""sensor_msgs/CompressedImage to arrays: JPEG, PNG, and the depth of compressed_depth_image_transport.

cv_bridge reads the first two but not the last, whose PNG follows a header of twelve bytes.
"""

from __future__ import annotations

import struct
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mvloc_ros.inference.frame import ColorImage, DepthImage
from mvloc_ros.sensors.decode import DecodeError

_PNG = b"\x89PNG\r\n\x1a\n"
_CONFIG = struct.Struct("<iff")
"""compressed_depth_image_transport's header: an enumeration and the quantisation's A and B."""


def decode_compressed_color(message: Any) -> ColorImage:
    """Read a JPEG or PNG colour image.

    Raises:
        DecodeError: the bytes are no image of 8 bits.
    """
    if "compressedDepth" in message.format:
        raise DecodeError("The colour topic carries compressed depth; check that the topics are not swapped.")
    image = _decode(bytes(message.data), cv2.IMREAD_UNCHANGED, message.format)
    if image.dtype != np.uint8:
        raise DecodeError(
            f"The colour topic carries an image of {image.dtype} ({message.format}), which is no colour image; "
            "check that the colour and depth topics are not swapped."
        )
    orders = {2: "mono", 3: "bgr", 4: "bgra"}
    return ColorImage(np.asarray(image, dtype=np.uint8), orders[image.ndim if image.ndim == 2 else image.shape[2]])


def decode_compressed_depth(message: Any) -> DepthImage:
    """Read a depth image that is PNG: with the header of compressedDepth, or bare (16 bits, millimetres).

    Quantised 32FC1 is inverse depth: metres = A / (value - B), 0 is no measurement.

    Raises:
        DecodeError: the bytes are no 16-bit image, or in the format RVL.
    """
    data = bytes(message.data)
    transport = "compressedDepth" in message.format
    if "rvl" in message.format.lower():
        raise DecodeError(
            "The depth topic is compressed as RVL, which is not read; set the driver's compressedDepth format to png."
        )
    payload = data[_CONFIG.size :] if transport and not data.startswith(_PNG) else data
    image = _decode(payload, cv2.IMREAD_UNCHANGED, message.format)
    if image.dtype != np.uint16 or image.ndim != 2:
        raise DecodeError(
            f"The depth topic carries an image of {image.dtype} ({message.format}) where 16 bits are needed; "
            "JPEG cannot hold depth: use the compressedDepth topic."
        )
    raw = np.asarray(image, dtype=np.uint16)
    if not (transport and message.format.strip().startswith("32FC1")):
        return DepthImage(raw, 0.001)
    _, a, b = _CONFIG.unpack_from(data)
    metres = np.zeros(raw.shape, dtype=np.float32)
    measured = raw > max(b, 0.0)
    metres[measured] = a / (raw[measured].astype(np.float32) - np.float32(b))
    return DepthImage(metres, 1.0)


def _decode(data: bytes, flags: int, name: str) -> NDArray[np.generic]:
    image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), flags) if data else None
    if image is None:
        raise DecodeError(
            f"A compressed image ({name or 'no format stated'}, {len(data)} bytes) cannot be decoded; "
            "the driver or the recording is faulty."
        )
    return np.asarray(image)
