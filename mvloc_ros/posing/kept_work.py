# SPDX-License-Identifier: Apache-2.0
"""What a long run has found so far, in a hidden folder beside its result, so that an interrupted one goes on there.

Views are not kept: they are read again from their images where they are needed, which takes a fraction of the time
that was spent on them.
"""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mvloc_ros.file_reader import ReadError
from mvloc_ros.geometry.text_file import read_text
from mvloc_ros.limits import MOST_KEPT_WORK_BYTES
from mvloc_ros.posing.alignment import Aligned
from mvloc_ros.posing.base_odometry import BaseOdometry, Mount
from mvloc_ros.posing.errors import PosingError
from mvloc_ros.posing.imu_motion import ImuMotion, ImuMount
from mvloc_ros.posing.kept_values import Given, ReadView, text_of, value_of
from mvloc_ros.posing.loop_closures import Closure
from mvloc_ros.posing.tracks import Keyframe, Missed, Track, TrackedFrame
from mvloc_ros.posing.visual_odometry import VisualOdometry
from mvloc_ros.recordings import FrameRecord, RecordingError
from mvloc_ros.storage import StorageError, exclusive, write_file

_log = logging.getLogger(__name__)

KEEP_S = 20.0
"""How often something unfinished is written."""
_SOURCE_FILE = "source.json"
_TYPES: dict[str, type] = {
    kind.__name__: kind
    for kind in (
        Aligned,
        BaseOdometry,
        Closure,
        FrameRecord,
        ImuMotion,
        ImuMount,
        Keyframe,
        Missed,
        Mount,
        Track,
        TrackedFrame,
        VisualOdometry,
    )
}


class KeptWork:
    """The folder of one run that has begun."""

    def __init__(self, folder: Path, given: Given | None = None) -> None:
        """Take a folder that only this process uses, and what is stored by name alone."""
        self._folder, self._given = folder, given or {}
        self._kept_s = self._began_s = time.monotonic()
        self._before_s = float(self.load("seconds") or 0.0)

    @property
    def seconds(self) -> float:
        """That were spent, in earlier runs too."""
        return self._before_s + time.monotonic() - self._began_s

    def keep(self, name: str, value: object) -> None:
        """Keep a value by its name in the place of an earlier one. Raises StorageError."""
        for key, kept in ((name, value), ("seconds", self.seconds)):
            write_file(self._path(key), text_of(kept, _TYPES, self._given), durable=False)
        self._kept_s = time.monotonic()

    def is_due(self) -> bool:
        """Whether what is unfinished should be kept again."""
        return time.monotonic() - self._kept_s >= KEEP_S

    def load(self, name: str, read: ReadView | None = None) -> Any:
        """What was kept by that name; None if nothing was, or it cannot be loaded, so that it is found again.

        `read` reads the views in it, if there may be any.
        """
        path = self._path(name)
        if not path.exists():
            return None
        try:
            text = read_text(path, "kept work", most_bytes=MOST_KEPT_WORK_BYTES)
            return value_of(text, _TYPES, self._given, read)
        except (ReadError, ValueError) as problem:
            _log.warning("%s cannot be used (%s): what it held is found again.", path, problem)
            return None

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.kept.json"


@contextmanager
def kept_work(out: Path, source: Mapping[str, Any], given: Given | None = None) -> Iterator[KeptWork]:
    """The work for a result at `out`; it goes away when the block ends, but not if that is interrupted.

    Args:
        out: where the result is to be.
        source: all that determines the work; what was kept of another source is deleted.
        given: parts of the recordings, by names.

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
                yield KeptWork(folder, given)
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
    kept = sorted(folder.glob("*.kept.json"))
    if kept and stated.is_file() and stated.read_text(encoding="utf-8", errors="replace") == source:
        print(f"goes on with what an interrupted run left in {folder}")
        return
    if kept:
        print(f"starts from the beginning: what {folder} has is of other recordings or options, and is deleted")
    for path in kept:
        path.unlink()
    write_file(stated, source, durable=False)
