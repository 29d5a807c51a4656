# SPDX-License-Identifier: Apache-2.0
"""What every storage of a recording provides: channels, the counts that it states, and serialised messages."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from rosbags.interfaces import Qos
from rosbags.rosbag2.metadata import parse_qos

from mvloc_ros.foreign_text import quoted, shown
from mvloc_ros.limits import MOST_DEFINITION_BYTES
from mvloc_ros.yaml_text import parse_yaml

CDR = "cdr"


class DamageError(Exception):
    """A part of a recording is not as a writer makes it; the text is the reason. Never shown without the file."""


class RawMessage(NamedTuple):
    """A serialised message and its log time in nanoseconds."""

    topic: str
    type: str
    stamp_ns: int
    data: bytes


@dataclass(frozen=True)
class Channel:
    """A topic as one file describes it; `definition` is the text of its `.msg` file, empty where there is none."""

    topic: str
    type: str
    qos: tuple[Qos, ...] = ()
    definition: str = ""


class Storage(ABC):
    """A file of a recording, or a folder of them, that is open: the base class of each kind of storage.

    `usable` are the channels that can be read, by the storage's own keys; `skipped` cannot, {topic: why}. `stated` are
    the counts of messages by topic that the storage itself states, None where it states none; `found` are those that
    were counted on opening. `problems` are the places that cannot be read, as far as they are known; reading finds
    more. `start_ns` and `end_ns` are the first and the last log time, 0 without messages.
    """

    def __init__(self) -> None:
        self.usable: dict[Any, Channel] = {}
        self.skipped: dict[str, str] = {}
        self.problems: dict[str, None] = {}
        self.found: dict[str, int] = {}
        self.stated: dict[str, int] | None = None
        self.start_ns, self.end_ns = 0, 0

    @property
    def channels(self) -> tuple[Channel, ...]:
        """The topics that can be read."""
        return tuple({channel.topic: channel for channel in self.usable.values()}.values())

    @abstractmethod
    def messages(self, topics: Collection[str]) -> Iterator[RawMessage]:
        """Messages of the topics in order of log time; what is damaged is left out and becomes a problem."""

    @abstractmethod
    def close(self) -> None:
        """Close the files."""


def qos_of(content: Any) -> tuple[Qos, ...]:
    """The QoS profiles of a text or list, as recorders write them; empty where they cannot be read."""
    try:
        return tuple(parse_qos(parse_yaml(content) if isinstance(content, str) else content))
    except Exception:  # a library's, of a text from outside: the topic is read without its profiles
        return ()


def not_cdr(encoding: str) -> str:
    """Why a topic is skipped whose messages are not CDR."""
    return f"its messages are encoded as {quoted(encoding, 40)}, not {CDR!r} as in ROS 2"


def two_types(first: str, second: str) -> str:
    """Why a topic is skipped that has messages of two types."""
    return f"it has messages of two types, {shown(first)} and {shown(second)}"


def definition_of(encoding: str, content: bytes) -> str:
    """The definition of a message type, where it is one of ROS 2's `.msg` files and is of a bounded size."""
    if encoding != "ros2msg" or len(content) > MOST_DEFINITION_BYTES:
        return ""
    return content.decode("utf-8", errors="replace")
