# SPDX-License-Identifier: Apache-2.0
"""Clips: evenly spaced frames of one sequence that are trained together."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mvloc_ros.training.datasets.posed_frames import PosedFrames
from mvloc_ros.training.errors import TrainingError


class Window(NamedTuple):
    """Frames of one forward pass in the order of time, and the slice of them whose poses are used."""

    frames: NDArray[np.int64]
    answers: slice


def in_time(frames: PosedFrames) -> list[NDArray[np.int64]]:
    """The frame indices of every sequence in the order of time."""
    names = np.array(frames.sequences)
    sequences = [np.flatnonzero(names == name) for name in sorted(set(frames.sequences))]
    return [members[np.argsort(frames.stamps_ns[members], kind="stable")] for members in sequences]


def windows(frames: PosedFrames, length: int, skip: int, causal: bool) -> list[Window]:
    """Windows with the length and spacing of the training clips that give one pose per frame.

    Causal: each frame with the previous ones, as far as there are any. Otherwise consecutive windows, of which the last
    one of a sequence overlaps the previous one.
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

    A clip is of one sequence. In a sequence too short for the skip it has the largest possible skip; one with fewer
    than `length` frames has no clip.

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
        raise TrainingError(f"No training sequence has the {length} frames of a clip; lower --clip-length.")
    return torch.from_numpy(np.concatenate(clips))
