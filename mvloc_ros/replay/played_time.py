# SPDX-License-Identifier: Apache-2.0
"""How the player moved the stamps of a recording: told beside what it plays, read back from the recording of a run."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from mvloc_ros.foreign_text import shown
from mvloc_ros.recordings.bag_reader import BagReader
from mvloc_ros.recordings.transforms import stamp_of
from mvloc_ros.replay.errors import ReplayError
from mvloc_ros.replay.timeline import Timeline

TOPIC = "/mvloc_player/time_reference"
TYPE = "sensor_msgs/msg/TimeReference"
PERIOD_NS = 1_000_000_000
"""How often the player says it: who begins to record in the middle hears it too."""
_SECOND_NS = 1_000_000_000
_SOURCE = re.compile(r"mvloc play at rate ([0-9.e+-]+)")

Stamps = npt.NDArray[np.int64]


def fill_reference(message: Any, timeline: Timeline) -> Any:
    """Write into a sensor_msgs/TimeReference: the time of the recording, and the system's that it was moved to."""
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(timeline.wall_start_ns, _SECOND_NS)
    message.time_ref.sec, message.time_ref.nanosec = divmod(timeline.bag_start_ns, _SECOND_NS)
    message.source = f"mvloc play at rate {timeline.rate!r}"
    return message


def read_references(reader: BagReader) -> list[Timeline]:
    """What the player said in a recording of a run, each pass through the played recording once."""
    entry = reader.topics.get(TOPIC)
    if entry is None or entry.type != TYPE:
        return []
    found = dict.fromkeys(_timeline(message) for _, _, message in reader.messages((TOPIC,)))
    return list(found)


def moved_by(passes: list[Timeline]) -> Callable[[Stamps], Stamps]:
    """The stamps of a recording as the run saw them; unmoved where the player said nothing."""
    if not passes:
        return lambda stamps: stamps
    timeline = passes[0]
    return lambda stamps: np.array([timeline.wall_ns(int(stamp)) for stamp in stamps], dtype=np.int64)


def _timeline(message: Any) -> Timeline:
    rate = _SOURCE.fullmatch(message.source)
    try:
        value = float(rate[1]) if rate else 0.0
    except ValueError:
        value = 0.0
    if not 0.0 < value < np.inf:
        raise ReplayError(
            f"A message on {TOPIC} has the source {shown(message.source)!r} instead of the player's words with the "
            "rate; leave this topic to `mvloc play`."
        )
    reference = message.time_ref
    return Timeline(int(reference.sec) * _SECOND_NS + int(reference.nanosec), 0, stamp_of(message), value)
