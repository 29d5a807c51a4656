# SPDX-License-Identifier: Apache-2.0
"""Folders of frames in the layout of 7-Scenes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np


def write_frame(sequence: Path, index: int, bgr: np.ndarray, millimetres: np.ndarray, pose: np.ndarray) -> None:
    """One frame: colour [H, W, 3] uint8 and depth [H, W] uint16 as PNG, and the pose of the camera, 4x4."""
    stem = sequence / f"frame-{index:06d}"
    cv2.imwrite(f"{stem}.color.png", bgr)
    cv2.imwrite(f"{stem}.depth.png", millimetres)
    np.savetxt(f"{stem}.pose.txt", pose)


def write_splits(root: Path, train: Iterable[str], test: str) -> None:
    """Which sequences are for training, and which one is for tests, in the words of the two lists."""
    (root / "TrainSplit.txt").write_text("".join(f"{name}\n" for name in train))
    (root / "TestSplit.txt").write_text(f"{test}\n")
