# SPDX-License-Identifier: Apache-2.0
"""Decoded and resized frames with poses: arrays in memory, or memory-mapped files."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.recordings import FrameRecord

INPUT_NAMES = ("color", "depth", "present")  # of a network, and of its exported graph
COLOR, DEPTH = 0, 1  # columns of `PosedFrames.present`


@dataclass(frozen=True)
class UnreadableFrame:
    """A record that cannot be read: its position in the recording, and the reason with the name of the file."""

    sequence: str
    index: int
    reason: str


@dataclass(frozen=True, eq=False)
class PosedFrames:
    """N frames of one size with their poses, in the order of the records.

    `color` and `depth` may be read-only memory maps: `as_tensor` converts them to tensors.

    Attributes:
        color: uint8 `[N, H, W, 3]` RGB, zeros for a frame without color.
        depth: float32 `[N, H, W]` meters, 0 where invalid or absent.
        present: float32 `[N, 2]`, 1 where color and depth exist.
        poses: float64 `[N, 4, 4]`, T_map_camera.
        stamps_ns: int64 `[N]`.
        sequences: name of the sequence of each frame.
        unreadable: the records that could not be read, which are not among the frames.
    """

    color: NDArray[np.uint8]
    depth: NDArray[np.float32]
    present: NDArray[np.float32]
    poses: NDArray[np.float64]
    stamps_ns: NDArray[np.int64]
    sequences: tuple[str, ...]
    unreadable: tuple[UnreadableFrame, ...] = ()
    # Not an argument, so that a modified copy (dataclasses.replace) does not inherit it.
    _known_digest: str = field(default="", init=False, repr=False)

    @staticmethod
    def assemble(
        color: NDArray[np.uint8],
        depth: NDArray[np.float32],
        records: Sequence[FrameRecord],
        unreadable: Sequence[UnreadableFrame] = (),
        digest: str = "",
    ) -> PosedFrames:
        """From the images of all records but the unreadable ones.

        `digest`: the result of `digest()` if it is known, since computing it reads every image.
        """
        missing = {(frame.sequence, frame.index) for frame in unreadable}
        kept = [record for record in records if (record.sequence, record.index) not in missing]
        frames = PosedFrames(
            color,
            depth,
            np.array([[r.color is not None, r.depth is not None] for r in kept], dtype=np.float32),
            np.stack([np.asarray(record.T_map_camera, dtype=np.float64) for record in kept]),
            np.array([record.stamp_ns for record in kept], dtype=np.int64),
            tuple(record.sequence for record in kept),
            tuple(unreadable),
        )
        object.__setattr__(frames, "_known_digest", digest)
        return frames

    def __len__(self) -> int:
        return len(self.poses)

    def inputs(self, part: slice = slice(None)) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32]]:
        """Color, depth and presence of some frames: what a network takes, in the order of `INPUT_NAMES`."""
        return self.color[part], self.depth[part], self.present[part]

    def chosen(self, which: NDArray[np.bool_]) -> PosedFrames:
        """Some of the frames, `[N]`."""
        names = tuple(name for name, is_chosen in zip(self.sequences, which, strict=True) if is_chosen)
        color, depth, present = self.inputs()
        return PosedFrames(color[which], depth[which], present[which], self.poses[which], self.stamps_ns[which], names)

    def without(self, modality: int | None) -> PosedFrames:
        """The same frames with `COLOR` or `DEPTH` marked as missing; the images stay in memory. None: unchanged."""
        if modality is None:
            return self
        present = self.present.copy()
        present[:, modality] = 0.0
        return replace(self, present=present)

    def digest(self) -> str:
        """SHA-256 over all arrays, to check that a run is resumed with the same data."""
        if self._known_digest:
            return self._known_digest
        digest = hashlib.sha256(repr((self.color.shape, self.sequences)).encode())
        for array in (*self.inputs(), self.poses, self.stamps_ns):
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


def as_tensor(array: NDArray[Any]) -> Tensor:
    """A tensor that shares the memory of the array; writing to that of a read-only map kills the process."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array)


def evenly_spaced(count: int, most: int) -> NDArray[np.int64]:
    """At most so many indices below `count`, evenly spaced from the first to the last."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(np.int64))


def network_size(camera: PinholeCamera, short_side: int) -> tuple[int, int]:
    """(height, width) of the network input: the aspect ratio of the camera with the given shorter side."""
    scale = short_side / min(camera.height, camera.width)
    return round(camera.height * scale), round(camera.width * scale)
