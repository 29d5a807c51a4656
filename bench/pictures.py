# SPDX-License-Identifier: Apache-2.0
"""Images as cameras send them, made up: for what takes time, their size and detail matter and nothing else."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def picture(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    """A colour image `[height, width, 3]` with the detail of a natural one."""
    noise = np.random.default_rng(seed).integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def depth_map(height: int, width: int, seed: int = 1) -> NDArray[np.uint16]:
    """Millimetres `[height, width]` of smooth surfaces with sensor noise and holes."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(800, 4000, (6, 8)).astype(np.float32)
    depth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR) + rng.normal(0, 3, (height, width))
    depth[cv2.resize(rng.random((30, 40)), (width, height)) < 0.2] = 0
    return depth.astype(np.uint16)
