# SPDX-License-Identifier: Apache-2.0
"""A ROS 1 bag -> messages; its own index states the counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from functools import partial
from pathlib import Path

from rosbags import rosbag1
from rosbags.interfaces import MessageDefinitionFormat
from rosbags.rosbag1 import reader as rosbag1_reader

from mvloc_ros.file_reader import open_regular
from mvloc_ros.foreign_text import first_line, shown
from mvloc_ros.geometry.stamp_text import LAST_NS
from mvloc_ros.limits import MOST_CHUNK_BYTES
from mvloc_ros.recordings.rosbag2.compression import decompressed
from mvloc_ros.recordings.rosbag2.storage_base import Channel, RawMessage, Storage


class Ros1File(Storage):
    """One `.bag` file. Raises what the library raises."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        with open_regular(path):
            self._reader = rosbag1.Reader(path)
        self._reader.open()
        try:
            self._describe(path)
        except BaseException:
            self._reader.close()
            raise

    def _describe(self, path: Path) -> None:
        self._name = path.name
        self._bound()
        counts: Counter[str] = Counter()
        for connection in self._reader.connections:
            definition = connection.msgdef
            text = definition.data if definition.format == MessageDefinitionFormat.MSG else ""
            found = self.usable.setdefault(connection.topic, Channel(connection.topic, connection.msgtype, (), text))
            if found.type != connection.msgtype:
                self.skipped[connection.topic] = (
                    f"it has messages of {shown(found.type)} and {shown(connection.msgtype)}"
                )
            in_chunks = sum(info.connection_counts.get(connection.id, 0) for info in self._reader.chunk_infos)
            counts[connection.topic] += max(connection.msgcount, in_chunks)
        for topic in self.skipped:
            del self.usable[topic]
        self.found = dict(counts)
        self.stated = self.found
        if self._reader.message_count:
            self.start_ns = min(self._reader.start_time, LAST_NS)
            self.end_ns = min(self._reader.end_time - 1, LAST_NS)

    def _bound(self) -> None:
        """Let no chunk be decompressed beyond the bound; the library knows none."""
        kinds = {rosbag1_reader.bz2_decompress: "bz2", rosbag1_reader.lz4_decompress: "lz4"}
        for place, chunk in list(self._reader.chunks.items()):
            if chunk.decompressor in kinds:
                bounded = partial(decompressed, kind=kinds[chunk.decompressor], most_bytes=MOST_CHUNK_BYTES)
                self._reader.chunks[place] = chunk._replace(decompressor=bounded)

    def close(self) -> None:
        """Close the file."""
        self._reader.close()

    def messages(self, topics: Collection[str]) -> Iterator[RawMessage]:
        """Messages of the topics in order of log time; damage ends them and becomes a problem."""
        wanted = [connection for connection in self._reader.connections if connection.topic in topics]
        try:
            for connection, stamp_ns, data in self._reader.messages(connections=wanted) if wanted else ():
                yield RawMessage(connection.topic, connection.msgtype, stamp_ns, bytes(data))
        except Exception as error:  # whatever the library raises on bytes from outside
            self.problems[f"{self._name}: nothing after a damaged place is read ({first_line(error)})"] = None
