# SPDX-License-Identifier: Apache-2.0
"""Files from outside -> bytes: regular files only, of a bounded size, and where asked for, of one folder only.

A named pipe would block its reader forever, a device may never end, and a link in a folder from
elsewhere may point to any file of the user. The file is opened without blocking, checked by its descriptor, and only
then read, so that it cannot be exchanged in between.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from mvloc_ros.errors import MvlocError

_PART = 1 << 20
_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
    stat.S_IFSOCK: "a socket",
}


class ReadError(MvlocError, OSError):
    """A file cannot be read, or must not be.

    An OSError as well, so that callers with a better remedy handle it like other failures of the system; `strerror`
    is the reason in words.
    """

    def __init__(self, path: Path | str, reason: str) -> None:
        super().__init__(f"{path} cannot be read ({reason}).")
        self.strerror = reason


@contextmanager
def open_regular(path: Path | str, most_bytes: int | None = None, within: Path | None = None) -> Iterator[BinaryIO]:
    """A regular file, open for reading.

    Args:
        path: the file.
        most_bytes: the largest size that is accepted; None for files that are read in parts.
        within: the folder that the file must lie in once all links are followed; None: anywhere.

    Raises:
        ReadError: it is absent, not permitted, no regular file, too large, or outside of the folder.
    """
    path = Path(path)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        raise ReadError(path, getattr(error, "strerror", None) or str(error)) from error
    try:
        _require_regular(path, os.fstat(descriptor), most_bytes)
        if within is not None:
            _require_inside(path, os.fstat(descriptor), within)
        stream = os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise
    with stream:
        yield stream


def read_file(path: Path | str, most_bytes: int, within: Path | None = None) -> bytes:
    """The content of a regular file; arguments and errors as of `open_regular`."""
    with open_regular(path, most_bytes, within) as stream:
        # Python allocates all that is requested, so do not request the largest accepted size.
        wanted = min(os.fstat(stream.fileno()).st_size, most_bytes) + 1
        parts, count = list[bytes](), 0
        try:
            while count <= most_bytes and (part := stream.read(wanted)):  # it may grow meanwhile
                parts.append(part)
                count += len(part)
                if len(part) < wanted:
                    break
                wanted = _PART
        except OSError as error:
            raise ReadError(path, error.strerror or str(error)) from error
    if count > most_bytes:
        raise ReadError(path, f"it has more than {most_bytes} bytes")
    return parts[0] if len(parts) == 1 else b"".join(parts)


def digest_file(path: Path | str, most_bytes: int | None, within: Path | None = None) -> str:
    """SHA-256 of a regular file, in hexadecimal, read in parts; arguments and errors as of `open_regular`."""
    digest, count = hashlib.sha256(), 0
    with open_regular(path, most_bytes, within) as stream:
        try:
            while block := stream.read(_PART):
                digest.update(block)
                count += len(block)
                if most_bytes is not None and count > most_bytes:  # it grows meanwhile
                    raise ReadError(path, f"it has more than {most_bytes} bytes")
        except OSError as error:
            if isinstance(error, ReadError):
                raise
            raise ReadError(path, error.strerror or str(error)) from error
    return digest.hexdigest()


def _require_regular(path: Path, opened: os.stat_result, most_bytes: int | None) -> None:
    if not stat.S_ISREG(opened.st_mode):
        kind = _KINDS.get(stat.S_IFMT(opened.st_mode), "of another kind")
        raise ReadError(path, f"it is {kind}, not a regular file")
    if most_bytes is not None and opened.st_size > most_bytes:
        raise ReadError(path, f"it has {opened.st_size} bytes, at most {most_bytes} are accepted")


def _require_inside(path: Path, opened: os.stat_result, folder: Path) -> None:
    try:
        real = path.resolve(strict=True)
        same = os.stat(real, follow_symlinks=False)
        is_inside = real.is_relative_to(folder.resolve(strict=True))
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links, before Python 3.13
        raise ReadError(path, f"its location cannot be determined: {error}") from error
    if not is_inside or (same.st_dev, same.st_ino) != (opened.st_dev, opened.st_ino):
        raise ReadError(path, f"it is a link that points outside {folder}")
