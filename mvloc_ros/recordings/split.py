# SPDX-License-Identifier: Apache-2.0
"""Training and test frames of a recording that does not say which is which."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mvloc_ros.recordings.errors import RecordingError
from mvloc_ros.recordings.frames import FrameRecord

Frames = tuple[FrameRecord, ...]


def tail_split(sequences: Sequence[Sequence[FrameRecord]], test_fraction: float) -> tuple[Frames, Frames]:
    """(train, test): the last `test_fraction` of each sequence is test.

    In time and not at random: neighbouring frames are nearly equal, so that a random split would
    test what was trained.
    """
    if not 0.0 < test_fraction < 1.0:
        raise RecordingError(f"The test fraction must lie between 0 and 1, not at {test_fraction}.")
    train: list[FrameRecord] = []
    test: list[FrameRecord] = []
    for frames in sequences:
        first_test = len(frames) - round(len(frames) * test_fraction)
        train += frames[:first_test]
        test += frames[first_test:]
    return tuple(train), tuple(test)


def require_both(root: Path, train: Frames, test: Frames) -> None:
    """Raise RecordingError where training or test has no usable frame."""
    for name, frames in (("training", train), ("test", test)):
        if not frames:
            raise RecordingError(
                f"{root} has no usable {name} frame (image and valid pose): check its split, image and pose files."
            )
