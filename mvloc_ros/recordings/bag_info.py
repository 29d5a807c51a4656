# SPDX-License-Identifier: Apache-2.0
"""What a recording holds: topics, types, counts, rates, and gaps in its time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mvloc_ros.foreign_text import shown
from mvloc_ros.geometry.stamp_text import SECOND_NS
from mvloc_ros.recordings.bag_reader import open_bag

GAP_FACTOR = 1.5
"""A gap is a distance of two messages above this many times the usual one: at least one is missing."""


@dataclass(frozen=True)
class TopicSummary:
    """One topic: `rate_hz` and `longest_gap_s` are None below two messages; `count` messages were there."""

    name: str
    type: str
    count: int
    rate_hz: float | None
    gaps: int
    longest_gap_s: float | None


@dataclass(frozen=True)
class BagSummary:
    """A whole recording; times are log times in nanoseconds, 0 where there is no message.

    `notes` say what is lost or skipped; `refusal` why other commands refuse the recording, empty where they do not.
    """

    path: Path
    start_ns: int
    end_ns: int
    messages: int
    bytes: int
    topics: tuple[TopicSummary, ...]
    notes: tuple[str, ...] = ()
    refusal: str = ""

    def text(self) -> str:
        """A table for the terminal."""
        width = max((len(shown(topic.name)) for topic in self.topics), default=5)
        type_width = max((len(shown(topic.type)) for topic in self.topics), default=4)
        lines = [
            f"{self.path}: {self.messages} messages, {max(0, self.end_ns - self.start_ns) / SECOND_NS:.3f} s, "
            f"{self.bytes / 1e6:.1f} MB",
            f"from {self.start_ns / SECOND_NS:.3f} to {self.end_ns / SECOND_NS:.3f} s"
            if self.messages
            else "it holds no message: nothing was sent while it was recorded, or its topics have other names",
            "",
            f"{'topic':{width}}  {'type':{type_width}}  {'count':>7}  {'rate':>9}  {'gaps':>5}  {'longest':>10}",
        ]
        if not self.topics:
            return "\n".join([*lines[:2], *self.notes])
        for topic in self.topics:
            rate = "-" if topic.rate_hz is None else f"{topic.rate_hz:.2f} Hz"
            longest = "-" if topic.longest_gap_s is None else f"{topic.longest_gap_s * 1e3:.1f} ms"
            lines.append(
                f"{shown(topic.name):{width}}  {shown(topic.type):{type_width}}  {topic.count:>7}  {rate:>9}  "
                f"{topic.gaps:>5}  {longest:>10}"
            )
        lines += self.notes
        return "\n".join(lines)


def summarise(path: Path | str, *, allow_damage: bool = False) -> BagSummary:
    """Read a recording once, rosbag2 or ROS 1, and describe it, with what is lost of it.

    Raises RecordingError where it is missing or cannot be opened; with `allow_damage`, an unfinished one can.
    """
    with open_bag(path, allow_damage=allow_damage) as reader:
        stamps: dict[str, list[int]] = {name: [] for name in reader.topics}
        size = 0
        for message in reader.raw(check_losses=False):
            stamps[message.topic].append(message.stamp_ns)
            size += len(message.data)
        topics = tuple(
            _summary(name, reader.topics[name].type, np.array(stamps[name], dtype=np.int64)) for name in sorted(stamps)
        )
        count = sum(topic.count for topic in topics)
        start, end = (reader.start_ns, reader.end_ns) if count else (0, 0)
        skipped = tuple(f"skipped: {shown(name)}, {reason}" for name, reason in reader.skipped.items())
        notes = (*skipped, *reader.damage_notes())
        return BagSummary(reader.path, start, end, count, size, topics, notes, reader.refusal())


def _summary(name: str, message_type: str, stamps: npt.NDArray[np.int64]) -> TopicSummary:
    """The usual distance of two messages is the median, which gaps do not move."""
    if len(stamps) < 2 or stamps[-1] == stamps[0]:
        return TopicSummary(name, message_type, len(stamps), None, 0, None)
    steps = np.diff(stamps)
    usual = float(np.median(steps))
    gaps = int(np.sum(steps > GAP_FACTOR * usual)) if usual > 0 else 0
    rate = SECOND_NS / usual if usual > 0 else (len(stamps) - 1) * SECOND_NS / float(stamps[-1] - stamps[0])
    return TopicSummary(name, message_type, len(stamps), rate, gaps, float(steps.max()) / SECOND_NS)
