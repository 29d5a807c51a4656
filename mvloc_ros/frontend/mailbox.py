# SPDX-License-Identifier: Apache-2.0
"""A one-place mailbox and the threads that empty it: the newest frame is processed, older ones are dropped.

The executor's thread only puts. A frame is processed in two stages, both by one thread, so that it waits for no other
thread to wake up. Where the stages may run beside each other there are two such threads, and the one takes the next
frame when the other has begun the second stage of the one before. Each stage has one frame at a time, and frames leave
in the order in which they came. So at most two frames are in work, and the age of a published pose is bounded by two
processing times, however fast the camera is.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

WORKER = "mvloc_worker"
"""Name of the threads that process frames, also in `top -H`."""
_POLL_S = 0.1


class StagedWorker(Generic[T, R]):
    """Calls `first` with the newest item put, then `second` with what that returned, in a thread of its own."""

    def __init__(
        self,
        first: Callable[[T], R],
        second: Callable[[R], None],
        overlaps: Callable[[], bool] | None = None,
        name: str = WORKER,
    ) -> None:
        """Start the thread, or two.

        Args:
            first: called with each item, in the order in which they were put, by one thread at a time.
            second: called with each result of `first`, likewise. What either raises is logged and costs its item alone.
            overlaps: asked before each call of `second` whether `first` may be called with the next item meanwhile;
                None: never, and there is one thread.
            name: of the threads.
        """
        self._first, self._second = first, second
        self._overlaps = overlaps or (lambda: False)
        self._item: T | None = None
        self._stopping = self._is_first_busy = False
        self._pauses = 0
        self._begun: list[float] = []  # monotonic times at which the items in work were taken
        lock = threading.RLock()
        self._changed, self._is_idle = threading.Condition(lock), threading.Condition(lock)
        self._in_second = threading.Lock()
        # Daemons, since the interpreter waits for all others at its end, however long they take.
        self._threads = [
            threading.Thread(target=self._run, name=name, daemon=True) for _ in range(1 if overlaps is None else 2)
        ]
        for thread in self._threads:
            thread.start()

    def put(self, item: T) -> bool:
        """Leave an item for the worker; True if it replaced one that was still waiting."""
        with self._changed:
            replaced = self._item is not None
            self._item = item
            self._changed.notify()
        return replaced

    @property
    def is_alive(self) -> bool:
        """Whether a thread has not ended."""
        return any(thread.is_alive() for thread in self._threads)

    @property
    def working_for_s(self) -> float:
        """How long ago the oldest item in work was taken; 0 without one."""
        with self._changed:
            return time.monotonic() - min(self._begun) if self._begun else 0.0

    @contextmanager
    def paused(self, gives_up: Callable[[], bool]) -> Iterator[bool]:
        """Take no item while in the block; it begins when none is in work, or `gives_up`: the value tells which."""
        with self._changed:
            self._pauses += 1
            while self._begun and not gives_up():
                self._is_idle.wait(_POLL_S)
            is_idle = not self._begun
        try:
            yield is_idle
        finally:
            with self._changed:
                self._pauses -= 1
                self._changed.notify()

    def stop(self, most_s: float) -> bool:
        """Drop a waiting item and wait at most `most_s` seconds for those in work; whether all threads have ended."""
        until = time.monotonic() + most_s
        with self._changed:
            self._stopping = True
            self._item = None
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        return not self.is_alive

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopping or self._may_begin())
                if self._stopping:
                    return
                item, self._item = self._item, None
                self._is_first_busy = True
                began = time.monotonic()
                self._begun.append(began)
            assert item is not None
            self._process(item, began)
            del item  # its images go now, not when the next one comes

    def _may_begin(self) -> bool:
        return self._item is not None and not self._is_first_busy and not self._pauses

    def _process(self, item: T, began: float) -> None:
        has_left_first = False
        try:
            result = self._first(item)
            with self._in_second:  # two threads at most, so that those that wait for it are in order
                if self._overlaps():
                    self._leave_first()
                    has_left_first = True
                self._second(result)
        except Exception:
            logging.getLogger(__name__).exception("A frame could not be processed.")
        with self._changed:
            self._begun.remove(began)
            self._is_idle.notify_all()
        if not has_left_first:
            self._leave_first()

    def _leave_first(self) -> None:
        with self._changed:
            self._is_first_busy = False
            self._changed.notify()


class LatestWorker(StagedWorker[T, T]):
    """Calls `process` with the newest item put, in a thread of its own: one stage."""

    def __init__(self, process: Callable[[T], None], name: str = WORKER) -> None:
        """Start the thread `name`. `process` is called in it; what it raises is logged and costs its item alone."""
        super().__init__(lambda item: item, process, None, name)
