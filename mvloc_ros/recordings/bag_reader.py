# SPDX-License-Identifier: Apache-2.0
"""Reads rosbag2 recordings (mcap or sqlite3), including those of `ros2 bag record`, and ROS 1 bags.

The one place where recordings are read: what a library raises becomes a RecordingError here, and the messages that
were read are compared with the counts that the recording itself states.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from rosbags.interfaces import Qos
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from mvloc_ros.file_reader import ReadError
from mvloc_ros.foreign_text import first_line, shown
from mvloc_ros.geometry.stamp_text import LAST_NS
from mvloc_ros.recordings.damage import ALLOW_DAMAGE, COUNTS_UNKNOWN, TopicLoss, refusal
from mvloc_ros.recordings.errors import RecordingError
from mvloc_ros.recordings.header_stamps import read_ros1_stamp, read_stamp
from mvloc_ros.recordings.mcap_kind import mcap_problem
from mvloc_ros.recordings.ros1_bag import Ros1File
from mvloc_ros.recordings.rosbag2.bag_folder import open_storage
from mvloc_ros.recordings.rosbag2.metadata import METADATA_FILE
from mvloc_ros.recordings.rosbag2.storage_base import RawMessage, Storage
from mvloc_ros.recordings.typestore import new_typestore, require_type

_log = logging.getLogger(__name__)

_SHOWN = 10
"""Of skipped topics and of damaged places, the rest is counted."""


@dataclass(frozen=True)
class BagTopic:
    """A topic of a recording and the QoS profiles its publishers offered.

    `count` is how many messages the recording states, or, where it states none, how many were found.
    """

    name: str
    type: str
    count: int
    qos: tuple[Qos, ...]


class BagReader:
    """Context manager that reads one recording; messages come in order of log time.

    `skipped` are the topics that cannot be read, {name: why}. `losses` are the topics of which another number of
    messages was read than the recording states, as far as they were read to their end.
    Raises RecordingError, which names the recording, wherever it is missing, damaged or incomplete; with `allow_damage`
    what can be read of it is read, and `damage_notes` tell what is missing.
    """

    def __init__(self, path: Path | str, *, allow_damage: bool = False) -> None:
        self.path = Path(path)
        self.allow_damage = allow_damage
        self.store = new_typestore()
        self.topics: dict[str, BagTopic] = {}
        self.skipped: dict[str, str] = {}
        self.losses: dict[str, TopicLoss] = {}
        self._undecoded: dict[str, set[int]] = {}
        self._storage: Storage | None = None

    def __enter__(self) -> BagReader:
        if not self.path.exists():
            raise RecordingError(f"There is no recording at {self.path}: check the path.")
        self._check_path()
        with self._clear_errors():
            self._storage = self._open()
        try:
            self._describe()
        except BaseException:
            self._storage.close()
            raise
        return self

    def _check_path(self) -> None:
        if self.path.suffix == ".bag" and self.path.is_file():
            raise RecordingError(
                f"{self.path} is a ROS 1 bag, which `mvloc bag to-dataset` and `mvloc bag info` read: convert it to "
                "rosbag2 for this command (`rosbags-convert --src FILE --dst FOLDER`)."
            )
        if self.path.is_dir() and not (self.path / METADATA_FILE).exists():
            parts = [path for suffix in ("*.mcap", "*.db3") for path in sorted(self.path.glob(suffix))]
            if parts:
                cause, remedy = mcap_problem(parts[0])
                raise RecordingError(
                    f"{self.path} has no metadata.yaml, which a recorder writes at its end"
                    + (f", and {cause}: {remedy}; then" if cause else ":")
                    + f" write it with `ros2 bag reindex {self.path}`."
                )
            raise RecordingError(
                f"{self.path} is not a recording (it has no metadata.yaml): give a folder that `mvloc bag`, "
                "`mvloc record` or `ros2 bag record` wrote, or its .mcap file."
            )

    def _open(self) -> Storage:
        if self.path.is_file() and self.path.suffix == ".mcap" and not self.allow_damage:
            cause, remedy = mcap_problem(self.path)
            if cause:
                raise RecordingError(self._sentence(*_kind_of(cause, remedy)))
        return open_storage(self.path, salvage=self.allow_damage)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._storage is not None:
            self._storage.close()
            self._storage = None

    def _describe(self) -> None:
        storage = self._open_storage()
        self.skipped = dict(storage.skipped)
        for name, reason in list(self.skipped.items())[:_SHOWN]:
            _log.warning("%s: the topic %s is skipped: %s.", self.path, shown(name), reason)
        if len(self.skipped) > _SHOWN:
            _log.warning("%s: %d more topics are skipped.", self.path, len(self.skipped) - _SHOWN)
        if self.skipped and not storage.channels:
            topic, reason = next(iter(self.skipped.items()))
            raise RecordingError(
                f"{self.path} has no topic that can be read ({len(self.skipped)} are skipped; {shown(topic)}: "
                f"{reason}): record the topics of ROS 2 with `ros2 bag record`."
            )
        counts = storage.found if storage.stated is None else storage.stated
        for channel in storage.channels:
            self.topics[channel.topic] = BagTopic(
                channel.topic, channel.type, counts.get(channel.topic, 0), channel.qos
            )
            if channel.definition and channel.type not in self.store.types:
                self._register(channel.topic, channel.type, channel.definition)

    def _register(self, topic: str, name: str, definition: str) -> None:
        """Take the recording's own definition of a type that is unknown here: it is what was serialised."""
        try:
            types = get_types_from_msg(definition, name)
            self.store.register({key: fields for key, fields in types.items() if key not in self.store.types})
        except Exception as error:
            # Of a parser, on a text from outside. Readers of the topic get the error from `decode`; others are
            # not affected.
            _log.warning(
                "%s: %s cannot be decoded: the definition of %s cannot be read (%s).",
                self.path, shown(topic), shown(name), first_line(error),
            )  # fmt: skip

    @property
    def start_ns(self) -> int:
        """Log time of the first message; 0 without messages."""
        return self._open_storage().start_ns

    @property
    def end_ns(self) -> int:
        """Log time of the last message; 0 without messages."""
        return self._open_storage().end_ns

    @property
    def message_count(self) -> int:
        """Messages of all topics together."""
        return sum(topic.count for topic in self.topics.values())

    @property
    def states_counts(self) -> bool:
        """Whether the recording says how many messages it has."""
        return self._open_storage().stated is not None

    def damage_notes(self) -> tuple[str, ...]:
        """What is lost of the topics that were read, what cannot be read, and whether counts are unknown."""
        notes = [loss.text() for loss in self.losses.values()]
        notes += [f"messages damaged: {len(at)} on {shown(topic)}" for topic, at in sorted(self._undecoded.items())]
        problems = list(self._open_storage().problems)
        notes += problems[:_SHOWN]
        notes += [f"and {len(problems) - _SHOWN} more damaged places"] if len(problems) > _SHOWN else []
        return (*notes, *(() if self.states_counts else (COUNTS_UNKNOWN,)))

    def refusal(self) -> str:
        """The sentence for too much damage in what was read; empty where there is none."""
        reason = refusal(self.losses.values(), self._open_storage().problems, self.states_counts)
        if not reason:
            return ""
        remedy = "copy or record it again" + self._recovery(self._mcap_files())
        return f"The recording {self.path} is damaged ({reason}): {remedy}, or read what is left with {ALLOW_DAMAGE}."

    def require_whole(self) -> None:
        """Raises RecordingError where too much is lost of what was read, unless damage is allowed."""
        if not self.allow_damage and (sentence := self.refusal()):
            raise RecordingError(sentence)

    def raw(self, topics: Collection[str] | None = None, *, check_losses: bool = True) -> Iterator[RawMessage]:
        """Serialised messages of the topics (default: all) in order of log time.

        At the end the counts are compared with what the recording states.
        Raises RecordingError where a part cannot be read or, with `check_losses`, too much is lost.
        """
        wanted = set(self.topics if topics is None else topics) & self.topics.keys()
        if not wanted:
            return
        read = Counter(dict.fromkeys(wanted, 0))
        with self._clear_errors():
            for message in self._open_storage().messages(wanted):
                if 0 <= message.stamp_ns <= LAST_NS:
                    read[message.topic] += 1
                    yield message
        self._compare(read)
        if check_losses:
            self.require_whole()

    def _compare(self, read: Counter[str]) -> None:
        stated = self._open_storage().stated
        for topic, count in sorted(read.items()):
            self.losses.pop(topic, None)
            if stated is not None and stated.get(topic, 0) != count:
                self.losses[topic] = TopicLoss(topic, count, stated.get(topic, 0))

    def read_through(self, topics: Collection[str]) -> None:
        """Read topics to their end without decoding, so that a loss is known before something else begins.

        Raises RecordingError as `raw`.
        """
        for _ in self.raw(topics):
            pass

    def messages(self, topics: Collection[str] | None = None) -> Iterator[tuple[str, int, Any]]:
        """(topic, log time in ns, message) in order of log time; fields have the names they have in ROS."""
        for raw in self.raw(topics):
            message = self.decode_or_leave_out(raw)
            if message is not None:
                yield raw.topic, raw.stamp_ns, message

    def decode_or_leave_out(self, raw: RawMessage) -> Any | None:
        """As `decode`; where damage is allowed, None for a message that is damaged, which is counted."""
        try:
            return self.decode(raw)
        except RecordingError as error:
            if not self.allow_damage:
                raise RecordingError(f"{error} {ALLOW_DAMAGE} skips such messages.") from error
            self._undecoded.setdefault(raw.topic, set()).add(raw.stamp_ns)
            return None

    def header_stamp(self, raw: RawMessage) -> int:
        """The header stamp in nanoseconds, without decoding, of a message that starts with a header."""
        try:
            return self._read_stamp(raw.data)
        except Exception as error:
            raise self._damaged_message(raw, error) from error

    def _read_stamp(self, data: bytes) -> int:
        return read_stamp(data)

    def decode(self, raw: RawMessage) -> Any:
        """The message of serialised bytes."""
        try:
            require_type(self.store, raw.type)
            return self._deserialize(raw)
        except RecordingError:
            raise
        except Exception as error:  # of a decoder that is made from the recording's own definition
            raise self._damaged_message(raw, error) from error

    def _damaged_message(self, raw: RawMessage, error: Exception) -> RecordingError:
        return RecordingError(f"A message on {shown(raw.topic)} in {self.path} is damaged ({first_line(error)}).")

    def _deserialize(self, raw: RawMessage) -> Any:
        return self.store.deserialize_cdr(raw.data, raw.type)

    def require(self, topic: str, expected_type: str) -> BagTopic:
        """The topic, if it has messages of the type; else RecordingError that lists what there is."""
        found = self.topics.get(topic)
        if topic in self.skipped:
            raise RecordingError(f"{topic} in {self.path} cannot be read: {self.skipped[topic]}.")
        if found is None or found.count == 0:
            there = ", ".join(sorted(name for name, entry in self.topics.items() if entry.count))
            if not there:
                raise RecordingError(
                    f"{self.path} contains no messages: record it again while its topics are published."
                )
            if found is not None:
                raise RecordingError(
                    f"{self.path} has no message on {topic}, although the topic was recorded (it has messages on "
                    f"{there}): record it again while it is published, or give another topic."
                )
            raise RecordingError(f"{self.path} has no message on {topic} (it has {there}): give one of these.")
        if found.type != expected_type:
            raise RecordingError(f"{topic} in {self.path} is of type {found.type}, not {expected_type}.")
        return found

    def expect(self, topic: str, expected_type: str, *, optional: bool) -> None:
        """As `require`, but where `optional` is set the topic may be absent; if it is there, it is of the type."""
        found = self.topics.get(topic)
        if not optional or topic in self.skipped or (found is not None and found.count):
            self.require(topic, expected_type)

    def _open_storage(self) -> Storage:
        assert self._storage is not None, "BagReader is a context manager"
        return self._storage

    @contextmanager
    def _clear_errors(self) -> Iterator[None]:
        try:
            yield
        except RecordingError:
            raise
        except ReadError as error:
            raise RecordingError(f"The recording {self.path} cannot be read: {error}") from error
        except Exception as error:  # whatever a library raises on bytes from outside
            raise RecordingError(self._sentence(*self._explain(error))) from error

    def _sentence(self, reason: str, remedy: str) -> str:
        return f"The recording {self.path} is {reason}: {remedy}."

    def _mcap_files(self) -> list[Path]:
        files = sorted(self.path.glob("*.mcap")) if self.path.is_dir() else [self.path]
        return [file for file in files if file.suffix == ".mcap" and file.is_file()]

    def _explain(self, error: Exception) -> tuple[str, str]:
        """Why the recording cannot be read, and what to do about it."""
        files = self._mcap_files()
        for file in files:
            cause, remedy = mcap_problem(file)
            if cause:
                return _kind_of(cause, remedy)
        return f"damaged or incomplete ({first_line(error)})", "record or copy it again" + self._recovery(files)

    def _recovery(self, files: list[Path]) -> str:
        return f", or recover the intact part with `mcap recover {files[0]} -o NEW.mcap`" if len(files) == 1 else ""


class Ros1BagReader(BagReader):
    """Reads a ROS 1 bag; types have their ROS 2 names (`sensor_msgs/msg/Image`), headers have `seq` as well."""

    def __init__(self, path: Path | str, *, allow_damage: bool = False) -> None:
        super().__init__(path, allow_damage=allow_damage)
        self.store = get_typestore(Stores.ROS1_NOETIC)

    def _check_path(self) -> None:
        if self.path.is_dir():
            raise RecordingError(f"{self.path} is a folder and not a ROS 1 bag: give the .bag file itself.")

    def _open(self) -> Storage:
        return Ros1File(self.path)

    def _read_stamp(self, data: bytes) -> int:
        return read_ros1_stamp(data)

    def _deserialize(self, raw: RawMessage) -> Any:
        return self.store.deserialize_ros1(raw.data, raw.type)


def open_bag(path: Path | str, *, allow_damage: bool = False) -> BagReader:
    """The reader for a recording of either kind: ROS 1 for a name that ends in `.bag`, rosbag2 otherwise."""
    kind = Ros1BagReader if Path(path).suffix == ".bag" else BagReader
    return kind(path, allow_damage=allow_damage)


def _kind_of(cause: str, remedy: str) -> tuple[str, str]:
    return f"{'damaged or incomplete' if 'recover' in remedy else 'of an unsupported kind'} ({cause})", remedy
