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

WORKER = "mvloc_worker"
"""Name of the threads that process frames, also in `top -H`."""


class LatestWorker(Generic[T]):
    """Calls `process` with the newest item put, in a thread of its own."""

    def __init__(self, process: Callable[[T], None], name: str = WORKER) -> None:
        """Start the thread `name`. `process` is called in it; what it raises is logged and costs its item alone."""
        self._process = process
        self._item: T | None = None
        self._stopping = False
        self._changed = threading.Condition()
        # A daemon, since the interpreter waits for all others at its end, however long they take.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, item: T) -> bool:
        """Leave an item for the worker; True if it replaced one that was still waiting."""
        with self._changed:
            replaced = self._item is not None
            self._item = item
            self._changed.notify()
        return replaced

    @property
    def is_alive(self) -> bool:
        """Whether the thread has not ended."""
        return self._thread.is_alive()

    def stop(self, most_s: float) -> bool:
        """Drop a waiting item and wait at most `most_s` seconds for the one in work; whether the thread has ended."""
        with self._changed:
            self._stopping = True
            self._item = None
            self._changed.notify()
        self._thread.join(most_s)
        return not self._thread.is_alive()

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
            del item  # its images go now, not when the next one comes
