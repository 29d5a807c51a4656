# SPDX-License-Identifier: Apache-2.0
"""A small scene that valid inputs are made of: a camera, images, depth and poses along a straight drive."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry import quaternion, se3
from mvloc_ros.geometry.camera import PinholeCamera

CAMERA = PinholeCamera(64, 48, 60.0, 60.0, 31.5, 23.5)
START_NS, PERIOD_NS, FRAMES = 100_000_000_000, 100_000_000, 8


def color_of(index: int) -> NDArray[np.uint8]:
    """RGB `[48, 64, 3]`."""
    coarse = np.random.default_rng(index).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, (CAMERA.width, CAMERA.height), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


def depth_of(index: int) -> NDArray[np.uint16]:
    """Millimetres `[48, 64]`; the first pixel has no measurement."""
    coarse = np.random.default_rng(100 + index).integers(800, 4000, (6, 8)).astype(np.uint16)
    depth = cv2.resize(coarse, (CAMERA.width, CAMERA.height), interpolation=cv2.INTER_LINEAR)
    depth[0, 0] = 0
    return np.asarray(depth, dtype=np.uint16)


def pose_of(index: float) -> NDArray[np.float64]:
    """T_map_camera of a frame; between frames it is interpolated."""
    return se3.from_parts([1.0 + 0.02 * index, -3.0, 0.5], quaternion.exp(np.array([0.0, 0.01 * index, 0.02])))


def encoded(image: NDArray[np.uint8] | NDArray[np.uint16], suffix: str) -> bytes:
    """RGB or one channel -> the bytes of a file."""
    bgr = np.ascontiguousarray(image[:, :, ::-1]) if image.ndim == 3 else image
    return bytes(cv2.imencode(suffix, bgr)[1].tobytes())


def tum_text(count: int = FRAMES) -> str:
    """The poses as lines of TUM's form."""
    lines = ["# timestamp tx ty tz qx qy qz qw"]
    for index in range(count):
        position, orientation = se3.to_parts(pose_of(index))
        stamp = START_NS + index * PERIOD_NS
        numbers = " ".join(f"{value:.9f}" for value in (*position, *orientation))
        lines.append(f"{stamp // 10**9}.{stamp % 10**9:09d} {numbers}")
    return "\n".join(lines) + "\n"
