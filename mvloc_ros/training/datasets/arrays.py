# SPDX-License-Identifier: Apache-2.0
"""Frames decoded once, resized once: arrays in memory, or files that are mapped into it."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.recordings import FrameRecord


@dataclass(frozen=True)
class LostFrame:
    """A record that gave no frame: its place in the recording, and a sentence that names the file and what it has."""

    sequence: str
    index: int
    reason: str


@dataclass(frozen=True, eq=False)
class PosedFrames:
    """N frames of one size with their poses, in the order of the records.

    `color` and `depth` may be maps of files that can only be read: `as_tensor` makes tensors of them.

    Attributes:
        color: uint8 `[N, H, W, 3]` RGB, zeros where a frame has no colour.
        depth: float32 `[N, H, W]` metres, 0 where invalid or absent.
        present: float32 `[N, 2]`, 1 where colour and depth exist.
        poses: float64 `[N, 4, 4]`, T_map_camera.
        stamps_ns: int64 `[N]`.
        sequences: the names of the sequences.
        lost: the records that are not among the frames because they could not be read.
    """

    color: NDArray[np.uint8]
    depth: NDArray[np.float32]
    present: NDArray[np.float32]
    poses: NDArray[np.float64]
    stamps_ns: NDArray[np.int64]
    sequences: tuple[str, ...]
    lost: tuple[LostFrame, ...] = ()
    # Not an argument, so that a changed copy (dataclasses.replace) does not inherit it.
    _known_digest: str = field(default="", init=False, repr=False)

    @staticmethod
    def assemble(
        color: NDArray[np.uint8],
        depth: NDArray[np.float32],
        records: Sequence[FrameRecord],
        lost: Sequence[LostFrame] = (),
        digest: str = "",
    ) -> PosedFrames:
        """From the images of those records that are not lost.

        `digest` is what `digest()` would give, where it is known: computing it reads every image.
        """
        missing = {(frame.sequence, frame.index) for frame in lost}
        kept = [record for record in records if (record.sequence, record.index) not in missing]
        frames = PosedFrames(
            color,
            depth,
            np.array([[r.color is not None, r.depth is not None] for r in kept], dtype=np.float32),
            np.stack([np.asarray(record.T_map_camera, dtype=np.float64) for record in kept]),
            np.array([record.stamp_ns for record in kept], dtype=np.int64),
            tuple(record.sequence for record in kept),
            tuple(lost),
        )
        object.__setattr__(frames, "_known_digest", digest)
        return frames

    def __len__(self) -> int:
        return len(self.poses)

    def digest(self) -> str:
        """SHA-256 over everything, to tell whether a run is resumed on the data it began with."""
        if self._known_digest:
            return self._known_digest
        digest = hashlib.sha256(repr((self.color.shape, self.sequences)).encode())
        for array in (self.color, self.depth, self.present, self.poses, self.stamps_ns):
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


def as_tensor(array: NDArray[Any]) -> Tensor:
    """A tensor that shares the array's memory. Of a read-only map it may only be read: writing ends the process."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array)


def network_size(camera: PinholeCamera, short_side: int) -> tuple[int, int]:
    """(height, width) of the network's input: the camera's aspect ratio at the given shorter side."""
    scale = short_side / min(camera.height, camera.width)
    return round(camera.height * scale), round(camera.width * scale)
