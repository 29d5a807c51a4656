# SPDX-License-Identifier: Apache-2.0
"""Writes the three files of a frame in the 7-Scenes layout, each atomically."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from mvloc_ros.demo.renderer import RgbdFrame
from mvloc_ros.errors import MvlocError
from mvloc_ros.storage import write_file

DEPTH_UNITS_PER_METRE = 1000
_JPEG_QUALITY = 95
_PNG_COMPRESSION = 1  # higher levels hardly reduce noisy depth


class DemoError(MvlocError):
    """The demo recording cannot be written with these options."""


def pose_file(folder: Path, index: int) -> Path:
    """The file of a frame that is written last: if it exists, the frame is complete."""
    return folder / f"frame-{index:06d}.pose.txt"


def write_frame(folder: Path, index: int, frame: RgbdFrame, pose: npt.NDArray[np.float64]) -> None:
    """Color and further images as JPEG, depth as 16-bit PNG in millimetres, then the pose 4x4 as text."""
    millimetres = np.rint(frame.depth * DEPTH_UNITS_PER_METRE).astype(np.uint16)
    bgr = np.ascontiguousarray(frame.color[..., ::-1])
    _write_image(folder / f"frame-{index:06d}.color.jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    for name, image in frame.further.items():
        stored = image if image.ndim == 2 else np.ascontiguousarray(image[..., ::-1])
        _write_image(folder / f"frame-{index:06d}.{name}.jpg", stored, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    _write_image(folder / f"frame-{index:06d}.depth.png", millimetres, [cv2.IMWRITE_PNG_COMPRESSION, _PNG_COMPRESSION])
    rows = "\n".join(" ".join(f"{value:.9f}" for value in row) for row in pose)
    write_file(pose_file(folder, index), rows + "\n", durable=False)


def _write_image(path: Path, image: npt.NDArray[np.uint8] | npt.NDArray[np.uint16], options: list[int]) -> None:
    done, data = cv2.imencode(path.suffix, image, options)
    if not done:
        raise DemoError(f"{path} could not be encoded.")
    write_file(path, data.tobytes(), durable=False)
