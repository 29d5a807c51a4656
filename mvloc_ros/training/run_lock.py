# SPDX-License-Identifier: Apache-2.0
"""One training at a time writes to a run folder."""

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
    """Make a run folder and let no other command train in it; the main process does so for all that train together.

    A folder that was made for nothing goes away again.

    Raises:
        InUseError: another process trains there.
        TrainingError: the folder cannot be made.
    """
    if not processes.is_main:
        yield
        return
    is_new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainingError(f"{folder} cannot be a run folder ({error.strerror}); give another --out.") from error
    try:
        with exclusive(folder):
            yield
    finally:
        if is_new:
            with contextlib.suppress(OSError):  # it holds a run
                folder.rmdir()
