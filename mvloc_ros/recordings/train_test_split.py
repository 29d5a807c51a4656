# SPDX-License-Identifier: Apache-2.0
"""Training and test frames of a recording that does not say which is which."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from mvloc_ros.recordings.errors import RecordingError
from mvloc_ros.recordings.frames import FrameRecord

Frames = tuple[FrameRecord, ...]

_LEAST_PART = 200
TEST_FRACTION = 0.2
"""The share that becomes test where nobody says another: the default of every `--test-fraction`."""


def tail_split(sequences: Sequence[Sequence[FrameRecord]], test_fraction: float) -> tuple[Frames, Frames]:
    """(train, test): the last `test_fraction` of each sequence is test.

    In time and not at random: neighbouring frames are nearly equal, so that a random split would
    test what was trained.
    """
    require_test_fraction(test_fraction)
    train: list[FrameRecord] = []
    test: list[FrameRecord] = []
    for frames in sequences:
        first_test = len(frames) - round(len(frames) * test_fraction)
        train += frames[:first_test]
        test += frames[first_test:]
    return tuple(train), tuple(test)


def require_test_fraction(share: float) -> None:
    """Raise RecordingError where a share of test frames would leave no frame for test or training."""
    if not 0.0 < share < 1.0:
        raise RecordingError(f"The test fraction must be between 0 and 1, not {share}.")


def hold_out(
    records: Sequence[FrameRecord], share: float, gap: int, blocks: int = 1
) -> tuple[list[FrameRecord], list[list[FrameRecord]]]:
    """(seen, held out): of each sequence, in time, a block of that share of it at the end of each of `blocks` parts.

    In blocks with `gap` unused frames around them: neighbours in a video are nearly equal, so frames drawn at random
    would measure memorization. A sequence too short to give a frame to each block and to keep one is not held out.

    Args:
        records: frames of any order.
        share: of a sequence's frames in each block.
        gap: frames on either side of a block that are neither seen nor held out.
        blocks: per sequence.
    """
    seen: list[FrameRecord] = []
    held: list[list[FrameRecord]] = []
    in_time = sorted(records, key=lambda record: (record.sequence, record.stamp_ns))
    for _, group in groupby(in_time, key=lambda record: record.sequence):
        sequence = list(group)
        count = round(share * len(sequence))
        ends = [len(sequence) * number // blocks for number in range(1, blocks + 1)]
        unseen = {i for end in ends for i in range(end - count - gap, end + gap)}
        kept = [record for i, record in enumerate(sequence) if i not in unseen]
        if count and kept:
            seen += kept
            held += [sequence[end - count : end] for end in ends]
        else:
            seen += sequence
    return seen, held


def hold_out_spread(
    records: Sequence[FrameRecord], share: float, gap: int, blocks: int = 1
) -> tuple[list[FrameRecord], list[list[FrameRecord]]]:
    """(seen, held out) as `hold_out`, with `blocks` blocks in each part of a sequence of 200 frames or more.

    In a building the end of a long drive is often where nothing else was recorded, and a frame of a place that the rest
    does not show tells nothing of those that it does.
    """
    seen: list[FrameRecord] = []
    held: list[list[FrameRecord]] = []
    in_time = sorted(records, key=lambda record: (record.sequence, record.stamp_ns))
    for _, group in groupby(in_time, key=lambda record: record.sequence):
        sequence = list(group)
        parts = max(1, len(sequence) // _LEAST_PART)
        rest, found = hold_out(sequence, share / parts, gap, blocks * parts)
        seen += rest
        held += found
    return seen, held


def require_both(root: Path, train: Frames, test: Frames) -> None:
    """Raise RecordingError where training or test has no usable frame."""
    for name, frames in (("training", train), ("test", test)):
        if not frames:
            raise RecordingError(
                f"{root} has no usable {name} frame (image and valid pose): check its split, image and pose files."
            )
