# SPDX-License-Identifier: Apache-2.0
"""sensor_msgs/CompressedImage to arrays: JPEG, PNG, and the depth of compressed_depth_image_transport.

The bytes are read as those of files are (`image_bytes`). Depth of that transport is PNG or RVL code after a header of
twelve bytes.
"""

from __future__ import annotations

import math
import struct
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mvloc_ros import image_bytes
from mvloc_ros.foreign_text import shown
from mvloc_ros.frontend.decode import DecodeError, decode_color
from mvloc_ros.frontend.message_data import data_of
from mvloc_ros.frontend.rvl import RvlError, decode_rvl
from mvloc_ros.image_header import PNG_SIGNATURE
from mvloc_ros.limits import MOST_PIXELS
from mvloc_ros.model.frame import ColorImage, DepthImage

_PNG = PNG_SIGNATURE
_COLORS = ("rgb8", "rgba8", "bgr8", "bgra8", "rgb16", "rgba16", "bgr16", "bgra16")
"""What the transport takes for colours (sensor_msgs' isColor)."""
_CONFIG = struct.Struct("<iff")
"""compressed_depth_image_transport's header: an enumeration and the quantisation's A and B."""
_RVL_SIZE = struct.Struct("<II")
"""Columns and rows, which that transport puts before the RVL code."""


def decode_compressed_color(message: Any) -> ColorImage:
    """Read a colour image as the transport's own subscriber does, except that mosaics become colours.

    `ENCODING; png compressed TARGET`: where ENCODING is a colour and TARGET is not `bgr...`, the file was encoded with
    red and blue exchanged. With `bayer_...` and one channel the file holds the sensor's mosaic. Other formats say
    nothing that the file does not. An EXIF orientation is ignored.

    Raises:
        DecodeError: the bytes are no colour image.
    """
    if "compressedDepth" in message.format:
        raise DecodeError("The colour topic carries compressed depth; check that the topics are not swapped.")
    encoding, separator, rest = message.format.partition(";")
    if encoding.strip().startswith("bayer_") and (mosaic := _decode(data_of(message), message)).ndim == 2:
        return _demosaic(np.ascontiguousarray(mosaic), encoding.strip())
    image = _decode_color(message)
    if image.ndim == 2:
        return ColorImage(image, "mono")
    exchanged = bool(separator) and encoding.strip() in _COLORS and "compressed bgr" not in rest
    orders = {3: "rgb", 4: "rgba"} if exchanged else {3: "bgr", 4: "bgra"}
    return ColorImage(image, orders[image.shape[2]])


def _decode_color(message: Any) -> NDArray[np.uint8]:
    try:
        return image_bytes.decode_color(data_of(message).tobytes())
    except image_bytes.NoColorError as error:
        raise DecodeError(
            f"The colour topic carries an image of another kind ({shown(message.format)}; {error}), which is no colour "
            "image; check that the colour and depth topics are not swapped."
        ) from error
    except image_bytes.ImageBytesError as error:
        raise _undecodable(message, str(error)) from error


def _demosaic(mosaic: NDArray[Any], encoding: str) -> ColorImage:
    """As the raw image of that encoding is read."""
    height, width = mosaic.shape
    return decode_color(
        SimpleNamespace(
            height=height,
            width=width,
            encoding=encoding,
            is_bigendian=int(sys.byteorder == "big"),
            step=width * mosaic.itemsize,
            data=mosaic.tobytes(),
        )
    )


def decode_compressed_depth(message: Any, unit_m: float = 0.0) -> DepthImage:
    """Read a depth image: PNG or RVL with the header of compressedDepth, or a bare PNG (16 bits, millimetres).

    Quantised 32FC1 is inverse depth: metres = A / (value - B), 0 is no measurement. `unit_m` as in `decode_depth`: the
    metres of one unit of the image before its compression.

    Raises:
        DecodeError: the bytes are no 16-bit image.
    """
    data = data_of(message)
    # What the bytes say counts more than the format: the first versions of the transport named none.
    bare = data[: len(_PNG)].tobytes() == _PNG
    headed = not bare and ("compressedDepth" in message.format or data[_CONFIG.size :][: len(_PNG)].tobytes() == _PNG)
    if headed and data.size <= _CONFIG.size:
        raise _undecodable(message, "it ends within its header")
    payload = data[_CONFIG.size :] if headed else data
    if headed and "rvl" in message.format.partition("compressedDepth")[2].lower():
        raw = _decode_rvl(payload, message)
    else:
        raw = _decode_png(payload, message)
    if not headed or not message.format.strip().startswith("32FC1"):
        return DepthImage(raw, unit_m or 0.001)
    _, a, b = _CONFIG.unpack(data[: _CONFIG.size].tobytes())
    if not (math.isfinite(a) and math.isfinite(b) and a > 0.0):
        raise _undecodable(message, f"its quantisation ({a:g}, {b:g}) is impossible")
    return DepthImage(_dequantise(raw, a, b), unit_m or 1.0)


def _decode_png(data: NDArray[np.uint8], message: Any) -> NDArray[np.uint16]:
    image = _decode(data, message)
    if image.dtype != np.uint16 or image.ndim != 2:
        raise DecodeError(
            f"The depth topic carries an image of {image.dtype} ({shown(message.format)}) where 16 bits are needed; "
            "JPEG cannot hold depth: use the compressedDepth topic."
        )
    return np.asarray(image, dtype=np.uint16)


def _decode_rvl(data: NDArray[np.uint8], message: Any) -> NDArray[np.uint16]:
    if data.size < _RVL_SIZE.size:
        raise _undecodable(message, "it ends within its header")
    columns, rows = _RVL_SIZE.unpack(data[: _RVL_SIZE.size].tobytes())
    if not 0 < columns * rows <= MOST_PIXELS:
        raise _undecodable(message, f"it claims {columns}x{rows} pixels")
    try:
        return decode_rvl(data[_RVL_SIZE.size :], columns * rows).reshape(rows, columns)
    except RvlError as error:
        raise _undecodable(message, str(error)) from error


def _dequantise(raw: NDArray[np.uint16], a: float, b: float) -> NDArray[np.float32]:
    metres = np.zeros(raw.shape, dtype=np.float32)
    measured = raw > max(b, 0.0)
    metres[measured] = np.float32(a) / (raw[measured].astype(np.float32) - np.float32(b))
    return metres


def _decode(data: NDArray[np.uint8], message: Any) -> NDArray[Any]:
    try:
        return image_bytes.decode(data.tobytes())
    except image_bytes.ImageBytesError as error:
        raise _undecodable(message, str(error)) from error


def _undecodable(message: Any, why: str) -> DecodeError:
    return DecodeError(
        f"A compressed image ({shown(message.format) or 'no format stated'}, {len(message.data)} bytes) cannot be "
        f"decoded: {why}; the driver or the recording is faulty."
    )
