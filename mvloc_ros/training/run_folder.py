# SPDX-License-Identifier: Apache-2.0
"""The run folder: creation, and a lock so that only one training writes to it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mvloc_ros.storage import exclusive
from mvloc_ros.training.errors import TrainingError
from mvloc_ros.training.processes import Processes


@contextmanager
def run_to_write(folder: Path, processes: Processes) -> Iterator[None]:
    """Create and lock a run folder; the main process does so for all processes of a training.

    A new folder that stays empty is removed.

    Raises:
        InUseError: another process trains there.
        TrainingError: the folder cannot be created.
    """
    if not processes.is_main:
        yield
        return
    is_new = not folder.exists()
    make_run_folder(folder)
    try:
        with exclusive(folder):
            yield
    finally:
        if is_new:
            with contextlib.suppress(OSError):  # not empty
                folder.rmdir()


def make_run_folder(folder: Path) -> None:
    """Create a run folder if it is missing; TrainingError if that fails."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainingError(
            f"The run folder {folder} cannot be created ({error.strerror}); give another --out."
        ) from error
