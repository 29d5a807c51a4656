# SPDX-License-Identifier: Apache-2.0
"""Which frames of a posed recording are held out: whole stretches of it that the rest of the recording shows as well.

The end of a drive often leads where nothing else was recorded: held out, it tells nothing of the places that the rest
shows. Of the stretches that are covered, those are taken that are farthest apart, not those that are covered best,
since these would be easier than the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry import se3
from mvloc_ros.recordings.train_test_split import require_test_fraction

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

# How far a camera comes in a stretch, so that what was seen before and after it covers its middle; and how many frames
# it has: the first pose takes six.
_LENGTH_M, _FEWEST, _MOST = 1.0, 20, 150
REACH_M, REACH_DEG = 0.75, 30.0
"""A frame is covered if another one was taken so near and looked so much the same way (docs/learn_report.md)."""
# A stretch is covered if so many of its frames are.
_COVERED = 0.9
# Frames before and after a stretch that are neither held out nor trained on: those that the camera moved less than
# this from its end.
_GAP_M, _GAP_RAD = 0.25, np.deg2rad(10.0)
# Of a longer recording every second, third ... frame stands for its neighbors in the search for what covers.
_MOST_COMPARED = 2000


@dataclass(frozen=True)
class Block:
    """A stretch of one sequence: `first` to `last` are held out, the frames of `gap` around it are not used.

    Attributes:
        sequence: its name.
        first, last: indices in the order of time.
        gap_first, gap_last: the same of all that is not trained on.
        covered: the share of its frames that other frames cover.
    """

    sequence: str
    first: int
    last: int
    gap_first: int
    gap_last: int
    covered: float


def choose_blocks(sequences: Mapping[str, Array], share: float) -> list[Block]:
    """Stretches that make up about a share of the frames of each sequence.

    Args:
        sequences: poses T_map_camera `[N, 4, 4]` of each, in order of time; of a sequence with fewer than 40 frames
            nothing is held out.
        share: between 0 and 1.

    Raises:
        RecordingError: the share is not between 0 and 1.
    """
    require_test_fraction(share)
    step = -(-sum(map(len, sequences.values())) // _MOST_COMPARED) or 1
    chosen: list[Block] = []
    for name, poses in sequences.items():
        chosen += _Chooser(name, poses, sequences, chosen, step).choose(share)
    return chosen


class _Chooser:
    """Chooses in one sequence; what the other ones hold out is known."""

    def __init__(
        self, name: str, poses: Array, sequences: Mapping[str, Array], before: Sequence[Block], step: int
    ) -> None:
        self._name, self._poses = name, poses
        others = [p[~_unused(len(p), _of(before, other))] for other, p in sequences.items() if other != name]
        rest = np.concatenate([np.zeros((0, 4, 4)), *others])[::step]
        self._numbers = np.arange(len(poses))[::step]
        self._by_others: Mask = np.asarray(_in_reach(poses, rest).any(axis=1))
        self._reach = _in_reach(poses, poses[::step])

    def choose(self, share: float) -> list[Block]:
        frames = len(self._poses)
        if frames < 2 * _FEWEST:
            return []
        wanted = round(share * frames)
        count = max(1, round(wanted / self._usual_length()))
        length = wanted // count
        if length < 2:
            return []
        firsts = range(0, frames - length + 1, max(1, length // 4))
        candidates = [self._with_gaps(first, first + length - 1) for first in firsts]
        candidates = [self._with_coverage(one, []) for one in candidates]
        chosen: list[Block] = []
        while candidates and len(chosen) < count:
            best = max(candidates, key=lambda one: (min(one.covered, _COVERED), _apart(one, chosen, frames)))
            chosen.append(best)
            free = [one for one in candidates if one.first > best.gap_last or one.last < best.gap_first]
            candidates = [self._with_coverage(one, chosen) for one in free]
        return chosen

    def _usual_length(self) -> int:
        """Frames in which the camera comes about as far as a stretch is long."""
        steps = np.linalg.norm(np.diff(self._poses[:, :3, 3], axis=0), axis=1)
        return int(np.clip(_LENGTH_M / max(float(np.median(steps)), 1e-6), _FEWEST, _MOST))

    def _with_gaps(self, first: int, last: int) -> Block:
        return Block(self._name, first, last, self._gap(first, -1), self._gap(last, 1), 0.0)

    def _with_coverage(self, block: Block, chosen: Sequence[Block]) -> Block:
        """Its coverage by what neither it nor those chosen hold out."""
        held = slice(block.first, block.last + 1)
        used = ~_unused(len(self._poses), [*chosen, block])[self._numbers]
        covered = self._by_others[held] | (self._reach[held] & used).any(axis=1)
        return replace(block, covered=float(covered.mean()))

    def _gap(self, end: int, step: int) -> int:
        """The last index in a direction at which the camera is still where the block ended."""
        index, T_end = end, self._poses[end]
        while 0 <= index + step < len(self._poses):
            T = self._poses[index + step]
            if se3.translation_error(T, T_end) > _GAP_M or se3.rotation_error(T, T_end) > _GAP_RAD:
                break
            index += step
        return index


def _of(blocks: Sequence[Block], name: str) -> list[Block]:
    return [block for block in blocks if block.sequence == name]


def _apart(block: Block, chosen: Sequence[Block], frames: int) -> float:
    """How far a block is from those chosen; the first one is best in the middle of the sequence."""
    middle = 0.5 * (block.first + block.last)
    if not chosen:
        return -abs(middle - 0.5 * frames)
    return min(abs(middle - 0.5 * (one.first + one.last)) for one in chosen)


def _unused(frames: int, blocks: Sequence[Block]) -> Mask:
    """`[frames]`: what is not trained on."""
    unused = np.zeros(frames, dtype=bool)
    for block in blocks:
        unused[block.gap_first : block.gap_last + 1] = True
    return unused


def _in_reach(poses: Array, others: Array) -> Mask:
    """`[N, M]`: which poses have which others in reach."""
    found = np.zeros((len(poses), len(others)), dtype=bool)
    for row, pose in enumerate(poses):
        near = np.linalg.norm(others[:, :3, 3] - pose[:3, 3], axis=1) <= REACH_M
        found[row] = near & (others[:, :3, 2] @ pose[:3, 2] >= np.cos(np.deg2rad(REACH_DEG)))
    return found
