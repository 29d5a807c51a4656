# SPDX-License-Identifier: Apache-2.0
"""A one-place mailbox and the threads that empty it: the newest frame is processed, older ones are dropped.

The executor's thread only puts. A frame is processed in two stages, both by one thread, so that it waits for no other
thread to wake up. Where the stages may run beside each other there are two such threads, and the one takes the next
frame when the other has begun the second stage of the one before. Each stage has one frame at a time, and frames leave
in the order in which they came. So at most two frames are in work, and the age of a published pose is bounded by two
processing times, however fast the camera is. A frame that would only wait for its second stage is not begun yet: where
frames come faster than they can be processed, a newer one may come until then.
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
# By how much of the difference an expected time follows the measured ones.
_FOLLOW = 0.25


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
        self._first_s = self._second_s = 0.0  # what the stages take, as of late
        self._second_began: float | None = None  # monotonic time; None while nothing is in the second stage
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
        while (taken := self._take()) is not None:
            item, began = taken
            self._process(item, began)
            del item, taken  # its images go now, not when the next one comes

    def _take(self) -> tuple[T, float] | None:
        """The newest item, once it is its turn, and the monotonic time then; None if the worker is to end."""
        with self._changed:
            while not self._stopping:
                now = time.monotonic()
                wait_s = self._wait_s(now)
                if wait_s == 0.0 and self._item is not None:
                    item, self._item = self._item, None
                    self._is_first_busy = True
                    self._begun.append(now)
                    return item, now
                self._changed.wait(wait_s)
            return None

    def _wait_s(self, now: float) -> float | None:
        """How long to wait before an item is begun, if nothing changes; None: until something does."""
        if self._item is None or self._is_first_busy or self._pauses:
            return None
        if self._second_began is None:
            return 0.0
        # In time to be ready when the item before it is.
        return max(0.0, self._second_began + self._second_s - self._first_s - now)

    def _process(self, item: T, began: float) -> None:
        has_left_first = False
        try:
            result = self._first(item)
            ready = time.monotonic()
            with self._in_second:  # two threads at most, so that those that wait for it are in order
                self._enter_second(ready - began)
                if self._overlaps():
                    self._leave_first()
                    has_left_first = True
                try:
                    self._second(result)
                finally:
                    self._leave_second()
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

    def _enter_second(self, first_s: float) -> None:
        with self._changed:
            self._first_s += _FOLLOW * (first_s - self._first_s)
            self._second_began = time.monotonic()

    def _leave_second(self) -> None:
        with self._changed:
            assert self._second_began is not None
            self._second_s += _FOLLOW * (time.monotonic() - self._second_began - self._second_s)
            self._second_began = None
            self._changed.notify()


class LatestWorker(StagedWorker[T, T]):
    """Calls `process` with the newest item put, in a thread of its own: one stage."""

    def __init__(self, process: Callable[[T], None], name: str = WORKER) -> None:
        """Start the thread `name`. `process` is called in it; what it raises is logged and costs its item alone."""
        super().__init__(lambda item: item, process, None, name)
