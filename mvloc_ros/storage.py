# SPDX-License-Identifier: Apache-2.0
"""Files and folders that are whole or absent, and folders that one process at a time changes.

What is written goes under a name of its own next to the target (opened with O_EXCL and O_NOFOLLOW, so that no link
that was left there is followed), reaches the disk, and takes the target's name at the end. A writer holds a
lock (flock) on what it is writing, so that the next writer of the same name can tell what a killed process left
from what a running one needs, and removes it.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import logging
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mvloc_ros.errors import MvlocError

_log = logging.getLogger(__name__)

_FILE, _FOLDER, _OLD = "part", "staging", "old"
# Between making a temporary and locking it a writer is unprotected: where another one took it for a killed one's and
# removes it, it makes the next.
_TRIES = 100
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
_NO_EXCHANGE = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP)
_NO_LOCKS = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.ENOLCK, errno.EBADF)  # EBADF: folders on NFS
_NO_SYNC = (errno.EINVAL, errno.ENOTSUP)
_held: set[tuple[int, int]] = set()


class StorageError(MvlocError, OSError):
    """A file or folder cannot be written; the old one, if any, is still there.

    An OSError as well, so that callers with a better remedy handle both alike; `strerror` is the system's reason.
    """

    def __init__(self, path: Path, error: OSError) -> None:
        reason = error.strerror or str(error)
        super().__init__(f"{path} cannot be written ({reason}): check the permissions and the disk's space.")
        self.strerror = reason


class InUseError(MvlocError):
    """Another process is changing the same folder."""


def write_file(path: Path | str, content: bytes | str, *, durable: bool = True) -> None:
    """Write a file whole or not at all; text is UTF-8.

    Args:
        path: the file; a symbolic link of that name is replaced, not followed.
        content: all of it.
        durable: wait until it is on the disk and remove what killed writers left; False for the many files of a
            folder that is given its name at the end.

    Raises:
        StorageError: the folder cannot be written or the disk is full; the old file stays.
    """
    data = content.encode() if isinstance(content, str) else content
    with replacing(path, durable=durable) as temporary, temporary.open("r+b") as stream:
        stream.write(data)


@contextmanager
def replacing(path: Path | str, *, durable: bool = True) -> Iterator[Path]:
    """A temporary file to be written by the block, which takes the name `path` when the block ends without error.

    Raises:
        StorageError: as `write_file`; so is an OSError inside the block.
    """
    path, temporary = Path(path), Path()
    descriptor = -1
    try:
        if durable:
            remove_leftovers(path)
        temporary, descriptor = _made_and_locked(path, _FILE)
        yield temporary
        if durable:
            os.fsync(descriptor)
        os.replace(temporary, path)
        if durable:
            sync_folder(path.parent)
    except OSError as error:
        raise StorageError(path, error) from error
    finally:
        if descriptor >= 0:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            os.close(descriptor)


@contextmanager
def staging_folder(path: Path | str) -> Iterator[Path]:
    """A new folder next to `path`, for `replace_folder`; what is left of it at the end is removed.

    Where `path` is a symbolic link, it is next to the folder that the link points to.

    Raises:
        StorageError: the folder cannot be made.
    """
    path = Path(path).resolve()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(path)
        staging, descriptor = _made_and_locked(path, _FOLDER)
    except OSError as error:
        raise StorageError(path, error) from error
    try:
        yield staging
    finally:
        os.close(descriptor)
        shutil.rmtree(staging, ignore_errors=True)


def replace_folder(new: Path, path: Path) -> None:
    """Give the folder `new` the name `path`; what had that name is deleted afterwards.

    Both lie on one file system. A symbolic link stays, and the folder that it leads to is replaced. Raises OSError
    where that cannot be done; then, and after an interruption, the old folder is where it was. A process that is
    killed leaves the old or the new one, but for file systems that cannot exchange two names in one step: there
    `recover_folder` finds the old one again.
    """
    path = path.resolve()
    sync_tree(new)
    if not _rename_to_free(new, path):
        if not path.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
        if _exchange(new, path):
            shutil.rmtree(new, ignore_errors=True)
        else:
            _replace_in_two_steps(new, path)
    sync_folder(path.parent)


def recover_folder(path: Path) -> bool:
    """Put a folder back that `replace_folder` moved aside when its process was killed; whether a folder is there."""
    path = path.resolve()
    if path.exists():
        return path.is_dir()
    for aside in sorted(path.parent.glob(f".{_escaped(path.name)}.*.{_OLD}")):
        with _held_if_free(aside) as is_free, contextlib.suppress(OSError):  # another process was faster
            if is_free and (aside / path.name).is_dir():
                os.rename(aside / path.name, path)
                shutil.rmtree(aside, ignore_errors=True)
                _log.warning("%s was put back: a process that replaced it was killed.", path)
    return path.is_dir()


def remove_leftovers(path: Path) -> None:
    """Remove what killed writers of `path` left next to it; nothing that a running one holds."""
    _remove_leftovers(path.parent, re.escape(path.name), f".{_escaped(path.name)}.*")


def remove_leftovers_in(folder: Path) -> None:
    """Remove what killed writers left in a folder, whatever they were writing."""
    _remove_leftovers(folder, ".+?", ".*")


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Let no other process change a folder (a bundle, a run) while the block runs; readers are not kept out.

    The lock is on the folder itself: it ends with its process and leaves no file. Where the file system has no locks
    the block runs without. A process that has the folder already may take it again.

    Raises:
        InUseError: another process has it.
        OSError: there is no such folder.
    """
    descriptor = _open_locked(folder)
    if descriptor is None:
        yield
        return
    found = os.fstat(descriptor)
    identity = found.st_dev, found.st_ino
    _held.add(identity)
    try:
        yield
    finally:
        _held.discard(identity)
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Wait until a folder's list of names is on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Wait until a folder and all files in it are on the disk."""
    for root, _, names in os.walk(folder):
        for name in names:
            path = Path(root) / name
            if path.is_file() and not path.is_symlink():
                sync_folder(path)  # fsync of a file is the same call
        sync_folder(Path(root))


def _remove_leftovers(folder: Path, name: str, pattern: str) -> None:
    ours = re.compile(rf"\.({name})\.[0-9a-f]{{16}}\.({_FILE}|{_FOLDER}|{_OLD})")
    for found in folder.glob(pattern):
        kind = ours.fullmatch(found.name)
        if kind is None or (kind[2] == _OLD and not (folder / kind[1]).exists()):
            continue  # without the new folder, the old one is all that there is
        with _held_if_free(found) as is_free, contextlib.suppress(OSError):  # another user's leftover does no harm
            if is_free and kind[2] == _FILE:
                found.unlink(missing_ok=True)
            elif is_free:
                shutil.rmtree(found, ignore_errors=True)


def _made_and_locked(path: Path, kind: str) -> tuple[Path, int]:
    """A new file or folder next to `path`, and the descriptor that holds its lock."""
    for _ in range(_TRIES):
        temporary = _beside(path, kind)
        if kind == _FILE:
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(temporary, flags, 0o666)
        else:
            temporary.mkdir()
            try:
                descriptor = os.open(temporary, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
        if _lock(descriptor) is not False and _is_at(descriptor, temporary):
            return temporary, descriptor
        os.close(descriptor)
    raise OSError(errno.EAGAIN, "another process removes what is written", str(path))


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether an open file or folder still has that name."""
    try:
        now, mine = os.stat(path, follow_symlinks=False), os.fstat(descriptor)
    except FileNotFoundError:
        return False
    return (now.st_dev, now.st_ino) == (mine.st_dev, mine.st_ino)


def _open_locked(folder: Path) -> int | None:
    """A descriptor that holds the folder's lock; None where this process has it, or the file system has no locks."""
    while True:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            mine = os.fstat(descriptor)
            if (mine.st_dev, mine.st_ino) in _held:
                os.close(descriptor)
                return None
            if _lock(descriptor) is False:
                raise InUseError(
                    f"{folder} is in use by {_holder(mine)}: wait until it has ended, or choose another folder."
                )
            now = os.stat(folder)
        except BaseException:
            os.close(descriptor)
            raise
        if (now.st_dev, now.st_ino) == (mine.st_dev, mine.st_ino):
            return descriptor
        os.close(descriptor)  # the folder was replaced in between


def _lock(descriptor: int) -> bool | None:
    """Take the lock of an open file or folder; False if another process has it, None where there are no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        return None
    return True


def _holder(found: os.stat_result) -> str:
    """The process that holds the lock of a folder, if Linux shows it."""
    place = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    with contextlib.suppress(OSError, IndexError, ValueError):
        for line in Path("/proc/locks").read_text(encoding="ascii").splitlines():
            words = line.split()
            if "FLOCK" in words and place in words:
                process = int(words[words.index(place) - 1])
                command = Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
                text = " ".join(b" ".join(command).decode(errors="replace").split())
                return f"process {process} ({text[:120]})"
    return "another process"


@contextmanager
def _held_if_free(path: Path) -> Iterator[bool]:
    """Whether no process held a temporary, so that a killed one left it; while the block runs this one holds it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        yield False
        return
    try:
        yield _lock(descriptor) is True  # without locks this is unknown, and it stays
    finally:
        os.close(descriptor)


def _rename_to_free(new: Path, path: Path) -> bool:
    """Give a folder a name that nothing has, or an empty folder; False where something has it."""
    try:
        os.rename(new, path)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise
        return False
    return True


def _exchange(first: Path, second: Path) -> bool:
    """Exchange two names in one step; False where the system cannot."""
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):
        return False
    if renameat2(_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), _RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in _NO_EXCHANGE:
        return False
    raise OSError(number, os.strerror(number), str(second))


def _replace_in_two_steps(new: Path, path: Path) -> None:
    aside, descriptor = _made_and_locked(path, _OLD)  # so that it is not taken for a killed process's between the steps
    old = aside / path.name
    try:
        os.rename(path, old)
        os.rename(new, path)
    except BaseException:
        if old.exists() and not path.exists():
            os.rename(old, path)
        raise
    finally:
        os.close(descriptor)
        if path.exists():
            shutil.rmtree(aside, ignore_errors=True)


def _beside(path: Path, kind: str) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}.{kind}")


def _escaped(name: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", name)
