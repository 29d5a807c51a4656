# SPDX-License-Identifier: Apache-2.0
"""`learn.json`: of each step what went in, what came out, and how long it took."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mvloc_ros import __version__
from mvloc_ros.file_reader import ReadError
from mvloc_ros.geometry.text_file import read_text
from mvloc_ros.json_text import parse_json
from mvloc_ros.limits import MOST_MANIFEST_BYTES
from mvloc_ros.recordings import digests
from mvloc_ros.storage import write_file

VERSION = 1
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Record:
    """A step: `inputs` by name, each a digest or a value; `outputs` likewise, empty until it has ended."""

    inputs: dict[str, Any]
    outputs: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0


class State:
    """The records of all steps, each change at once in the file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._records = _read(path)

    def get(self, name: str) -> Record | None:
        """What is known of a step."""
        return self._records.get(name)

    @property
    def has_results(self) -> bool:
        """Whether a step has ended."""
        return any(record.outputs for record in self._records.values())

    def begin(self, name: str, inputs: dict[str, Any]) -> None:
        """Note that a step begins, and forget what it had made."""
        self._put(name, Record(inputs))

    def finish(self, name: str, outputs: dict[str, Any], seconds: float) -> None:
        """Note that a step has ended."""
        self._put(name, Record(self._records[name].inputs, outputs, round(seconds, 1)))

    def _put(self, name: str, record: Record) -> None:
        self._records[name] = record
        content = {
            "version": VERSION,
            "mvloc_ros": __version__,
            "steps": {step: asdict(kept) for step, kept in self._records.items()},
        }
        write_file(self._path, json.dumps(content, indent=1) + "\n")


def _read(path: Path) -> dict[str, Record]:
    """The records of a file; none where it is missing or cannot be understood, so that all steps are done again."""
    if not path.exists():
        return {}
    try:
        content = parse_json(read_text(path, "state", most_bytes=MOST_MANIFEST_BYTES))
        if content["version"] != VERSION:
            raise ValueError("it is of another version")
        return {name: _record(values) for name, values in content["steps"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, ReadError) as problem:
        _log.warning("%s cannot be understood (%s): all steps are done again.", path, problem)
        return {}


def _record(values: Any) -> Record:
    inputs, outputs, seconds = values["inputs"], values["outputs"], values["seconds"]
    if not (isinstance(inputs, dict) and isinstance(outputs, dict) and isinstance(seconds, (int, float))):
        raise ValueError("a step has values of another kind")
    return Record(inputs, outputs, float(seconds))


def changed(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """The names of the inputs that differ."""
    return sorted(name for name in before.keys() | now.keys() if not _same(before.get(name), now.get(name)))


def _same(a: Any, b: Any) -> bool:
    return digests.of_values(a) == digests.of_values(b)
