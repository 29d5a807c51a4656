# SPDX-License-Identifier: Apache-2.0
"""Image files -> arrays, refusing what is damaged; the bytes are read as those of topics are (`image_bytes`)."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from mvloc_ros import image_bytes
from mvloc_ros.file_reader import ReadError, read_file
from mvloc_ros.foreign_text import shown
from mvloc_ros.limits import MOST_IMAGE_FILE_BYTES, MOST_LOG_CHARACTERS
from mvloc_ros.recordings.errors import RecordingError

DEPTH_INVALID = 65535
"""What 7-Scenes writes, besides 0, where the sensor saw nothing."""
_TO_RGB = {1: cv2.COLOR_GRAY2RGB, 3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGB}


def read_color(path: Path) -> npt.NDArray[np.uint8]:
    """uint8 [H, W, 3], RGB, as stored: an EXIF orientation is ignored.

    Raises RecordingError where the file is missing, damaged or no colour image.
    """
    try:
        image = image_bytes.decode_color(_read(path))
    except image_bytes.NoColorError as error:
        raise RecordingError(
            f"{path} is not a colour image ({error}): check that colour and depth are not swapped, and export it with "
            "8 bits per channel."
        ) from error
    except image_bytes.ImageBytesError as error:
        raise _damaged(path, error) from error
    channels = 1 if image.ndim == 2 else image.shape[2]
    return np.asarray(cv2.cvtColor(image, _TO_RGB[channels]), dtype=np.uint8)


def read_depth(path: Path, units_per_metre: float) -> npt.NDArray[np.float32]:
    """float32 [H, W] in metres along the optical axis; 0 where the sensor saw nothing (0 or 65535)."""
    raw = read_depth_raw(path)
    metres = raw.astype(np.float32) / np.float32(units_per_metre)
    metres[raw == DEPTH_INVALID] = 0.0
    return metres


def read_depth_raw(path: Path) -> npt.NDArray[np.uint16]:
    """uint16 [H, W] as stored, all 16 bits. Raises RecordingError where the file is not a 16-bit depth image."""
    image = _decode(path)
    if image.dtype != np.uint16 or image.ndim != 2:
        channels = 1 if image.ndim == 2 else image.shape[2]
        raise RecordingError(
            f"{path} holds {image.dtype} with {channels} channel(s), but a depth image is a PNG of 16 bits "
            "with one channel: export it again without conversion to 8 bits or to colours."
        )
    return np.asarray(image, dtype=np.uint16)


def read_gray(path: Path) -> npt.NDArray[np.uint8]:
    """uint8 [H, W] as stored. Raises RecordingError where the file is not an image of 8 bits with one channel."""
    image = _decode(path)
    if image.dtype != np.uint8 or image.ndim != 2:
        raise RecordingError(f"{path} is not an image of 8 bits with one channel, as it was recorded: copy it again.")
    return np.asarray(image, dtype=np.uint8)


def image_size(path: Path) -> tuple[int, int]:
    """(width, height) in pixels of an image file."""
    height, width = _decode(path).shape[:2]
    return width, height


def _decode(path: Path) -> npt.NDArray[np.generic]:
    try:
        return image_bytes.decode(_read(path))
    except image_bytes.ImageBytesError as error:
        raise _damaged(path, error) from error


def _read(path: Path) -> bytes:
    try:
        return read_file(path, MOST_IMAGE_FILE_BYTES)
    except ReadError as error:
        name = shown(path, MOST_LOG_CHARACTERS)
        raise RecordingError(f"The image {name} cannot be read ({error.strerror}).") from error


def _damaged(path: Path, error: image_bytes.ImageBytesError) -> RecordingError:
    return RecordingError(
        f"The image {path} is damaged ({shown(error, MOST_LOG_CHARACTERS)}): copy or export it again."
    )
