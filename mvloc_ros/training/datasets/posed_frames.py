# SPDX-License-Identifier: Apache-2.0
"""Decoded and resized frames with poses: arrays in memory, or memory-mapped files."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.model.modalities import PAIR
from mvloc_ros.recordings import FrameRecord

COLOR, DEPTH = 0, 1  # columns of `PosedFrames.present`; further sensors follow in their order


@dataclass(frozen=True)
class UnreadableFrame:
    """A record that cannot be read: its position in the recording, and the reason with the name of the file."""

    sequence: str
    index: int
    reason: str


@dataclass(frozen=True, eq=False)
class PosedFrames:
    """N frames of one size with their poses, in the order of the records.

    Images may be read-only memory maps: `as_tensor` converts them to tensors.

    Attributes:
        color: uint8 `[N, H, W, 3]` RGB, zeros for a frame without color.
        depth: float32 `[N, H, W]` meters, 0 where invalid or absent.
        present: float32 `[N, M]`, 1 where color, depth and the images of further sensors exist.
        poses: float64 `[N, 4, 4]`, T_map_camera.
        stamps_ns: int64 `[N]`.
        sequences: name of the sequence of each frame.
        unreadable: the records that could not be read, which are not among the frames.
        further: images of the further sensors by name, in their order: `[N, H, W, 3]`, or `[N, H, W]` as depth.
    """

    color: NDArray[np.uint8]
    depth: NDArray[np.float32]
    present: NDArray[np.float32]
    poses: NDArray[np.float64]
    stamps_ns: NDArray[np.int64]
    sequences: tuple[str, ...]
    unreadable: tuple[UnreadableFrame, ...] = ()
    further: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    # Not an argument, so that a modified copy (dataclasses.replace) does not inherit it.
    _known_digest: str = field(default="", init=False, repr=False)

    @staticmethod
    def assemble(
        images: Mapping[str, NDArray[Any]],
        records: Sequence[FrameRecord],
        unreadable: Sequence[UnreadableFrame] = (),
        digest: str = "",
    ) -> PosedFrames:
        """From the images of all records but the unreadable ones, by modality: color, depth, further sensors.

        `digest`: the result of `digest()` if it is known, since computing it reads every image.
        """
        missing = {(frame.sequence, frame.index) for frame in unreadable}
        kept = [record for record in records if (record.sequence, record.index) not in missing]
        frames = PosedFrames(
            images["color"],
            images["depth"],
            np.array([[name in record.images() for name in images] for record in kept], dtype=np.float32),
            np.stack([np.asarray(record.T_map_camera, dtype=np.float64) for record in kept]),
            np.array([record.stamp_ns for record in kept], dtype=np.int64),
            tuple(record.sequence for record in kept),
            tuple(unreadable),
            {name: array for name, array in images.items() if name not in PAIR},
        )
        return frames.known_as(digest)

    def known_as(self, digest: str) -> PosedFrames:
        """These frames, whose `digest()` is known; an empty one is not."""
        object.__setattr__(self, "_known_digest", digest)
        return self

    def __len__(self) -> int:
        return len(self.poses)

    @property
    def modalities(self) -> tuple[str, ...]:
        """The names of the columns of `present`."""
        return (*PAIR, *self.further)

    def inputs(self, part: slice | NDArray[np.bool_] = slice(None)) -> tuple[NDArray[Any], ...]:
        """Color, depth, presence and further images of some frames: what a network takes, as `graph_inputs`."""
        arrays: tuple[NDArray[Any], ...] = (self.color, self.depth, self.present, *self.further.values())
        return tuple(array[part] for array in arrays)

    def chosen(self, which: NDArray[np.bool_]) -> PosedFrames:
        """Some of the frames, `[N]`."""
        names = tuple(name for name, is_chosen in zip(self.sequences, which, strict=True) if is_chosen)
        color, depth, present, *further = self.inputs(which)
        images = dict(zip(self.further, further, strict=True))
        return PosedFrames(color, depth, present, self.poses[which], self.stamps_ns[which], names, further=images)

    def without(self, modality: int | None) -> PosedFrames:
        """The same frames with one column of `present` marked as missing; images stay in memory. None: unchanged."""
        if modality is None:
            return self
        present = self.present.copy()
        present[:, modality] = 0.0
        return replace(self, present=present)

    def only(self, modality: int) -> PosedFrames:
        """The same frames with all columns of `present` but one marked as missing."""
        present = np.zeros_like(self.present)
        present[:, modality] = self.present[:, modality]
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
