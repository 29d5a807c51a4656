# SPDX-License-Identifier: Apache-2.0
"""Frames decoded once, resized once, and kept in memory.

Resizing is done by the functions that the node uses, so that the network sees in training what it
sees later.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.inference.preprocess import resize_color, resize_depth
from mvloc_ros.recordings import FrameRecord, read_color, read_depth
from mvloc_ros.training.errors import TrainingError


@dataclass(frozen=True, eq=False)
class PosedFrames:
    """N frames of one size with their poses, in the order of the records.

    Attributes:
        color: uint8 `[N, H, W, 3]` RGB, zeros where a frame has no colour.
        depth: float32 `[N, H, W]` metres, 0 where invalid or absent.
        present: float32 `[N, 2]`, 1 where colour and depth exist.
        poses: float64 `[N, 4, 4]`, T_map_camera.
        stamps_ns: int64 `[N]`.
        sequences: the names of the sequences.
    """

    color: NDArray[np.uint8]
    depth: NDArray[np.float32]
    present: NDArray[np.float32]
    poses: NDArray[np.float64]
    stamps_ns: NDArray[np.int64]
    sequences: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.poses)

    def digest(self) -> str:
        """SHA-256 over everything, to tell whether a run is resumed on the data it began with."""
        digest = hashlib.sha256(repr((self.color.shape, self.sequences)).encode())
        for array in (self.color, self.depth, self.present, self.poses, self.stamps_ns):
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


def network_size(camera: PinholeCamera, short_side: int) -> tuple[int, int]:
    """(height, width) of the network's input: the camera's aspect ratio at the given shorter side."""
    scale = short_side / min(camera.height, camera.width)
    return round(camera.height * scale), round(camera.width * scale)


def load_frames(
    records: Sequence[FrameRecord], height: int, width: int, depth_units_per_metre: float, label: str
) -> PosedFrames:
    """Read the images of all records, with a progress bar named `label`.

    Raises:
        TrainingError: there is no record, or one has no pose.
        RecordingError: an image cannot be read.
    """
    if not records:
        raise TrainingError(f"There are no {label} frames; check the folder's split.")
    count = len(records)
    color = np.zeros((count, height, width, 3), dtype=np.uint8)
    depth = np.zeros((count, height, width), dtype=np.float32)
    present = np.zeros((count, 2), dtype=np.float32)
    for i, record in enumerate(tqdm(records, desc=f"reading {label} frames", unit="frame")):
        if record.color is not None:
            color[i] = resize_color(read_color(record.color), height, width)
            present[i, 0] = 1.0
        if record.depth is not None:
            depth[i] = resize_depth(read_depth(record.depth, depth_units_per_metre), height, width)
            present[i, 1] = 1.0
    poses = [record.T_map_camera for record in records]
    if any(pose is None for pose in poses):
        raise TrainingError(f"Frames without a pose cannot serve as {label} frames; leave them out.")
    return PosedFrames(
        color,
        depth,
        present,
        np.stack([np.asarray(pose, dtype=np.float64) for pose in poses]),
        np.array([record.stamp_ns for record in records], dtype=np.int64),
        tuple(record.sequence for record in records),
    )
