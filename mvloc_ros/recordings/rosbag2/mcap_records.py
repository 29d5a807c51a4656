# SPDX-License-Identifier: Apache-2.0
"""The records of an mcap (format: mcap.dev/spec), none of which may reach beyond what holds it."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, NamedTuple
from zlib import crc32

from mvloc_ros.limits import MOST_RECORD_BYTES
from mvloc_ros.recordings.rosbag2.storage_base import DamageError

MAGIC = b"\x89MCAP0\r\n"
HEADER, FOOTER, SCHEMA, CHANNEL, MESSAGE, CHUNK = 0x01, 0x02, 0x03, 0x04, 0x05, 0x06
CHUNK_INDEX, STATISTICS, DATA_END = 0x08, 0x0B, 0x0F
FOOTER_BYTES = 9 + 20 + len(MAGIC)
MESSAGE_HEAD = struct.Struct("<HIQQ")
_HEAD = struct.Struct("<BQ")
_INDEX_RECORD_BYTES, _INDEX_ENTRY_BYTES = 15, 16


class Record(NamedTuple):
    """Where the content of a record begins, and its length."""

    opcode: int
    start: int
    length: int


class Fields:
    """Reads the fields of one record's content, one after the other."""

    def __init__(self, data: bytes) -> None:
        self._data, self._place = data, 0

    def take(self, length: int) -> bytes:
        """The next bytes. Raises DamageError where there are fewer."""
        if length > len(self._data) - self._place:
            raise DamageError("a field reaches beyond its record")
        self._place += length
        return self._data[self._place - length : self._place]

    def numbers(self, layout: str) -> tuple[Any, ...]:
        """The next numbers, of a `struct` layout."""
        return struct.unpack(layout, self.take(struct.calcsize(layout)))

    def content(self) -> bytes:
        """The next bytes, after their number."""
        return self.take(self.numbers("<I")[0])

    def text(self) -> str:
        """The next text."""
        try:
            return self.content().decode("utf-8")
        except UnicodeDecodeError as error:
            raise DamageError("a text is not UTF-8") from error

    def texts(self) -> dict[str, str]:
        """The next mapping of texts."""
        fields = Fields(self.content())
        values: dict[str, str] = {}
        while fields:
            key = fields.text()
            values[key] = fields.text()
        return values

    def table(self, layout: str) -> dict[int, int]:
        """The next mapping of numbers, of a `struct` layout of one entry."""
        data = self.content()
        if len(data) % struct.calcsize(layout):
            raise DamageError("a table ends within an entry")
        return dict(struct.iter_unpack(layout, data))

    def __bool__(self) -> bool:
        return self._place < len(self._data)


@dataclass(frozen=True)
class Chunk:
    """A chunk as the summary describes it: log times, place in the file, and messages by channel (None: unknown)."""

    start_ns: int
    end_ns: int
    place: int
    counts: dict[int, int] | None


@dataclass(frozen=True)
class Statistics:
    """The counts of a finished mcap: in total, and by channel (empty where the writer did not count these)."""

    messages: int
    start_ns: int
    end_ns: int
    counts: dict[int, int]


def file_records(file: BinaryIO, start: int, end: int) -> Iterator[Record]:
    """The records of a file between two places.

    Raises:
        DamageError: there is no record where one should begin, or it reaches beyond `end`.
    """
    while start < end:
        file.seek(start)
        record = _record(file.read(_HEAD.size), start, end)
        yield record
        start = record.start + record.length


def chunk_records(data: bytes) -> Iterator[Record]:
    """The records of a chunk's content; errors as of `file_records`."""
    start = 0
    while start < len(data):
        record = _record(data[start : start + _HEAD.size], start, len(data))
        yield record
        start = record.start + record.length


def _record(head: bytes, place: int, end: int) -> Record:
    if len(head) < _HEAD.size:
        raise DamageError(f"the record at byte {place} is truncated")
    opcode, length = _HEAD.unpack(head)
    if opcode == 0:
        raise DamageError(f"there is no record at byte {place}")
    if length > end - place - _HEAD.size:
        raise DamageError(f"the record at byte {place} states {length} bytes, more than remain")
    return Record(opcode, place + _HEAD.size, length)


def content_of(file: BinaryIO, record: Record) -> bytes:
    """The content of a record that describes others. Raises DamageError where it is too large or cut short."""
    if record.length > MOST_RECORD_BYTES:
        raise DamageError(f"the record at byte {record.start} has {record.length} bytes")
    file.seek(record.start)
    data = file.read(record.length)
    if len(data) < record.length:
        raise DamageError(f"the record at byte {record.start} is truncated")
    return data


def read_chunk_index(data: bytes) -> Chunk:
    """The content of a chunk index."""
    fields = Fields(data)
    start_ns, end_ns, place, length = fields.numbers("<QQQQ")
    places = sorted((value, key) for key, value in fields.table("<HQ").items())
    index_length, _ = fields.numbers("<Q")[0], fields.text()
    ends = [value for value, _ in places[1:]] + [place + length + index_length] * bool(places)
    # Entries of one size follow the head of each channel's index.
    counts = {
        key: max(0, end - value - _INDEX_RECORD_BYTES) // _INDEX_ENTRY_BYTES
        for (value, key), end in zip(places, ends, strict=True)
    }
    return Chunk(start_ns, end_ns, place, counts or None)


def read_statistics(data: bytes) -> Statistics:
    """The content of the statistics."""
    fields = Fields(data)
    count, *_, start_ns, end_ns = fields.numbers("<QHIIIIQQ")
    return Statistics(count, start_ns, end_ns, fields.table("<HQ"))


def require_checksum(data: bytes, checksum: int) -> None:
    """Raises DamageError where the content of a chunk is not of its checksum; 0 is none."""
    if checksum and crc32(data) != checksum:
        raise DamageError("its checksum is wrong")
