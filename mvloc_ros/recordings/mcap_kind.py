# SPDX-License-Identifier: Apache-2.0
"""Why an mcap file cannot be read as a whole: it is truncated, or of ROS 1 (format: mcap.dev/spec)."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from mvloc_ros.file_reader import open_regular
from mvloc_ros.recordings.rosbag2 import mcap_records
from mvloc_ros.recordings.rosbag2.storage_base import DamageError

MAGIC = mcap_records.MAGIC


def mcap_problem(path: Path) -> tuple[str, str]:
    """(what is wrong, what to do) with an mcap file; empty where its frame is that of a finished ROS 2 recording.

    Files that are no mcap, or are damaged in other ways, give empty texts, too.
    """
    try:
        with open_regular(path) as file:
            return _problem(path, file)
    except OSError:
        return "", ""


def _problem(path: Path, file: BinaryIO) -> tuple[str, str]:
    if file.read(len(MAGIC)) != MAGIC:
        return "", ""
    size = file.seek(0, 2)
    profile = _profile(file, size)
    if profile == "ros1":
        remedy = "read the .bag file that it was made from, or make a rosbag2 of that with `rosbags-convert`"
        return f"{path.name} is an mcap of ROS 1 messages", remedy
    file.seek(max(0, size - mcap_records.FOOTER_BYTES))
    end = file.read()
    if profile is None or not end.endswith(MAGIC) or end[0] != mcap_records.FOOTER:
        recover = f"recover the intact part with `mcap recover {path} -o NEW.mcap`, or record it again"
        return f"{path.name} is truncated, as after a recorder that was killed", recover
    return "", ""


def _profile(file: BinaryIO, size: int) -> str | None:
    """What the header says of the messages; None where there is no header."""
    try:
        header = next(mcap_records.file_records(file, len(MAGIC), size), None)
        if header is None or header.opcode != mcap_records.HEADER:
            return None
        return mcap_records.Fields(mcap_records.content_of(file, header)).text()
    except DamageError:
        return None
