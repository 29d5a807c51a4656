# SPDX-License-Identifier: Apache-2.0
"""`held_out.txt` in a folder of the 7-Scenes layout: stretches of its sequences that are kept for tests.

A line has the sequence, the first and the last number of its frames, and `test`, or `unused` for frames beside a
stretch that are too much like it to be trained on. Such frames may be used when nothing is to be tested any more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mvloc_ros.foreign_text import quoted
from mvloc_ros.geometry.text_file import read_text
from mvloc_ros.recordings.errors import RecordingError
from mvloc_ros.recordings.frames import FrameRecord

HELD_OUT_FILE = "held_out.txt"
TEST, UNUSED = "test", "unused"
_HEADER = "# sequence, first and last frame, and what for: test, or unused (beside a test stretch and much like it)"


@dataclass(frozen=True)
class Stretch:
    """Frames `first` to `last`, by their numbers, of a sequence; `use` is `TEST` or `UNUSED`."""

    sequence: str
    first: int
    last: int
    use: str


def held_out_text(stretches: Sequence[Stretch]) -> str:
    """The content of the file."""
    return "\n".join([_HEADER, *(f"{one.sequence} {one.first} {one.last} {one.use}" for one in stretches)]) + "\n"


def read_held_out(root: Path, sequences: Mapping[str, Sequence[FrameRecord]]) -> list[Stretch]:
    """The stretches of a folder with these sequences.

    Raises:
        RecordingError: a line cannot be understood, or names frames that are not there.
    """
    path = root / HELD_OUT_FILE
    found = []
    for number, line in enumerate(read_text(path, "split file", RecordingError).splitlines(), start=1):
        fields = line.split("#", 1)[0].split()
        if not fields:
            continue
        stretch = _stretch(fields)
        if stretch is None:
            raise RecordingError(
                f"{path}:{number} is not `SEQUENCE FIRST LAST test` or `... unused`, but {quoted(line)}: correct it."
            )
        frames = sequences.get(stretch.sequence, ())
        if not any(stretch.first <= frame.index <= stretch.last for frame in frames):
            raise RecordingError(
                f"{path}:{number} names frames {stretch.first} to {stretch.last} of {quoted(stretch.sequence)}, of "
                f"which {root} has none with image and pose: correct or remove the line."
            )
        found.append(stretch)
    return found


def _stretch(fields: Sequence[str]) -> Stretch | None:
    if len(fields) != 4 or fields[3] not in (TEST, UNUSED):
        return None
    if not all(text.isascii() and text.isdigit() and len(text) <= 9 for text in fields[1:3]):
        return None
    first, last = int(fields[1]), int(fields[2])
    return Stretch(fields[0], first, last, fields[3]) if first <= last else None


def split_by(
    stretches: Sequence[Stretch], sequences: Mapping[str, Sequence[FrameRecord]]
) -> tuple[tuple[FrameRecord, ...], tuple[FrameRecord, ...], tuple[FrameRecord, ...]]:
    """(train, test, unused), each in order of time; a frame that several lines name is for tests if one says so."""
    parts: dict[str, list[FrameRecord]] = {"": [], TEST: [], UNUSED: []}
    for name, frames in sequences.items():
        of_sequence = [one for one in stretches if one.sequence == name]
        for frame in frames:
            uses = {one.use for one in of_sequence if one.first <= frame.index <= one.last}
            parts[TEST if TEST in uses else UNUSED if uses else ""].append(frame)
    train, test, unused = (tuple(sorted(part, key=lambda frame: frame.stamp_ns)) for part in parts.values())
    return train, test, unused
