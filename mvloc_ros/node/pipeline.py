# SPDX-License-Identifier: Apache-2.0
"""The threads of the localization server: messages come in the executor's, frames are localized in the worker's.

One pipeline lives from activate to deactivate, so its counters count one run.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from mvloc_ros.errors import MvlocError
from mvloc_ros.foreign_text import shown
from mvloc_ros.frontend.front_end import PairedFrame
from mvloc_ros.frontend.mailbox import LatestWorker
from mvloc_ros.limits import MOST_LOG_CHARACTERS
from mvloc_ros.model.frame import FrameError
from mvloc_ros.pipeline.localized import Localized
from mvloc_ros.pipeline.server import LocalizationServer

STOP_S = 3.0
"""How long the end of a pipeline waits for the frame in work: the slowest network takes a share of it."""
_GIVE_UP_S, _POLL_S = 1.0, 0.1


@dataclass
class FrameCounts:
    """What became of the frames; each field is written by one thread only."""

    dropped_busy: int = 0
    dropped_failed: int = 0
    published: int = 0
    rejected: int = 0


class Pipeline:
    """Owns the mailbox and the worker of one activation; feeds the server.

    Attributes:
        enabled: False takes no notice of images.
        server: gets the messages and localizes the frames.
        counts: what became of the frames.
    """

    def __init__(
        self,
        make_server: Callable[[Callable[[PairedFrame], None]], LocalizationServer],
        publish: Callable[[Localized], None],
        report: Callable[[Localized, float, float], None],
        on_failure: Callable[[PairedFrame, str], None],
    ) -> None:
        """Start the worker.

        Args:
            make_server: makes what gets the messages and localizes the frames, of what is to get each frame.
            publish: called by the worker with each frame whose pose was accepted or rejected.
            report: called after that, when the frame is counted, with how long it waited in the mailbox and how long
                the verdict and publishing took (ms).
            on_failure: called by the worker with the frame that gave no pose and a sentence.
        """
        self.enabled = True
        # A worker that is always busy would take a single lock again before anyone who waits for it wakes up.
        self._turnstile, self._in_frame = threading.Lock(), threading.Lock()
        self._publish, self._report, self._on_failure = publish, report, on_failure
        self.counts = FrameCounts()
        self._work_began: float | None = None
        self._gives_up_at, self._is_left_behind = float("inf"), False
        self._worker: LatestWorker[PairedFrame] = LatestWorker(self._localize)
        self.server = make_server(self._put)

    def begin_to_end(self) -> None:
        """From now on nobody waits long for the frame in work; `stop` is to follow."""
        self._gives_up_at = time.monotonic() + _GIVE_UP_S

    def stop(self) -> bool:
        """Finish the frame in work and end the worker; False where it hangs and is left behind.

        A frame that is left behind publishes nothing any more, should it ever end.
        """
        self.begin_to_end()
        has_ended = self._worker.stop(STOP_S)
        self._is_left_behind = not has_ended
        return has_ended

    @property
    def is_stuck(self) -> bool:
        """Whether a frame was left behind and is still in work: it uses the localizer and its backend."""
        return self._is_left_behind and self._worker.is_alive

    @contextmanager
    def between_frames(self) -> Iterator[None]:
        """Wait for the frame in work and hold back the next one.

        Raises:
            FrameError: the pipeline is to end, and the frame in work does not.
        """
        with self._held(self._turnstile), self._held(self._in_frame):
            yield

    @contextmanager
    def _held(self, lock: threading.Lock) -> Iterator[None]:
        while not lock.acquire(timeout=_POLL_S):
            if time.monotonic() > self._gives_up_at:
                raise FrameError("The node was deactivated, and the frame in work has not ended.")
        try:
            yield
        finally:
            lock.release()

    @property
    def working_for_s(self) -> float:
        """For how long the worker has had the frame in work; 0 without one."""
        began = self._work_began
        return 0.0 if began is None else time.monotonic() - began

    def take_color(self, message: Any) -> None:
        """Take a colour message."""
        if self.enabled:
            self.server.front.take_color(message, time.monotonic())

    def take_depth(self, message: Any) -> None:
        """Take a depth message."""
        if self.enabled:
            self.server.front.take_depth(message, time.monotonic())

    def tick(self) -> None:
        """Give out images whose partner does not come; to be called every `TICK_S`."""
        if self.enabled:
            self.server.front.tick(time.monotonic())

    def _put(self, paired: PairedFrame) -> None:
        if self._worker.put(paired):
            self.counts.dropped_busy += 1

    def _localize(self, paired: PairedFrame) -> None:
        with self._turnstile:
            pass
        with self._in_frame:
            self._work_began = time.monotonic()
            try:
                self._localize_one(paired)
            finally:
                self._work_began = None

    def _localize_one(self, paired: PairedFrame) -> None:
        wait_ms = 1e3 * (time.perf_counter() - paired.paired_time)
        try:
            paired, estimate = self.server.estimate(paired)
            if self._is_left_behind:
                return
            estimated = time.perf_counter()
            localized = self.server.place(paired, estimate)
            self._publish(localized)
            if localized.accepted:
                self.counts.published += 1
            else:
                self.counts.rejected += 1
            self._report(localized, wait_ms, 1e3 * (time.perf_counter() - estimated))
        except MvlocError as error:
            self._fail(paired, str(error))
        except Exception as error:  # one frame must not end the worker; a defect is named with its type
            text = shown(error, MOST_LOG_CHARACTERS)
            self._fail(paired, f"Localizing a frame failed unexpectedly: {type(error).__name__}: {text}.")

    def _fail(self, paired: PairedFrame, reason: str) -> None:
        if not self._is_left_behind:
            self.counts.dropped_failed += 1
            self._on_failure(paired, reason)
