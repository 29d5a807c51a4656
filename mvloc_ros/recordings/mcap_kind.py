# SPDX-License-Identifier: Apache-2.0
"""Why an mcap file cannot be read: it has no end, or holds other messages than ROS 2's (format: mcap.dev/spec)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

MAGIC = b"\x89MCAP0\r\n"
_HEADER, _FOOTER, _SCHEMA, _CHANNEL = 0x01, 0x02, 0x03, 0x04
_FOOTER_BYTES = 9 + 20 + len(MAGIC)
_SERIALIZATION = "cdr"
_SCHEMAS = ("ros2msg", "ros2idl", "omgidl", "")
"""What describes messages of ROS 2; the last is none."""
_LARGEST_RECORD = 1 << 26


def mcap_problem(path: Path) -> tuple[str, str]:
    """(what is wrong, what to do) with an mcap file; empty where its frame is that of a finished ROS 2 recording.

    Files that are no mcap, or are damaged in other ways, give empty texts, too.
    """
    try:
        with path.open("rb") as file:
            return _problem(path, file)
    except (OSError, struct.error, UnicodeDecodeError):
        return "", ""


def _problem(path: Path, file: BinaryIO) -> tuple[str, str]:
    if file.read(len(MAGIC)) != MAGIC:
        return "", ""
    header = next(_records(file), None)
    profile = _string(BytesIO(header[1])) if header is not None and header[0] == _HEADER else None
    if profile == "ros1":
        remedy = "read the .bag file that it was made from, or make a rosbag2 of that with `rosbags-convert`"
        return f"{path.name} is an mcap of ROS 1 messages", remedy
    size = file.seek(0, 2)
    file.seek(max(0, size - _FOOTER_BYTES))
    end = file.read()
    if profile is None or not end.endswith(MAGIC) or end[0] != _FOOTER:
        recover = f"keep what is whole with `mcap recover {path} -o NEW.mcap`, or record it again"
        return f"{path.name} has no end, as after a recorder that was killed", recover
    foreign = _foreign_topics(file, struct.unpack_from("<Q", end, 9)[0] or len(MAGIC))
    if foreign:
        shown = ", ".join(f"{topic} ({kind})" for topic, kind in sorted(foreign.items())[:3])
        names = "|".join(sorted(foreign))
        return (
            f"{path.name} has {len(foreign)} topics that are no messages of ROS 2: {shown}",
            f"leave them out with `mcap filter {path} -o NEW.mcap -n '{names}'`, or record the topics of ROS 2",
        )
    if profile != "ros2":
        remedy = "rewrite it with `ros2 bag convert`, or record it with `ros2 bag record`"
        return f"{path.name} is an mcap of the profile {profile!r} and not 'ros2'", remedy
    return "", ""


def _foreign_topics(file: BinaryIO, start: int) -> dict[str, str]:
    """Topics, among the records from `start`, whose messages or schemas are of another system, and of which."""
    file.seek(start)
    schemas: dict[int, str] = {0: ""}
    foreign: dict[str, str] = {}
    for opcode, data in _records(file):
        fields = BytesIO(data)
        if opcode == _SCHEMA:
            (number,) = struct.unpack("<H", fields.read(2))
            _string(fields)
            schemas[number] = _string(fields)
        elif opcode == _CHANNEL:
            _, number = struct.unpack("<HH", fields.read(4))
            topic, encoding = _string(fields), _string(fields)
            schema = schemas.get(number, "")
            if encoding != _SERIALIZATION or schema not in _SCHEMAS:
                foreign[topic] = encoding if encoding != _SERIALIZATION else schema
    return foreign


def _records(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """(opcode, content) of the records from here on; the content of large ones, as chunks are, is skipped."""
    while len(head := file.read(9)) == 9:
        opcode, length = struct.unpack("<BQ", head)
        if length > _LARGEST_RECORD or opcode not in (_HEADER, _SCHEMA, _CHANNEL):
            if length >= 1 << 62:
                return
            file.seek(length, 1)
            yield opcode, b""
            continue
        data = file.read(length)
        if len(data) < length:
            return
        yield opcode, data


def _string(data: BinaryIO) -> str:
    (length,) = struct.unpack("<I", data.read(4))
    return data.read(length).decode("utf-8")
