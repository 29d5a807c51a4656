# SPDX-License-Identifier: Apache-2.0
"""A recording's folder (metadata.yaml and storage files) -> messages, one file after the other."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from pathlib import Path

from mvloc_ros.file_reader import open_regular
from mvloc_ros.foreign_text import quoted, shown
from mvloc_ros.geometry.stamp_text import LAST_NS
from mvloc_ros.limits import MOST_CHUNK_BYTES
from mvloc_ros.recordings.rosbag2.compression import copy_decompressed, decompressed
from mvloc_ros.recordings.rosbag2.mcap import McapFile
from mvloc_ros.recordings.rosbag2.metadata import Metadata, read_metadata
from mvloc_ros.recordings.rosbag2.sqlite import SqliteFile
from mvloc_ros.recordings.rosbag2.storage_base import CDR, Channel, DamageError, RawMessage, Storage, not_cdr

SUFFIXES = (".mcap", ".db3")


class BagFolder(Storage):
    """The files of a folder.

    The counts that are stated are the larger ones of metadata.yaml and of the files' own.
    """

    def __init__(self, path: Path, *, salvage: bool = False) -> None:
        super().__init__()
        self.path = path
        self._held = ExitStack()
        self._metadata = read_metadata(path)
        self._files: list[Storage] = []
        try:
            for name in self._metadata.files:
                self._files.append(self._open(name, salvage))
                self._held.callback(self._files[-1].close)
        except BaseException:
            self._held.close()
            raise
        self._describe()
        self._count(self._metadata)

    def close(self) -> None:
        """Close the files."""
        self._held.close()

    def _open(self, name: str, salvage: bool) -> Storage:
        path = self.path / name
        if not path.exists():
            raise DamageError(f"its file {shown(name)} is missing")
        within: Path | None = self.path
        if self._metadata.compression == "file":
            path, within = self._unpacked(path), None
        storage = McapFile if self._metadata.storage == "mcap" else SqliteFile
        try:
            return storage(path, within, salvage=salvage)
        except DamageError as error:
            raise DamageError(f"{shown(name)}: {error}") from error

    def _unpacked(self, path: Path) -> Path:
        """A compressed file, in a temporary folder that ends with the reading."""
        folder = Path(self._held.enter_context(tempfile.TemporaryDirectory(prefix="mvloc_")))
        target = folder / path.stem
        with open_regular(path, within=self.path) as packed, target.open("wb") as file:
            copy_decompressed(packed, file, shutil.disk_usage(folder).free // 2)
        return target

    def _describe(self) -> None:
        """Channels of metadata and files; the first type of a topic counts."""
        of_files: dict[str, Channel] = {}
        for file in self._files:
            self.skipped.update(file.skipped)
            for channel in file.channels:
                of_files.setdefault(channel.topic, channel)
        for topic in self._metadata.topics:
            found = of_files.get(topic.name)
            if topic.name in self.skipped:
                continue
            if topic.serialization != CDR:
                self.skipped[topic.name] = not_cdr(topic.serialization)
            elif found is not None and found.type != topic.type:
                self.skipped[topic.name] = f"its type is {shown(found.type)}, in the metadata {shown(topic.type)}"
            else:
                definition = "" if found is None else found.definition
                self.usable.setdefault(topic.name, Channel(topic.name, topic.type, topic.qos, definition))
        for name, channel in of_files.items():
            if name not in self.skipped:
                self.usable.setdefault(name, channel)

    def _count(self, metadata: Metadata) -> None:
        found: Counter[str] = Counter()
        for file in self._files:
            found.update(file.found)
            self.problems.update(file.problems)
        self.found = dict(found)
        said: Counter[str] = Counter()
        for topic in metadata.topics:
            said[topic.name] += topic.count
        of_files: Counter[str] = Counter()
        if all(file.stated is not None for file in self._files):
            for file in self._files:
                of_files.update(file.stated or {})
        topics = {channel.topic for channel in self.channels}
        self.stated = {name: max(said[name], of_files[name]) for name in topics}
        if metadata.messages:
            self.start_ns = min(max(metadata.start_ns, 0), LAST_NS)
            self.end_ns = min(max(metadata.start_ns + metadata.duration_ns, self.start_ns), LAST_NS)

    def messages(self, topics: Collection[str]) -> Iterator[RawMessage]:
        """Messages of the topics, file by file, in each in order of log time."""
        wanted = {channel.topic for channel in self.channels} & set(topics)
        for file in self._files:
            try:
                for message in file.messages(wanted):
                    if self._metadata.compression != "message":
                        yield message
                    elif (content := self._content(message)) is not None:
                        yield message._replace(data=content)
            finally:
                self.problems.update(file.problems)

    def _content(self, message: RawMessage) -> bytes | None:
        """The bytes of a compressed message; None where they cannot be had."""
        try:
            return decompressed(message.data, "zstd", MOST_CHUNK_BYTES)
        except DamageError as error:
            self.problems[f"a message on {shown(message.topic)} is damaged: {error}"] = None
            return None


def open_storage(path: Path, *, salvage: bool = False) -> Storage:
    """A recording's folder, or one file of it.

    `salvage` also opens what was not finished by its recorder. Raises DamageError or ReadError where it cannot be read.
    """
    if path.is_dir():
        return BagFolder(path, salvage=salvage)
    if path.suffix == ".mcap":
        return McapFile(path, salvage=salvage)
    if path.suffix == ".db3":
        return SqliteFile(path, salvage=salvage)
    raise DamageError(f"its name ends in {quoted(path.suffix, 20)} and not in {' or '.join(SUFFIXES)}")
