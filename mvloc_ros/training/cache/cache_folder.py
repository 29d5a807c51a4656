# SPDX-License-Identifier: Apache-2.0
"""The cache folder: its location, locks, content and deletion.

Each entry is a folder named by a key of 32 hexadecimal digits. A file lock, which ends with its process, guards
building it: a second process waits and then opens the result of the first. On a file system without locks both build,
and the slower one discards its result.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mvloc_ros.training.cache import array_folder
from mvloc_ros.training.cache.array_folder import DamagedError, Stored, Writer

KEY = re.compile(r"[0-9a-f]{32}")
_LEFTOVER = re.compile(r"\.([0-9a-f]{32})\..+")
_LOCK_SUFFIX = ".lock"
_LOCK_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_log = logging.getLogger(__name__)


def default_cache_folder() -> Path:
    """`$MVLOC_CACHE`, or `mvloc_ros/datasets` in `$XDG_CACHE_HOME` (`~/.cache`)."""
    if own := os.environ.get("MVLOC_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mvloc_ros" / "datasets"


def open_or_build(folder: Path, build: Callable[[Writer], dict[str, Any]], needed_bytes: int) -> Stored:
    """Open an entry, or build it first; a damaged one is rebuilt.

    Args:
        folder: of the entry, named by its key.
        build: fills the arrays and returns the notes.
        needed_bytes: the disk space that it needs.

    Raises:
        OSError: the folder cannot be created, or the disk is full.
    """
    try:
        found = array_folder.open_stored(folder)
    except DamagedError:
        found = None  # reported below, by the process that rebuilds it
    if found is not None:
        return found
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _locked(folder) as locked:
        try:
            found = array_folder.open_stored(folder)
        except DamagedError as error:
            _log.warning("The cache %s is damaged (%s) and is rebuilt.", folder, error)
        if found is None:
            if locked:
                _remove_leftovers(folder)
            _require_space(folder.parent, needed_bytes)
            with Writer(folder) as writer:
                writer.finish(build(writer))
            found = _reopened(folder)
    return found


def _reopened(folder: Path) -> Stored:
    try:
        found = array_folder.open_stored(folder)
    except DamagedError as error:
        raise OSError(errno.EIO, f"the written data cannot be read: {error}") from error
    if found is None:
        raise OSError(errno.ENOENT, "it was deleted while it was built")
    return found


@dataclass(frozen=True)
class Entry:
    """An entry as shown by `mvloc cache list`; `notes` is empty if it is damaged or incomplete."""

    name: str
    bytes: int
    notes: dict[str, Any]


def entries(cache: Path) -> list[Entry]:
    """All entries of a cache folder, including those of interrupted processes."""
    found = []
    for path in sorted(cache.iterdir()) if cache.is_dir() else []:
        if not path.is_dir() or not (KEY.fullmatch(path.name) or _LEFTOVER.fullmatch(path.name)):
            continue
        try:
            notes = array_folder.read_contents(path)["notes"] if KEY.fullmatch(path.name) else {}
        except DamagedError:
            notes = {}
        found.append(Entry(path.name, _size(path), notes))
    return found


def clear(cache: Path, names: list[str]) -> tuple[int, list[str]]:
    """Delete the named entries, or all without names; other files in the folder are kept.

    Returns the freed bytes, and the names that are kept because a process is building them.
    """
    freed, busy = 0, []
    for entry in entries(cache):
        leftover = _LEFTOVER.fullmatch(entry.name)
        key = leftover[1] if leftover else entry.name
        if names and not {key, entry.name} & set(names):
            continue
        with _locked(cache / key, wait=False) as locked:
            if not locked and (cache / entry.name).exists():
                busy.append(entry.name)
                continue
            if leftover:
                shutil.rmtree(cache / entry.name)
            else:
                array_folder.remove(cache / entry.name)
            freed += entry.bytes
    return freed, busy


@contextmanager
def _locked(folder: Path, wait: bool = True) -> Iterator[bool]:
    """Context that locks an entry, waiting for another process; whether the lock is held."""
    descriptor = os.open(folder.parent / f".{folder.name}{_LOCK_SUFFIX}", _LOCK_FLAGS, 0o644)
    try:
        yield _lock(descriptor, wait)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, wait: bool) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        if not wait:
            return False
        _log.info("Another process is decoding the same frames; waiting for it.")
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError:  # a file system without locks
        return False
    return True


def _remove_leftovers(folder: Path) -> None:
    """Remove incomplete data of killed processes; only the holder of the lock writes there."""
    for path in folder.parent.glob(f".{folder.name}.*"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)


def _require_space(cache: Path, needed_bytes: int) -> None:
    free = shutil.disk_usage(cache).free
    if free < needed_bytes:
        raise OSError(errno.ENOSPC, f"it needs {needed_bytes / 1e6:.0f} MB and {free / 1e6:.0f} MB are free")


def _size(folder: Path) -> int:
    try:
        return sum(path.stat().st_size for path in folder.iterdir())
    except OSError:  # another process deletes it
        return 0
