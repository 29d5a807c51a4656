# SPDX-License-Identifier: Apache-2.0
"""The names of the maps in `models_folder`, for the diagnostics.

The folder is looked at in a thread of its own, as it may lie where reading takes long or does not end.
"""

from __future__ import annotations

import threading
import time

from mvloc_ros.errors import MvlocError
from mvloc_ros.model.named_maps import read_map_folder

PERIOD_S = 10.0


class AvailableMaps:
    """Of one configuration; used by the executor's thread.

    Attributes:
        in_words: the names of the maps, or why they are not known; empty without a folder.
    """

    def __init__(self, folder: str) -> None:
        """Name the folder, which may be empty; nothing is read before `look`."""
        self._folder = folder
        self._looked_s = float("-inf")
        self._thread: threading.Thread | None = None
        self.in_words = "not looked at yet" if folder else ""

    def look(self) -> None:
        """Look again if that is due; returns at once."""
        is_busy = self._thread is not None and self._thread.is_alive()
        if not self._folder or is_busy or time.monotonic() - self._looked_s < PERIOD_S:
            return
        self._looked_s = time.monotonic()
        self._thread = threading.Thread(target=self._read, name="mvloc_maps", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        try:
            self.in_words = read_map_folder(self._folder).in_words
        except MvlocError as error:
            self.in_words = str(error)
