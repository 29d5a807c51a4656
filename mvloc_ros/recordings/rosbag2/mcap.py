# SPDX-License-Identifier: Apache-2.0
"""An mcap file -> messages: what cannot be read is skipped and reported, and no size in the file is trusted unchecked.

Messages are found through the summary's chunk indexes. A file without them (no summary, or a damaged one) is searched
from its beginning, and so is one without an end where `salvage` is set.
"""

from __future__ import annotations

import heapq
import os
import struct
from array import array
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

from mvloc_ros.file_reader import open_regular
from mvloc_ros.geometry.stamp_text import LAST_NS
from mvloc_ros.limits import MOST_CHUNK_BYTES, MOST_OPEN_CHUNK_BYTES
from mvloc_ros.recordings.rosbag2 import mcap_records as records
from mvloc_ros.recordings.rosbag2.compression import decompressed
from mvloc_ros.recordings.rosbag2.mcap_channels import McapChannels
from mvloc_ros.recordings.rosbag2.mcap_records import Chunk, Fields, Statistics
from mvloc_ros.recordings.rosbag2.storage_base import DamageError, RawMessage, Storage

_Sorted = tuple[int, int, int, int, bytes]
"""Log time, place of the chunk, place in it (-1: none, only the time), channel, data."""


class McapFile(Storage):
    """One mcap file."""

    def __init__(self, path: Path, within: Path | None = None, *, salvage: bool = False) -> None:
        super().__init__()
        self.path = path
        self._open_bytes = 0
        self._described = McapChannels(self.usable, self.skipped)
        self._chunks: list[Chunk] = []
        # Messages outside of chunks: log time, place, and the channel's number.
        self._loose = (array("q"), array("q"), array("q"))
        self._held = ExitStack()
        try:
            self._file: BinaryIO = self._held.enter_context(open_regular(path, within=within))
            self._size = os.fstat(self._file.fileno()).st_size
            self._open(salvage)
        except BaseException:
            self._held.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._held.close()

    def _open(self, salvage: bool) -> None:
        if self._file.read(len(records.MAGIC)) != records.MAGIC:
            raise DamageError("it is empty" if not self._size else "it does not begin as an mcap")
        first = next(records.file_records(self._file, len(records.MAGIC), self._size))
        if first.opcode != records.HEADER:
            raise DamageError("it has no header")
        start, (summary, end) = first.start + first.length, self._ends(salvage)
        statistics = self._read_summary(summary, end) if start <= summary < end else None
        if not self.usable and not self.skipped:
            statistics = None
        by_channel = statistics is not None and (statistics.counts or not statistics.messages)
        by_chunk = bool(self._chunks) and all(chunk.counts is not None for chunk in self._chunks)
        if by_chunk or (by_channel and (self._chunks or not (statistics and statistics.messages))):
            self._take_counts(statistics if by_channel else None)
        else:
            self._chunks.clear()
            self._search(start, summary if start <= summary < end else end, statistics)

    def _ends(self, salvage: bool) -> tuple[int, int]:
        """Where the summary begins (0: there is none) and the footer."""
        footer = self._size - records.FOOTER_BYTES
        self._file.seek(max(0, footer))
        data = self._file.read()
        if footer > 0 and data.endswith(records.MAGIC) and data[0] == records.FOOTER:
            (summary,) = struct.unpack_from("<Q", data, 9)
            return min(summary, self._size), footer
        if not salvage:
            raise DamageError("it is truncated, as after a recorder that was killed")
        self._problem("it is truncated, as after a recorder that was killed")
        return 0, self._size

    def _read_summary(self, start: int, end: int) -> Statistics | None:
        """Channels and chunks of the summary; the statistics, if it has any."""
        statistics = None
        try:
            for record in records.file_records(self._file, start, end):
                if record.opcode in (records.SCHEMA, records.CHANNEL):
                    self._described.take(record.opcode, records.content_of(self._file, record))
                elif record.opcode == records.CHUNK_INDEX:
                    self._chunks.append(records.read_chunk_index(records.content_of(self._file, record)))
                elif record.opcode == records.STATISTICS:
                    statistics = records.read_statistics(records.content_of(self._file, record))
        except DamageError as error:
            self._problem(f"its summary is damaged: {error}")
            self._chunks.clear()
            return None
        # A repeated index would give its messages twice.
        self._chunks = list({chunk.place: chunk for chunk in self._chunks}.values())
        return statistics

    def _take_counts(self, statistics: Statistics | None) -> None:
        """What the summary says of counts and times."""
        counts: Counter[int] = Counter()
        for of_channels in [statistics.counts] if statistics else [chunk.counts for chunk in self._chunks]:
            counts.update(of_channels or {})
        self.found = self._by_topic(counts)
        self.stated = self.found
        starts = [chunk.start_ns for chunk in self._chunks if chunk.end_ns]
        ends = [chunk.end_ns for chunk in self._chunks]
        if statistics is not None:
            starts, ends = [statistics.start_ns], [statistics.end_ns]
        if sum(counts.values()):
            self.start_ns, self.end_ns = (min(value, LAST_NS) for value in (min(starts, default=0), max(ends)))

    def _by_topic(self, counts: Counter[int]) -> dict[str, int]:
        by_topic: Counter[str] = Counter({channel.topic: 0 for channel in self.usable.values()})
        for number, count in counts.items():
            channel = self.usable.get(number)
            if channel is not None:
                by_topic[channel.topic] += count
        return dict(by_topic)

    def _search(self, start: int, end: int, statistics: Statistics | None) -> None:
        """Find channels, chunks and messages from the file's beginning."""
        counts: Counter[int] = Counter()
        first, last = LAST_NS, 0
        try:
            for record in records.file_records(self._file, start, end):
                if record.opcode in (records.SCHEMA, records.CHANNEL):
                    self._described.take(record.opcode, records.content_of(self._file, record))
                elif record.opcode == records.CHUNK:
                    self._search_chunk(record, counts)
                elif record.opcode == records.MESSAGE:
                    self._find_loose(record, counts)
        except DamageError as error:
            self._problem(f"{error}; nothing after it is read")
        for chunk in self._chunks:
            first, last = min(first, chunk.start_ns), max(last, chunk.end_ns)
        if self._loose[0]:
            first, last = min(first, *_ends_of(self._loose[0])), max(last, *_ends_of(self._loose[0]))
        self.found = self._by_topic(counts)
        if statistics is not None and statistics.counts:
            self.stated = self._by_topic(Counter(statistics.counts))
        if sum(counts.values()):
            self.start_ns, self.end_ns = min(first, LAST_NS), min(last, LAST_NS)

    def _search_chunk(self, record: records.Record, counts: Counter[int]) -> None:
        start_ns, end_ns = Fields(self._head_of(record)).numbers("<QQ")
        place = record.start - 9
        self._chunks.append(Chunk(start_ns, end_ns, place, None))
        try:
            data = self._chunk_data(place)
            for inner in records.chunk_records(data):
                if inner.opcode in (records.SCHEMA, records.CHANNEL):
                    self._described.take(inner.opcode, data[inner.start : inner.start + inner.length])
                elif inner.opcode == records.MESSAGE and inner.length >= records.MESSAGE_HEAD.size:
                    counts[records.MESSAGE_HEAD.unpack_from(data, inner.start)[0]] += 1
        except DamageError as error:
            self._problem(f"its chunk at byte {place} is damaged: {error}")

    def _head_of(self, record: records.Record) -> bytes:
        self._file.seek(record.start)
        return self._file.read(min(record.length, 16))

    def _find_loose(self, record: records.Record, counts: Counter[int]) -> None:
        self._file.seek(record.start)
        head = self._file.read(records.MESSAGE_HEAD.size)
        if record.length < records.MESSAGE_HEAD.size or len(head) < records.MESSAGE_HEAD.size:
            raise DamageError(f"the message at byte {record.start} is too short")
        number, _, stamp, _ = records.MESSAGE_HEAD.unpack(head)
        if stamp > LAST_NS:
            self._problem(f"a message at byte {record.start} has no valid log time")
            return
        counts[number] += 1
        for column, value in zip(self._loose, (stamp, record.start, number), strict=True):
            column.append(value)

    def messages(self, topics: Collection[str]) -> Iterator[RawMessage]:
        """Messages of the topics in order of log time; damaged chunks are left out and become problems."""
        wanted = {number: channel for number, channel in self.usable.items() if channel.topic in topics}
        chunks = [
            self._sorted_chunk(chunk, wanted)
            for chunk in self._chunks
            if chunk.counts is None or wanted.keys() & chunk.counts.keys()
        ]
        for stamp, _, order, number, data in heapq.merge(*chunks, self._sorted_loose(wanted)):
            if order >= 0:
                channel = wanted[number]
                yield RawMessage(channel.topic, channel.type, stamp, data)

    def _sorted_loose(self, wanted: Collection[int]) -> Iterator[_Sorted]:
        stamps, places, numbers = self._loose
        for i in sorted(range(len(stamps)), key=stamps.__getitem__):
            if numbers[i] in wanted:
                record = next(records.file_records(self._file, places[i] - 9, self._size))
                self._file.seek(record.start + records.MESSAGE_HEAD.size)
                data = self._file.read(record.length - records.MESSAGE_HEAD.size)
                yield stamps[i], places[i], i, numbers[i], data

    def _sorted_chunk(self, chunk: Chunk, wanted: Collection[int]) -> Iterator[_Sorted]:
        # The time alone first: a chunk is read when its time has come, so that few are in memory together.
        yield chunk.start_ns, chunk.place, -1, 0, b""
        found: list[_Sorted] = []
        data = b""
        try:
            data = self._chunk_data(chunk.place)
            self._open_bytes += len(data)
            if self._open_bytes > MOST_OPEN_CHUNK_BYTES:
                raise DamageError(f"overlapping chunks have more than {MOST_OPEN_CHUNK_BYTES} bytes in total")
            self._collect(data, chunk, wanted, found)
        except DamageError as error:
            if found:
                found.pop()  # what follows it is damaged, and its own end may be
            self._problem(f"its chunk at byte {chunk.place} is damaged: {error}")
        try:
            yield from sorted(found)
        finally:
            self._open_bytes -= len(data)

    def _collect(self, data: bytes, chunk: Chunk, wanted: Collection[int], found: list[_Sorted]) -> None:
        for order, record in enumerate(records.chunk_records(data)):
            if record.opcode != records.MESSAGE:
                continue
            if record.length < records.MESSAGE_HEAD.size:
                raise DamageError("a message is too short")
            number, _, stamp, _ = records.MESSAGE_HEAD.unpack_from(data, record.start)
            if not chunk.start_ns <= stamp <= min(chunk.end_ns, LAST_NS):
                raise DamageError("a message is outside of its chunk's time range")
            if number in wanted:
                start = record.start + records.MESSAGE_HEAD.size
                found.append((stamp, chunk.place, order, number, data[start : record.start + record.length]))

    def _chunk_data(self, place: int) -> bytes:
        """The records of the chunk at a place of the file."""
        record = next(records.file_records(self._file, place, self._size), None)
        if record is None or record.opcode != records.CHUNK:
            raise DamageError("no chunk begins here")
        self._file.seek(record.start)
        fields = Fields(self._file.read(min(record.length, 1 << 12)))
        _, _, size, checksum = fields.numbers("<QQQI")
        kind = fields.text()
        (stored,) = fields.numbers("<Q")
        if size > MOST_CHUNK_BYTES:
            raise DamageError(f"it states {size} bytes, at most {MOST_CHUNK_BYTES} are accepted")
        head = 28 + 4 + len(kind.encode()) + 8
        if stored > record.length - head:
            raise DamageError("it states more bytes than it has")
        self._file.seek(record.start + head)
        data = decompressed(self._file.read(stored), kind, size)
        if len(data) != size:
            raise DamageError(f"it has {len(data)} bytes and not {size}")
        records.require_checksum(data, checksum)
        return data

    def _problem(self, text: str) -> None:
        self.problems[f"{self.path.name}: {text}"] = None


def _ends_of(values: array[int]) -> tuple[int, int]:
    return min(values), max(values)
