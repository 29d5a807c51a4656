# SPDX-License-Identifier: Apache-2.0
"""One folder of arrays.

    NAME.npy        np.lib.format, without pickle
    contents.json   what must be there, with sizes and SHA-256, and notes

A folder gets its name when all of its content is on the disk, so a folder with that name is complete. Later changes are
detected by sizes and times of the files; if those differ from the recorded ones (a file was written to, or the folder
was copied), the SHA-256 is checked.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.file_reader import digest_file
from mvloc_ros.geometry.text_file import read_text
from mvloc_ros.json_text import parse_json
from mvloc_ros.storage import replace_folder, staging_folder, write_file

FORMAT = 1
CONTENTS_FILE = "contents.json"
BUFFER_BYTES = 1 << 20
_NAME = re.compile(r"[a-z][a-z0-9_]*")


class DamagedError(Exception):
    """The content of a folder is not as it was written; the message has the reason."""


@dataclass(frozen=True, eq=False)
class Stored:
    """Arrays by name, memory-mapped read-only, and the notes stored with them."""

    arrays: dict[str, NDArray[Any]]
    notes: dict[str, Any]


class Writer:
    """Context manager that fills a temporary folder; without `finish` it is removed.

    Arrays are written row by row: on a full disk a write raises OSError, while storing into a memory map would kill the
    process.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, BinaryIO] = {}
        self._kinds: dict[str, tuple[np.dtype[Any], tuple[int, ...]]] = {}
        self._rows: dict[str, int] = {}
        self._entries: dict[str, dict[str, Any]] = {}
        self._held = ExitStack()

    def __enter__(self) -> Writer:
        self._partial = self._held.enter_context(staging_folder(self._folder))
        return self

    def append(self, name: str, row: NDArray[Any]) -> None:
        """Append one row to the array of that name; all rows have the same shape and type."""
        if name not in self._files:
            self._files[name] = (self._partial / f"{name}.npy").open("wb", buffering=BUFFER_BYTES)
            self._kinds[name], self._rows[name] = (row.dtype, row.shape), 0
            self._write_header(name)
        if (row.dtype, row.shape) != self._kinds[name]:
            raise ValueError(f"{name} has rows of {self._kinds[name]}, not {(row.dtype, row.shape)}")
        self._files[name].write(np.ascontiguousarray(row).data)
        self._rows[name] += 1

    def seal(self) -> dict[str, NDArray[Any]]:
        """Complete the arrays, sync them to the disk, and map them."""
        self._entries |= {name: self._close(name) for name in list(self._files)}
        return {name: _map(self._partial / f"{name}.npy", entry) for name, entry in self._entries.items()}

    def finish(self, notes: dict[str, Any]) -> None:
        """Sync the folder and give it its final name; a damaged one of that name is replaced.

        If another process was faster, its folder is kept and this one discarded.
        """
        self.seal()
        write_contents(self._partial, {"arrays": self._entries, "notes": notes})
        if not is_intact(self._folder):
            replace_folder(self._partial, self._folder)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for stream in self._files.values():
            try:
                stream.close()
            except OSError:  # disk full: the folder is discarded anyway
                continue
        self._held.close()

    def _write_header(self, name: str) -> None:
        dtype, shape = self._kinds[name]
        header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False}
        # numpy reserves space for more digits in the first number of the shape, so the header has the same length now,
        # without rows, and at the end.
        np.lib.format.write_array_header_1_0(self._files[name], {**header, "shape": (self._rows[name], *shape)})

    def _close(self, name: str) -> dict[str, Any]:
        path = self._partial / f"{name}.npy"
        with self._files[name] as stream:
            stream.seek(0)
            self._write_header(name)
            stream.flush()
            os.fsync(stream.fileno())
        del self._files[name]
        dtype, shape = self._kinds[name]
        return {
            "dtype": dtype.str,
            "shape": [self._rows[name], *shape],
            "bytes": path.stat().st_size,
            "times": _times(path),
            "sha256": digest_file(path, None),
        }


def open_stored(folder: Path) -> Stored | None:
    """Map the arrays of a folder; None if there is no such folder.

    Raises:
        DamagedError: a file is missing, truncated or modified.
    """
    if not folder.is_dir():
        return None
    contents = read_contents(folder)
    try:
        suspects = [name for name, entry in contents["arrays"].items() if _is_touched(folder / f"{name}.npy", entry)]
        for name in suspects:
            _verify(folder / f"{name}.npy", contents["arrays"][name])
        arrays = {name: _map(folder / f"{name}.npy", entry) for name, entry in contents["arrays"].items()}
        notes = contents["notes"]
    except Exception as error:  # numpy raises any exception for damaged files
        raise DamagedError(f"{type(error).__name__}: {error}"[:200]) from error
    if suspects:
        _note_times(folder, contents)
    return Stored(arrays, notes)


def is_intact(folder: Path) -> bool:
    """Whether a folder can be opened."""
    try:
        return open_stored(folder) is not None
    except DamagedError:
        return False


def read_contents(folder: Path) -> dict[str, Any]:
    """`contents.json`: the arrays' descriptions and the notes.

    Raises:
        DamagedError: it is missing or modified.
    """
    try:
        values = parse_json(read_text(folder / CONTENTS_FILE, "list of contents"))
        contents, digest = values["contents"], values["sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedError(f"{CONTENTS_FILE}: {type(error).__name__}") from error
    if not isinstance(contents, dict) or digest != _digest(contents) or contents.get("format") != FORMAT:
        raise DamagedError(f"{CONTENTS_FILE} was modified")
    if not isinstance(contents.get("notes"), dict):
        raise DamagedError(f"{CONTENTS_FILE} has no notes")
    if not isinstance(contents.get("arrays"), dict) or not all(map(_NAME.fullmatch, contents["arrays"])):
        raise DamagedError(f"{CONTENTS_FILE} has invalid array names")
    return contents


def write_contents(folder: Path, contents: dict[str, Any]) -> None:
    """Write `contents.json` atomically."""
    contents = {"format": FORMAT, **contents}
    write_file(folder / CONTENTS_FILE, json.dumps({"contents": contents, "sha256": _digest(contents)}))


def remove(folder: Path) -> None:
    """Delete a folder; it is renamed first, so that an interruption leaves no incomplete one under its name."""
    with staging_folder(folder) as doomed:
        os.rename(folder, doomed)  # over the empty folder


def _digest(contents: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(contents, sort_keys=True).encode()).hexdigest()


def _times(path: Path) -> list[int]:
    """Modification and status change time of a file, in nanoseconds; the second cannot be set by a program."""
    found = path.stat()
    return [found.st_mtime_ns, found.st_ctime_ns]


def _is_touched(path: Path, entry: dict[str, Any]) -> bool:
    if path.stat().st_size != entry["bytes"]:
        raise ValueError(f"{path.name} has {path.stat().st_size} of {entry['bytes']} bytes")
    return bool(_times(path) != entry["times"])


def _verify(path: Path, entry: dict[str, Any]) -> None:
    if digest_file(path, None) != entry["sha256"]:
        raise ValueError(f"{path.name} was modified")


def _map(path: Path, entry: dict[str, Any]) -> NDArray[Any]:
    array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    if not isinstance(array, np.memmap) or array.offset + array.nbytes != path.stat().st_size:
        raise ValueError(f"the size of {path.name} contradicts its header")
    if (array.dtype.str, list(array.shape)) != (entry["dtype"], entry["shape"]):
        raise ValueError(f"{path.name} has another array")
    return array


def _note_times(folder: Path, contents: dict[str, Any]) -> None:
    """Record the times of verified files, so that they are not verified again."""
    for name, entry in contents["arrays"].items():
        entry["times"] = _times(folder / f"{name}.npy")
    try:
        write_contents(folder, {key: value for key, value in contents.items() if key != "format"})
    except OSError:  # a read-only cache can be used, too, and is verified each time
        return
