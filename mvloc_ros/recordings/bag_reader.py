# SPDX-License-Identifier: Apache-2.0
"""Reads rosbag2 recordings (mcap or sqlite3), those of `ros2 bag record` included, and ROS 1 bags."""

from __future__ import annotations

import logging
import struct
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from rosbags import rosbag1
from rosbags.interfaces import ConnectionExtRosbag2, MessageDefinitionFormat, Qos
from rosbags.rosbag2 import Reader, ReaderError
from rosbags.serde import SerdeError
from rosbags.typesys import Stores, TypesysError, get_types_from_msg, get_typestore

from mvloc_ros.recordings.errors import RecordingError
from mvloc_ros.recordings.mcap_kind import mcap_problem
from mvloc_ros.recordings.stamps import read_ros1_stamp, read_stamp
from mvloc_ros.recordings.typestore import new_typestore, require_type

_log = logging.getLogger(__name__)

_DAMAGE = (
    ReaderError,
    rosbag1.ReaderError,
    OSError,
    struct.error,
    EOFError,
    TypeError,
    ValueError,
    LookupError,
    AssertionError,
)
"""What `rosbags` raises on a recording that was cut short or overwritten."""


@dataclass(frozen=True)
class BagTopic:
    """A topic of a recording and the QoS profiles its publishers offered."""

    name: str
    type: str
    count: int
    qos: tuple[Qos, ...]


class RawMessage(NamedTuple):
    """A serialised message and its log time in nanoseconds."""

    topic: str
    type: str
    stamp_ns: int
    data: bytes


class BagReader:
    """Context manager that reads one recording; messages come in order of log time.

    Raises RecordingError, which names the recording, wherever it is missing, damaged or incomplete.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.store = new_typestore()
        self.topics: dict[str, BagTopic] = {}
        self._reader: Reader | rosbag1.Reader | None = None

    def __enter__(self) -> BagReader:
        if not self.path.exists():
            raise RecordingError(f"There is no recording at {self.path}: check the path.")
        self._check_path()
        with self._clear_errors():
            self._reader = self._new_reader()
            self._reader.open()
            for connection in self._reader.connections:
                self._add_topic(connection)
        return self

    def _check_path(self) -> None:
        if self.path.suffix == ".bag" and self.path.is_file():
            raise RecordingError(
                f"{self.path} is a ROS 1 bag, which `mvloc bag to-dataset` and `mvloc bag info` read: make it a "
                "rosbag2 for this command (`rosbags-convert --src FILE --dst FOLDER` does)."
            )
        if self.path.is_dir() and not (self.path / "metadata.yaml").is_file():
            parts = [path for suffix in ("*.mcap", "*.db3") for path in sorted(self.path.glob(suffix))]
            if parts:
                cause, remedy = mcap_problem(parts[0])
                raise RecordingError(
                    f"{self.path} has no metadata.yaml, which a recorder writes at its end"
                    + (f", and {cause}: {remedy}; then" if cause else ":")
                    + f" write it with `ros2 bag reindex {self.path}`."
                )
            raise RecordingError(
                f"{self.path} is not a recording (it has no metadata.yaml): name a folder that `mvloc bag`, "
                "`mvloc record` or `ros2 bag record` wrote, or its .mcap file."
            )

    def _new_reader(self) -> Reader | rosbag1.Reader:
        return Reader(self.path)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _add_topic(self, connection: Any) -> None:
        earlier = self.topics.get(connection.topic)
        count = connection.msgcount + (earlier.count if earlier else 0)
        qos = connection.ext.offered_qos_profiles if isinstance(connection.ext, ConnectionExtRosbag2) else ()
        self.topics[connection.topic] = BagTopic(connection.topic, connection.msgtype, count, tuple(qos))
        definition = connection.msgdef
        if definition.format == MessageDefinitionFormat.MSG and connection.msgtype not in self.store.types:
            # The recording's own definition wins over the installed one: it is what was serialised.
            try:
                types = get_types_from_msg(definition.data, connection.msgtype)
            except TypesysError:
                # Who reads the topic is told by `decode`; who does not need it is not kept from the others.
                _log.warning("%s: the definition of %s cannot be read", self.path, connection.msgtype)
                return
            self.store.register({name: fields for name, fields in types.items() if name not in self.store.types})

    @property
    def start_ns(self) -> int:
        """Log time of the first message."""
        return self._open_reader().start_time

    @property
    def end_ns(self) -> int:
        """Log time of the last message."""
        return self._open_reader().end_time - 1

    @property
    def message_count(self) -> int:
        """Messages of all topics together."""
        return self._open_reader().message_count

    def raw(self, topics: Collection[str] | None = None) -> Iterator[RawMessage]:
        """Serialised messages of the topics (default: all) in order of log time."""
        reader = self._open_reader()
        chosen = [c for c in reader.connections if topics is None or c.topic in topics]
        if not chosen:
            return
        with self._clear_errors():
            for connection, stamp_ns, data in reader.messages(connections=chosen):
                yield RawMessage(connection.topic, connection.msgtype, stamp_ns, data)

    def messages(self, topics: Collection[str] | None = None) -> Iterator[tuple[str, int, Any]]:
        """(topic, log time in ns, message) in order of log time; fields have the names they have in ROS."""
        for raw in self.raw(topics):
            yield raw.topic, raw.stamp_ns, self.decode(raw)

    def header_stamp(self, raw: RawMessage) -> int:
        """The header stamp in nanoseconds, without decoding, of a message that starts with a header."""
        with self._clear_errors():
            return read_stamp(raw.data)

    def decode(self, raw: RawMessage) -> Any:
        """The message of serialised bytes."""
        try:
            require_type(self.store, raw.type)
            return self._deserialize(raw)
        except (SerdeError, TypesysError, IndexError, struct.error, UnicodeDecodeError) as error:
            raise RecordingError(f"A message on {raw.topic} in {self.path} is damaged ({error}).") from error

    def _deserialize(self, raw: RawMessage) -> Any:
        return self.store.deserialize_cdr(raw.data, raw.type)

    def require(self, topic: str, expected_type: str) -> BagTopic:
        """The topic, if it has messages of the type; else RecordingError that lists what there is."""
        found = self.topics.get(topic)
        if found is None or found.count == 0:
            there = ", ".join(sorted(name for name, entry in self.topics.items() if entry.count))
            if not there:
                raise RecordingError(f"{self.path} holds no message at all: record it again, while something is sent.")
            if found is not None:
                raise RecordingError(
                    f"{self.path} has no message on {topic}, although the topic was recorded (it has messages on "
                    f"{there}): record it again while something is sent there, or name another topic."
                )
            raise RecordingError(f"{self.path} has no message on {topic} (it has {there}): name the topic that it has.")
        if found.type != expected_type:
            raise RecordingError(f"{topic} in {self.path} is of type {found.type}, not {expected_type}.")
        return found

    def expect(self, topic: str, expected_type: str, *, optional: bool) -> None:
        """As `require`, but where `optional` is set the topic may be absent; if it is there, it is of the type."""
        found = self.topics.get(topic)
        if not optional or (found is not None and found.count):
            self.require(topic, expected_type)

    def _open_reader(self) -> Reader | rosbag1.Reader:
        assert self._reader is not None, "BagReader is a context manager"
        return self._reader

    @contextmanager
    def _clear_errors(self) -> Iterator[None]:
        try:
            yield
        except RecordingError:
            raise
        except _DAMAGE as error:
            reason, remedy = self._explain(error)
            raise RecordingError(f"The recording {self.path} is {reason}: {remedy}.") from error

    def _explain(self, error: Exception) -> tuple[str, str]:
        """What the recording is instead of one that can be read, and what to do about it."""
        files = sorted(self.path.glob("*.mcap")) if self.path.is_dir() else [self.path]
        for file in files:
            cause, remedy = mcap_problem(file)
            if cause:
                return f"{'damaged or incomplete' if 'recover' in remedy else 'of another kind'} ({cause})", remedy
        reason = str(error).rstrip(".") or type(error).__name__
        remedy = "record or copy it again"
        if len(files) == 1 and files[0].suffix == ".mcap":
            remedy += f", or keep what is whole with `mcap recover {files[0]} -o NEW.mcap`"
        return f"damaged or incomplete ({reason})", remedy


class Ros1BagReader(BagReader):
    """Reads a ROS 1 bag; types have their ROS 2 names (`sensor_msgs/msg/Image`), headers have `seq` as well."""

    def __init__(self, path: Path | str) -> None:
        super().__init__(path)
        self.store = get_typestore(Stores.ROS1_NOETIC)

    def _check_path(self) -> None:
        if not self.path.is_file():
            raise RecordingError(f"{self.path} is not a ROS 1 bag but a folder: name the .bag file itself.")

    def _new_reader(self) -> rosbag1.Reader:
        return rosbag1.Reader(self.path)

    def header_stamp(self, raw: RawMessage) -> int:
        """The header stamp in nanoseconds, without decoding, of a message that starts with a header."""
        with self._clear_errors():
            return read_ros1_stamp(raw.data)

    def _deserialize(self, raw: RawMessage) -> Any:
        return self.store.deserialize_ros1(raw.data, raw.type)


def open_bag(path: Path | str) -> BagReader:
    """The reader for a recording of either kind: ROS 1 for a name that ends in `.bag`, rosbag2 otherwise."""
    return Ros1BagReader(path) if Path(path).suffix == ".bag" else BagReader(path)
