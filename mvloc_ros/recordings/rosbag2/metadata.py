# SPDX-License-Identifier: Apache-2.0
"""`metadata.yaml` of a recording -> its values, each of its type and within its range."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from rosbags.interfaces import Qos

from mvloc_ros.file_reader import read_file
from mvloc_ros.foreign_text import quoted
from mvloc_ros.geometry.stamp_text import LAST_NS
from mvloc_ros.limits import MOST_YAML_BYTES
from mvloc_ros.recordings.rosbag2.storage_base import CDR, DamageError, qos_of
from mvloc_ros.yaml_text import parse_yaml

METADATA_FILE = "metadata.yaml"
NEWEST_VERSION = 9
STORAGES = ("mcap", "sqlite3")
COMPRESSIONS = ("", "none", "file", "message")


@dataclass(frozen=True)
class MetadataTopic:
    """A topic as the metadata describes it."""

    name: str
    type: str
    serialization: str
    qos: tuple[Qos, ...]
    count: int


@dataclass(frozen=True)
class Metadata:
    """A recording as a whole: its files in order of time, and its topics; times are nanoseconds."""

    storage: str
    files: tuple[str, ...]
    compression: str
    start_ns: int
    duration_ns: int
    messages: int
    topics: tuple[MetadataTopic, ...]


def read_metadata(folder: Path) -> Metadata:
    """The metadata of a recording's folder.

    Raises:
        DamageError: a value is missing, of another type, or names a file outside of the folder.
        ReadError: the file cannot be read, or must not be.
    """
    data = read_file(folder / METADATA_FILE, MOST_YAML_BYTES, within=folder)
    try:
        content = parse_yaml(data.decode("utf-8"), MOST_YAML_BYTES)
        return _metadata(content["rosbag2_bagfile_information"])
    except KeyError as error:
        raise DamageError(f"{METADATA_FILE} has no value for {error}") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise DamageError(f"{METADATA_FILE} is invalid: {error}") from error


def _metadata(values: dict[str, Any]) -> Metadata:
    version = _count(values["version"], "version")
    if version > NEWEST_VERSION:
        raise DamageError(f"{METADATA_FILE} has version {version}, the newest supported one is {NEWEST_VERSION}")
    compression = _text(values.get("compression_mode") or "", "compression_mode").lower()
    kind = _text(values.get("compression_format") or "", "compression_format").lower()
    if compression not in COMPRESSIONS or (compression in ("file", "message") and kind != "zstd"):
        raise DamageError(f"its compression ({quoted(compression, 40)}, {quoted(kind, 40)}) is unknown")
    return Metadata(
        storage=_one_of(values["storage_identifier"], STORAGES),
        files=tuple(_file(name) for name in _list(values["relative_file_paths"], "relative_file_paths")),
        compression="" if compression == "none" else compression,
        start_ns=_count(values["starting_time"]["nanoseconds_since_epoch"], "starting_time", bounded=False),
        duration_ns=_count(values["duration"]["nanoseconds"], "duration", bounded=False),
        messages=_count(values["message_count"], "message_count"),
        topics=tuple(_topic(entry) for entry in _list(values["topics_with_message_count"], "topics")),
    )


def _topic(entry: dict[str, Any]) -> MetadataTopic:
    topic = entry["topic_metadata"]
    return MetadataTopic(
        _text(topic["name"], "name"),
        _text(topic["type"], "type"),
        _text(topic.get("serialization_format") or CDR, "serialization_format"),
        qos_of(topic.get("offered_qos_profiles") or ""),
        _count(entry["message_count"], "message_count"),
    )


def _file(name: Any) -> str:
    """A file of the folder itself: old versions name it with the folder before it."""
    text = _text(name, "relative_file_paths")
    path = PurePosixPath(text)
    if path.is_absolute() or PureWindowsPath(text).is_absolute() or ".." in path.parts or not path.name or "\0" in text:
        raise DamageError(f"{METADATA_FILE} names the file {quoted(text)}, which is not in the folder")
    return path.name


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise DamageError(f"{METADATA_FILE} has {quoted(value, 40)} for {what}, not a text")
    return value


def _list(value: Any, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise DamageError(f"{METADATA_FILE} has {quoted(value, 40)} for {what}, not a list")
    return value


def _count(value: Any, what: str, bounded: bool = True) -> int:
    """A number of messages, or (not `bounded` by zero: recorders write odd ones without messages) a time."""
    if not isinstance(value, int) or isinstance(value, bool) or not (0 if bounded else -LAST_NS) <= value <= LAST_NS:
        raise DamageError(f"{METADATA_FILE} has {quoted(value, 40)} for {what}, not a whole number of 63 bits")
    return value


def _one_of(value: Any, known: tuple[str, ...]) -> str:
    text = _text(value, "storage_identifier")
    if text not in known:
        raise DamageError(f"its storage {quoted(text, 40)} is unknown, known are {' and '.join(known)}")
    return text
