# SPDX-License-Identifier: Apache-2.0
"""Image files -> arrays, refusing what is damaged.

OpenCV decodes a JPEG or PNG that was cut short into a picture with a grey or black rest and only
prints a warning; training and evaluation would go on with it. So the container is checked first.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from mvloc_ros.recordings.errors import RecordingError

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
JPEG_START, JPEG_SCAN, JPEG_END = b"\xff\xd8", b"\xff\xda", b"\xff\xd9"
DEPTH_INVALID = 65535
"""What 7-Scenes writes where the sensor saw nothing, beside 0."""


def read_color(path: Path) -> npt.NDArray[np.uint8]:
    """uint8 [H, W, 3], RGB. Raises RecordingError where the file is missing, damaged or no image."""
    image = _decode(path, cv2.IMREAD_COLOR)
    return np.ascontiguousarray(image[:, :, ::-1], dtype=np.uint8)


def read_depth(path: Path, units_per_metre: float) -> npt.NDArray[np.float32]:
    """float32 [H, W] in metres along the optical axis; 0 where the sensor saw nothing (0 or 65535)."""
    raw = read_depth_raw(path)
    metres = raw.astype(np.float32) / np.float32(units_per_metre)
    metres[raw == DEPTH_INVALID] = 0.0
    return metres


def read_depth_raw(path: Path) -> npt.NDArray[np.uint16]:
    """uint16 [H, W] as stored, all 16 bits. Raises RecordingError where the file is not a 16-bit depth image."""
    image = _decode(path, cv2.IMREAD_UNCHANGED)
    if image.dtype != np.uint16 or image.ndim != 2:
        channels = 1 if image.ndim == 2 else image.shape[2]
        raise RecordingError(
            f"{path} holds {image.dtype} with {channels} channel(s), but a depth image is a PNG of 16 bits "
            "with one channel: export it again without conversion to 8 bits or to colours."
        )
    return np.asarray(image, dtype=np.uint16)


def read_gray(path: Path) -> npt.NDArray[np.uint8]:
    """uint8 [H, W] as stored. Raises RecordingError where the file is not an image of 8 bits with one channel."""
    image = _decode(path, cv2.IMREAD_UNCHANGED)
    if image.dtype != np.uint8 or image.ndim != 2:
        raise RecordingError(f"{path} is not an image of 8 bits with one channel, as it was recorded: copy it again.")
    return np.asarray(image, dtype=np.uint8)


def image_size(path: Path) -> tuple[int, int]:
    """(width, height) in pixels of an image file."""
    height, width = _decode(path, cv2.IMREAD_UNCHANGED).shape[:2]
    return width, height


def _decode(path: Path, flags: int) -> npt.NDArray[np.generic]:
    try:
        data = path.read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise RecordingError(f"The image {path} cannot be read ({reason}).") from error
    damage = damage_of(data)
    if damage:
        raise RecordingError(f"The image {path} is damaged ({damage}): copy or export it again.")
    image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), flags)
    if image is None:
        raise RecordingError(f"The image {path} is damaged (it cannot be decoded): copy or export it again.")
    return np.asarray(image)


def damage_of(data: bytes) -> str:
    """What is wrong with the bytes of a PNG or JPEG file; empty when nothing is."""
    if not data:
        return "the file is empty"
    if data.startswith(PNG_SIGNATURE):
        return _png_damage(data)
    if data.startswith(JPEG_START):
        # 0xff is escaped inside a scan, so the end marker after the last scan header is the real one.
        cut = data.rfind(JPEG_END) < data.rfind(JPEG_SCAN)
        return "it ends before the JPEG end marker" if cut else ""
    return "it is neither a PNG nor a JPEG file"


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
            return f"checksum of its PNG chunk {kind.decode('ascii', 'replace')} is wrong"
        if kind == b"IEND":
            return ""
        position = end
    return "it ends before the last PNG chunk"
