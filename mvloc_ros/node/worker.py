# SPDX-License-Identifier: Apache-2.0
"""A one-place mailbox and the thread that empties it: the newest frame is processed, older ones are dropped.

The executor's thread only puts; the worker's thread alone touches the backend. The age of a published
pose is therefore bounded by two processing times, however fast the camera is.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class LatestWorker(Generic[T]):
    """Calls `process` with the newest item put, in a thread of its own."""

    def __init__(self, process: Callable[[T], None], name: str) -> None:
        """Start the thread.

        Args:
            process: called in the worker's thread; what it raises is logged and costs its item alone.
            name: of the thread, for debuggers and `top -H`.
        """
        self._process = process
        self._item: T | None = None
        self._stopping = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name=name)
        self._thread.start()

    def put(self, item: T) -> bool:
        """Leave an item for the worker; True if it replaced one that was still waiting."""
        with self._changed:
            replaced = self._item is not None
            self._item = item
            self._changed.notify()
        return replaced

    def stop(self) -> None:
        """Let the item in work finish, drop a waiting one, and join the thread."""
        with self._changed:
            self._stopping = True
            self._item = None
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopping or self._item is not None)
                if self._stopping:
                    return
                item, self._item = self._item, None
            assert item is not None
            try:
                self._process(item)
            except Exception:
                logging.getLogger(__name__).exception("A frame could not be processed.")
