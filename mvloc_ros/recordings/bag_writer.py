# SPDX-License-Identifier: Apache-2.0
"""Writes rosbag2 recordings (mcap) that `ros2 bag` of every supported distribution reads.

A recording appears under its name only when it is complete: it is written into a hidden folder
next to it, of which an interruption leaves nothing.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from rosbags.interfaces import (
    Connection,
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import StoragePlugin, Writer

from mvloc_ros.recordings.errors import RecordingError
from mvloc_ros.recordings.rosbag2.mcap_checksums import add_checksums
from mvloc_ros.recordings.typestore import new_typestore, require_type
from mvloc_ros.storage import replace_folder, staging_folder

METADATA_VERSION: Literal[8] = 8
"""The newest version whose QoS profiles Humble's rosbag2 can read as well."""
_INFINITE = QosTime(9223372036, 854775807)


def qos_profile(depth: int = 5, *, reliable: bool = True, latched: bool = False) -> Qos:
    """A keep-last QoS profile; `latched` keeps the last messages for subscribers that come later."""
    return Qos(
        history=QosHistory.KEEP_LAST,
        depth=depth,
        reliability=QosReliability.RELIABLE if reliable else QosReliability.BEST_EFFORT,
        durability=QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE,
        deadline=_INFINITE,
        lifespan=_INFINITE,
        liveliness=QosLiveliness.AUTOMATIC,
        liveliness_lease_duration=_INFINITE,
        avoid_ros_namespace_conventions=False,
    )


class BagWriter:
    """Context manager that writes one recording.

    Leaving it normally gives the recording its name; leaving it by an exception, Ctrl-C included,
    removes what was written. Raises RecordingError where the name is taken and `force` is not set.
    """

    def __init__(self, path: Path | str, *, force: bool = False) -> None:
        self.path = Path(path)
        # Where the recording will lie: a link to an older one stays a link.
        self._target = self.path.resolve()
        self.store = new_typestore()
        self._force = force
        self._topics: dict[str, Connection] = {}
        self._held = ExitStack()
        self._staging: Path | None = None
        self._writer: Writer | None = None
        if self.path.exists() and not force:
            raise RecordingError(f"{self.path} exists already: choose another name, or overwrite it with --force.")
        if self.path.exists() and not (self.path / "metadata.yaml").is_file():
            raise RecordingError(f"{self.path} exists and is not a recording: choose another name, or remove it first.")

    def __enter__(self) -> BagWriter:
        try:
            self._staging = self._held.enter_context(staging_folder(self._target))
        except OSError as error:
            raise RecordingError(
                f"The recording {self.path} cannot be written ({error.strerror}): free disk space, or choose another "
                "folder."
            ) from error
        # The storage file is named after its folder, so the folder inside has the final name already.
        self._writer = Writer(
            self._staging / self._target.name, version=METADATA_VERSION, storage_plugin=StoragePlugin.MCAP
        )
        self._writer.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._writer is not None
        assert self._staging is not None
        try:
            if kind is None:
                self._writer.close()
                add_checksums(self._staging / self._target.name / f"{self._target.name}.mcap")
                replace_folder(self._staging / self._target.name, self._target)
            else:
                self._writer.abort()
        finally:
            self._held.close()

    def add_topic(self, topic: str, message_type: str, qos: Qos | None = None) -> None:
        """Declare a topic; its type's definition and hash go into the recording."""
        assert self._writer is not None
        require_type(self.store, message_type)
        self._topics[topic] = self._writer.add_connection(
            topic, message_type, typestore=self.store, offered_qos_profiles=[qos or qos_profile()]
        )

    def write(self, topic: str, stamp_ns: int, message: Any) -> None:
        """Serialise a message and store it at its log time."""
        connection = self._topics[topic]
        self.write_raw(topic, stamp_ns, self.store.serialize_cdr(message, connection.msgtype))

    def write_raw(self, topic: str, stamp_ns: int, data: bytes | memoryview) -> None:
        """Store a serialised message at its log time."""
        assert self._writer is not None
        self._writer.write(self._topics[topic], stamp_ns, data)
