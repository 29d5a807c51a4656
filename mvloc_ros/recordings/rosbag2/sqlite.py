# SPDX-License-Identifier: Apache-2.0
"""An sqlite3 file of a recording (`.db3`) -> messages.

A damaged page ends the reading, since the database does not tell which rows are lost with it. The file is opened as
unchanging; what a killed recorder left next to it (`-wal`, `-journal`) is therefore not read, and reported.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mvloc_ros.file_reader import open_regular
from mvloc_ros.geometry.stamp_text import LAST_NS
from mvloc_ros.recordings.rosbag2.storage_base import (
    CDR,
    Channel,
    DamageError,
    RawMessage,
    Storage,
    definition_of,
    not_cdr,
    qos_of,
    two_types,
)

_MAGIC = b"SQLite format 3\0"
_COUNTS = "SELECT topic_id, COUNT(*), MIN(timestamp), MAX(timestamp) FROM messages GROUP BY topic_id"


class SqliteFile(Storage):
    """One `.db3` file."""

    def __init__(self, path: Path, within: Path | None = None, *, salvage: bool = False) -> None:
        super().__init__()
        self.path = path
        with open_regular(path, within=within) as file:
            if file.read(len(_MAGIC)) != _MAGIC:
                raise DamageError("it does not begin as an sqlite3 database")
        self._require_closed(salvage)
        address = f"file:{quote(str(path.resolve()))}?mode=ro&immutable=1"
        self._database = sqlite3.connect(address, uri=True, check_same_thread=False)
        try:
            self._open()
        except sqlite3.Error as error:
            self._database.close()
            raise DamageError(f"its database cannot be read: {error}") from error
        except BaseException:
            self._database.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _require_closed(self, salvage: bool) -> None:
        for suffix in ("-wal", "-journal"):
            beside = self.path.with_name(self.path.name + suffix)
            if beside.is_file() and beside.stat().st_size:
                text = f"{beside.name} is next to it, as after a recorder that was killed, and would not be read"
                if not salvage:
                    raise DamageError(text)
                self.problems[f"{self.path.name}: {text}"] = None

    def _open(self) -> None:
        self._database.execute("PRAGMA trusted_schema = OFF")
        tables = {str(name) for (name,) in self._rows("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not {"messages", "topics"} <= tables:
            raise DamageError("its database has no tables of messages and topics")
        definitions: dict[str, str] = {}
        if "message_definitions" in tables:
            query = "SELECT topic_type, encoding, encoded_message_definition FROM message_definitions"
            definitions = {
                str(name): definition_of(str(kind), str(text).encode(errors="replace"))
                for name, kind, text in self._rows(query)
            }
        qos = "offered_qos_profiles" in {str(row[1]) for row in self._rows("PRAGMA table_info(topics)")}
        columns = f"id, name, type, serialization_format, {'offered_qos_profiles' if qos else repr('')}"
        types: dict[str, str] = {}
        for number, topic, kind, form, profiles in self._rows(f"SELECT {columns} FROM topics ORDER BY id"):
            if not (isinstance(number, int) and isinstance(topic, str) and isinstance(kind, str)):
                raise DamageError("its table of topics has invalid values")
            if form != CDR:
                self.skipped[topic] = not_cdr(str(form))
            elif types.setdefault(topic, kind) != kind:
                self.skipped[topic] = two_types(types[topic], kind)
            else:
                self.usable[number] = Channel(topic, kind, qos_of(str(profiles or "")), definitions.get(kind, ""))
        self._count()

    def _count(self) -> None:
        self.found = {channel.topic: 0 for channel in self.usable.values()}
        stamps: list[int] = []
        for number, count, *ends in self._rows(_COUNTS):
            if number in self.usable:
                self.found[self.usable[number].topic] += count
                stamps += [stamp for stamp in ends if isinstance(stamp, int) and 0 <= stamp <= LAST_NS]
        self.stated = dict(self.found)
        if stamps:
            self.start_ns, self.end_ns = min(stamps), max(stamps)

    def messages(self, topics: Collection[str]) -> Iterator[RawMessage]:
        """Messages of the topics in order of log time."""
        wanted = [number for number, channel in self.usable.items() if channel.topic in topics]
        query = (
            f"SELECT topic_id, timestamp, data FROM messages WHERE topic_id IN ({','.join('?' * len(wanted))}) "
            "ORDER BY timestamp"
        )
        try:
            for number, stamp, data in self._rows(query, wanted):
                channel = self.usable[number]
                if isinstance(stamp, int) and 0 <= stamp <= LAST_NS and isinstance(data, bytes):
                    yield RawMessage(channel.topic, channel.type, stamp, data)
                else:
                    self.problems[f"{self.path.name}: a row of messages has no valid log time or no data"] = None
        except sqlite3.Error as error:
            raise DamageError(f"its database cannot be read: {error}") from error

    def _rows(self, query: str, values: Collection[Any] = ()) -> Iterator[tuple[Any, ...]]:
        with closing(self._database.execute(query, tuple(values))) as cursor:
            yield from cursor
