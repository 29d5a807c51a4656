# SPDX-License-Identifier: Apache-2.0
"""The folder that all caches lie in: where it is, who may build in it, what it holds, and how it is emptied.

Each cache is a folder named by a key of 32 hexadecimal digits. Building one is guarded by a file lock, which ends
with its process, so that a second process waits for the first and then opens what that made. Where a file system
has no locks both build, and the slower one gives way.
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

from mvloc_ros.training.cache import store
from mvloc_ros.training.cache.store import DamagedError, Stored, Writer

KEY = re.compile(r"[0-9a-f]{32}")
_LEFTOVER = re.compile(r"\.([0-9a-f]{32})\..+")
_LOCK_SUFFIX = ".lock"
_LOCK_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_log = logging.getLogger(__name__)


def default_place() -> Path:
    """`$MVLOC_CACHE`, or `mvloc_ros/datasets` in `$XDG_CACHE_HOME` (`~/.cache`)."""
    if own := os.environ.get("MVLOC_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mvloc_ros" / "datasets"


def open_or_build(folder: Path, build: Callable[[Writer], dict[str, Any]], needed_bytes: int) -> Stored:
    """Open a cache, or make it first; one that is damaged is made again.

    Args:
        folder: its place; named by its key.
        build: fills the arrays and returns the notes.
        needed_bytes: the room that it needs.

    Raises:
        OSError: the folder cannot be made, or has no room.
    """
    try:
        found = store.open_stored(folder)
    except DamagedError:
        found = None  # said below, by the one process that repairs it
    if found is not None:
        return found
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _locked(folder) as locked:
        try:
            found = store.open_stored(folder)
        except DamagedError as error:
            _log.warning("The cache %s is damaged (%s); it is made again.", folder, error)
        if found is None:
            if locked:
                _remove_leftovers(folder)
            _require_room(folder.parent, needed_bytes)
            with Writer(folder) as writer:
                writer.finish(build(writer))
            found = _reopened(folder)
    return found


def _reopened(folder: Path) -> Stored:
    try:
        found = store.open_stored(folder)
    except DamagedError as error:
        raise OSError(errno.EIO, f"what was written there cannot be read: {error}") from error
    if found is None:
        raise OSError(errno.ENOENT, "it was deleted while it was made")
    return found


@dataclass(frozen=True)
class Entry:
    """A cache as `mvloc cache list` shows it; `notes` is empty where it is damaged or was left by an interruption."""

    name: str
    bytes: int
    notes: dict[str, Any]


def entries(place: Path) -> list[Entry]:
    """All caches in a folder, and what interrupted processes left there."""
    found = []
    for path in sorted(place.iterdir()) if place.is_dir() else []:
        if not path.is_dir() or not (KEY.fullmatch(path.name) or _LEFTOVER.fullmatch(path.name)):
            continue
        try:
            notes = store.read_contents(path)["notes"] if KEY.fullmatch(path.name) else {}
        except DamagedError:
            notes = {}
        found.append(Entry(path.name, _size(path), notes))
    return found


def clear(place: Path, names: list[str]) -> tuple[int, list[str]]:
    """Delete caches, all of them where no name is given; nothing else in the folder is touched.

    Returns the bytes that became free, and the names that stay because a process is making them.
    """
    freed, busy = 0, []
    for entry in entries(place):
        leftover = _LEFTOVER.fullmatch(entry.name)
        key = leftover[1] if leftover else entry.name
        if names and not {key, entry.name} & set(names):
            continue
        with _locked(place / key, wait=False) as locked:
            if not locked and (place / entry.name).exists():
                busy.append(entry.name)
                continue
            if leftover:
                shutil.rmtree(place / entry.name)
            else:
                store.remove(place / entry.name)
            freed += entry.bytes
    return freed, busy


@contextmanager
def _locked(folder: Path, wait: bool = True) -> Iterator[bool]:
    """Whether this process alone works on the cache; waits for another one to end."""
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
    """What killed processes left of this cache; whoever holds the lock is the only one that writes there."""
    for path in folder.parent.glob(f".{folder.name}.*"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)


def _require_room(place: Path, needed_bytes: int) -> None:
    free = shutil.disk_usage(place).free
    if free < needed_bytes:
        raise OSError(errno.ENOSPC, f"it needs {needed_bytes / 1e6:.0f} MB and {free / 1e6:.0f} MB are free")


def _size(folder: Path) -> int:
    try:
        return sum(path.stat().st_size for path in folder.iterdir())
    except OSError:  # another process is deleting it
        return 0
