# SPDX-License-Identifier: Apache-2.0
"""The bytes of an image file -> an array: the one reader for folders and for compressed topics.

A network must see in the node what it saw in training, so the same bytes give the same array everywhere:

- as stored: an EXIF orientation is ignored. No ROS driver uses it, and depth images have none;
- what is damaged is refused. OpenCV decodes a JPEG or PNG that was cut short into a picture with a grey or black rest
  and only prints a warning. Other formats it refuses itself;
- the size is read first: an image of more than `MOST_PIXELS`, or one whose size is not found, is never decoded;
- colour has 8 bits per channel. Colours of 16 bits are scaled; 16 bits with one channel are depth and no colour.
"""

from __future__ import annotations

import struct
import zlib
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mvloc_ros.foreign_text import shown
from mvloc_ros.image_header import JPEG_START, PNG_SIGNATURE, stated_size
from mvloc_ros.limits import MOST_PIXELS

JPEG_SCAN, JPEG_END = b"\xff\xda", b"\xff\xd9"
SUFFIXES = ("png", "jpg", "jpeg", "jpe", "bmp", "dib", "pbm", "pgm", "ppm", "pnm", "tif", "tiff", "webp")
"""Names of the formats that are read, in lower case."""


class ImageBytesError(ValueError):
    """Bytes that are not the image they should be; the text says why, without naming the image."""


class NoColorError(ImageBytesError):
    """An image of whole numbers or floats where colours of 8 or 16 bits are needed."""


def decode(data: bytes) -> NDArray[Any]:
    """The image as stored: `[H, W]` or `[H, W, C]` in OpenCV's order of channels, of the file's own type.

    Raises:
        ImageBytesError: the bytes are damaged or no image, or too large.
    """
    damage = _size_damage(data) or damage_of(data)
    if damage:
        raise ImageBytesError(damage)
    try:
        # Unchanged is the only flag that reads 16 bits, alpha and one channel as they are; it turns nothing either.
        image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        image = None
    if image is None:
        raise ImageBytesError("it cannot be decoded")
    return np.asarray(image)


def decode_color(data: bytes) -> NDArray[np.uint8]:
    """uint8 `[H, W]`, `[H, W, 3]` BGR or `[H, W, 4]` BGRA.

    Raises:
        NoColorError: it is an image, but none of 8 bits or of 16 bits with colours.
        ImageBytesError: the bytes are damaged or no image.
    """
    image = decode(data)
    if image.dtype == np.uint16 and image.ndim == 3:
        # By 255 / 65535 and rounded, as cv_bridge does for raw images.
        image = np.asarray(cv2.convertScaleAbs(image, alpha=255.0 / 65535.0))
    if image.dtype != np.uint8 or (image.ndim == 3 and image.shape[2] not in (3, 4)):
        channels = 1 if image.ndim == 2 else image.shape[2]
        raise NoColorError(f"it has {image.dtype} values in {channels} channel(s)")
    return np.asarray(image, dtype=np.uint8)


def damage_of(data: bytes) -> str:
    """What is wrong with the container of a PNG or JPEG file; empty when nothing is, or for other formats."""
    if not data:
        return "the file is empty"
    if data.startswith(PNG_SIGNATURE):
        return _png_damage(data)
    if data.startswith(JPEG_START):
        # 0xff is escaped inside a scan, so the end marker after the last scan header is the real one.
        cut = data.rfind(JPEG_END) < data.rfind(JPEG_SCAN)
        return "it ends before the JPEG end marker" if cut else ""
    return ""


def _size_damage(data: bytes) -> str:
    size = stated_size(data)
    if size is None:
        if data.startswith((PNG_SIGNATURE, JPEG_START)):
            return damage_of(data) or "it does not state its size"
        return "it is not a PNG, a JPEG or another supported image" if data else "the file is empty"
    width, height = size
    if not 0 < width * height <= MOST_PIXELS:
        return f"it states {width}x{height} pixels, 1 to {MOST_PIXELS} are accepted"
    return ""


def _png_damage(data: bytes) -> str:
    position = len(PNG_SIGNATURE)
    while position + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, position)
        end = position + 12 + length
        if end > len(data):
            break
        kind = data[position + 4 : position + 8]
        (stored,) = struct.unpack_from(">I", data, end - 4)
        if zlib.crc32(memoryview(data)[position + 4 : end - 4]) != stored:
            return f"checksum of its PNG chunk {shown(kind.decode('latin-1'))} is wrong"
        if kind == b"IEND":
            return ""
        position = end
    return "it ends before the last PNG chunk"
