# SPDX-License-Identifier: Apache-2.0
"""Clips: several frames of one sequence, evenly apart, that are trained together."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mvloc_ros.training.datasets.arrays import PosedFrames
from mvloc_ros.training.errors import TrainingError


class Window(NamedTuple):
    """Frames to look at together, in the order of time, and for which positions among them to take the answer."""

    frames: NDArray[np.int64]
    answers: slice


def in_time(frames: PosedFrames) -> list[NDArray[np.int64]]:
    """The indices of every sequence's frames in the order of time."""
    names = np.array(frames.sequences)
    sequences = [np.flatnonzero(names == name) for name in sorted(set(frames.sequences))]
    return [members[np.argsort(frames.stamps_ns[members], kind="stable")] for members in sequences]


def windows(frames: PosedFrames, length: int, skip: int, causal: bool) -> list[Window]:
    """Windows as long and as far apart as the clips of the training that answer for every frame once.

    Causal: of each frame and those before it, as many as there are. Otherwise side by side, the last of
    a sequence reaching back into the one before it.
    """
    found = []
    for members in in_time(frames):
        for first in range(min(skip, len(members))):
            chain = members[first::skip]
            if causal:
                parts = [chain[max(0, i + 1 - length) : i + 1] for i in range(len(chain))]
                found += [Window(part, slice(len(part) - 1, None)) for part in parts]
                continue
            for start in range(0, len(chain), length):
                begin = max(0, min(start, len(chain) - length))
                found.append(Window(chain[begin : start + length], slice(start - begin, None)))
    return found


def clip_indices(frames: PosedFrames, length: int, skip: int) -> Tensor:
    """Every clip of `length` frames, `skip` frames apart, in the order of time: int64 `[clips, length]`.

    No clip crosses from one sequence into another. In a sequence too short for the skip it is as large
    as fits; one of fewer than `length` frames has no clip.

    Raises:
        TrainingError: there is no clip at all.
    """
    if length == 1:
        return torch.arange(len(frames)).unsqueeze(1)
    clips = []
    for members in in_time(frames):
        if len(members) < length:
            continue
        offsets = min(skip, (len(members) - 1) // (length - 1)) * np.arange(length)
        starts = np.arange(len(members) - offsets[-1])
        clips.append(members[starts[:, None] + offsets])
    if not clips:
        raise TrainingError(f"No training sequence has {length} frames, as a clip needs; lower --clip-length.")
    return torch.from_numpy(np.concatenate(clips))
