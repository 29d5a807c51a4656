# SPDX-License-Identifier: Apache-2.0
"""What a long run has found so far, in a hidden folder beside its result, so that an interrupted one goes on there.

Views are not kept: they are read again from their images where they are needed, which takes a fraction of the time
that was spent on them. All else is stored as Python stores it, with its types; only types of this package and of NumPy
are loaded.
"""

from __future__ import annotations

import io
import json
import logging
import pickle
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mvloc_ros.file_reader import ReadError, read_file
from mvloc_ros.limits import MOST_KEPT_WORK_BYTES
from mvloc_ros.posing.errors import PosingError
from mvloc_ros.posing.view import View
from mvloc_ros.recordings import FrameRecord, RecordingError
from mvloc_ros.storage import StorageError, exclusive, write_file

_log = logging.getLogger(__name__)

ReadView = Callable[[FrameRecord], View]

KEEP_S = 20.0
"""How often something unfinished is written."""
_SOURCE_FILE = "source.json"
_OTHERS = {
    ("pathlib", "PosixPath"),
    ("pathlib", "WindowsPath"),
    ("pathlib._local", "PosixPath"),
    ("pathlib._local", "WindowsPath"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy.core.numeric", "_frombuffer"),
    ("numpy._core.numeric", "_frombuffer"),
}


class KeptWork:
    """The folder of one run that has begun."""

    def __init__(self, folder: Path) -> None:
        """Take a folder that only this process uses."""
        self._folder = folder
        self._kept_s = self._began_s = time.monotonic()
        self._before_s = float(self.load("seconds") or 0.0)

    @property
    def seconds(self) -> float:
        """That were spent, in earlier runs too."""
        return self._before_s + time.monotonic() - self._began_s

    def keep(self, name: str, value: object) -> None:
        """Keep a value by its name in the place of an earlier one. Raises StorageError."""
        for key, kept in ((name, value), ("seconds", self.seconds)):
            buffer = io.BytesIO()
            _Pickler(buffer, protocol=5).dump(kept)
            write_file(self._folder / f"{key}.pickle", buffer.getvalue(), durable=False)
        self._kept_s = time.monotonic()

    def is_due(self) -> bool:
        """Whether what is unfinished should be kept again."""
        return time.monotonic() - self._kept_s >= KEEP_S

    def load(self, name: str, read: ReadView | None = None) -> Any:
        """What was kept by that name; None if nothing was, or it cannot be loaded, so that it is found again.

        `read` reads the views in it, if there may be any.
        """
        path = self._folder / f"{name}.pickle"
        if not path.exists():
            return None
        try:
            return _Unpickler(io.BytesIO(read_file(path, MOST_KEPT_WORK_BYTES)), read).load()
        except (ReadError, pickle.UnpicklingError, EOFError, AttributeError, ImportError, IndexError, KeyError,
                TypeError, ValueError) as problem:  # fmt: skip
            _log.warning("%s cannot be used (%s): what it held is found again.", path, problem)
            return None


@contextmanager
def kept_work(out: Path, source: Mapping[str, Any]) -> Iterator[KeptWork]:
    """The work for a result at `out`; it goes away when the block ends, but not if that is interrupted.

    Args:
        out: where the result is to be.
        source: all that determines the work; what was kept of another source is deleted.

    Raises:
        StorageError: the folder cannot be written.
        InUseError: another process is at the same result.
    """
    target = out.expanduser().resolve()
    folder = target.with_name(f".{target.name}.partial")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with exclusive(folder):
            _begin(folder, json.dumps(source, sort_keys=True, indent=1) + "\n")
            try:
                yield KeptWork(folder)
            except (PosingError, RecordingError):
                shutil.rmtree(folder, ignore_errors=True)  # the same would happen again
                raise
            shutil.rmtree(folder)
    except StorageError:
        raise
    except OSError as error:
        raise StorageError(folder, error) from error


def _begin(folder: Path, source: str) -> None:
    stated = folder / _SOURCE_FILE
    kept = sorted(folder.glob("*.pickle"))
    if kept and stated.is_file() and stated.read_text(encoding="utf-8", errors="replace") == source:
        print(f"goes on with what an interrupted run left in {folder}")
        return
    if kept:
        print(f"starts anew: {folder} is of other recordings or options, and is deleted")
    for path in kept:
        path.unlink()
    write_file(stated, source, durable=False)


class _Pickler(pickle.Pickler):
    def persistent_id(self, value: Any) -> Any:
        return value.record if isinstance(value, View) else None


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, read: ReadView | None) -> None:
        super().__init__(file)
        self._read = read
        self._views: dict[tuple[str, int], View] = {}

    def persistent_load(self, pid: Any) -> View:
        if self._read is None or not isinstance(pid, FrameRecord):
            raise pickle.UnpicklingError("it has a view where none should be")
        key = pid.sequence, pid.index
        if key not in self._views:
            self._views[key] = self._read(pid)
        return self._views[key]

    def find_class(self, module: str, name: str) -> Any:
        found = None
        if (module, name) in _OTHERS or module.partition(".")[0] == "mvloc_ros":
            found = super().find_class(module, name)
        if (module, name) in _OTHERS or (isinstance(found, type) and found.__module__ == module):
            return found
        raise pickle.UnpicklingError(f"it holds a value of the type {module}.{name}")
