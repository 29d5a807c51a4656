# SPDX-License-Identifier: Apache-2.0
"""A folder of results that a command writes whole, in the place of an earlier one of its own and of nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path

from mvloc_ros.errors import MvlocError
from mvloc_ros.foreign_text import shown
from mvloc_ros.storage import StorageError, exclusive, replace_folder, staging_folder, write_file


class OutputFolderError(MvlocError):
    """The folder holds something else than earlier results."""


def require_usable(out: Path, what: str, is_own: Callable[[str], bool]) -> None:
    """Refuse a folder that holds anything but earlier results.

    Args:
        out: the folder; it need not exist.
        what: the results, for the sentence.
        is_own: whether a file name is one of the results.

    Raises:
        OutputFolderError: it holds something else, or is no folder.
        StorageError: it cannot be read.
    """
    out = out.expanduser()
    try:
        there = [path.name for path in out.iterdir()] if out.is_dir() else []
        is_other = out.exists() and not out.is_dir()
    except OSError as error:
        raise StorageError(out, error) from error
    if is_other or not all(is_own(name) for name in there):
        raise OutputFolderError(f"{shown(out, 200)} exists and is no folder of {what}; choose another one.")


def write_results(out: Path, files: Mapping[str, bytes | str], what: str, is_own: Callable[[str], bool]) -> None:
    """Write the folder whole or not at all; earlier results are replaced.

    Args:
        out: the folder.
        files: content by file name.
        what: the results, for the sentence.
        is_own: as for `require_usable`.

    Raises:
        OutputFolderError: the folder holds something else.
        StorageError: it cannot be written.
    """
    out = out.expanduser()
    require_usable(out, what, is_own)
    try:
        with staging_folder(out) as staging:
            for name, content in files.items():
                write_file(staging / name, content, durable=False)
            with exclusive(out) if out.is_dir() else nullcontext():
                require_usable(out, what, is_own)
                replace_folder(staging, out)
    except StorageError:
        raise
    except OSError as error:
        raise StorageError(out, error) from error
