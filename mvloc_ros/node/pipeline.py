# SPDX-License-Identifier: Apache-2.0
"""The threads of the localization server: messages come in the executor's, frames are localized in the workers'.

Where poses are refined and there are cores for it, the network runs on the next frame while one is judged. Publishing
belongs to judging, so that what becomes of the frames is told in their order.

One pipeline lives from activate to deactivate, so its counters count one run.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from mvloc_ros.errors import MvlocError
from mvloc_ros.foreign_text import shown
from mvloc_ros.frontend.front_end import PairedFrame
from mvloc_ros.frontend.mailbox import StagedWorker
from mvloc_ros.limits import MOST_LOG_CHARACTERS
from mvloc_ros.model.frame import FrameError
from mvloc_ros.pipeline.localized import Localized
from mvloc_ros.pipeline.server import LocalizationServer, SeenFrame

STOP_S = 3.0
"""How long the end of a pipeline waits for the frame in work: the slowest network takes a share of it."""
_GIVE_UP_S = 1.0


@dataclass
class FrameCounts:
    """What became of the frames; each field is written by one thread at a time."""

    dropped_busy: int = 0
    dropped_failed: int = 0
    published: int = 0
    rejected: int = 0


@dataclass(frozen=True, eq=False)
class _InWork:
    """A frame that the network has seen, as it came and as it is now, and how long it waited for a worker."""

    paired: PairedFrame
    seen: SeenFrame
    wait_ms: float


# On two idle cores, which camera and listener use as well, two frames in work gave no more poses than one (29.6 and
# 29.2 a second of 30), and these were older by 13 ms (docs/performance.md).
_LEAST_CORES = 3


def may_overlap(threads: int) -> bool:
    """Whether two frames may be in work: not where few cores are all there is, or one is to be used (`threads`)."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores >= _LEAST_CORES and threads != 1


class Pipeline:
    """Owns the mailbox and the workers of one activation; feeds the server.

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
        overlaps: bool = False,
    ) -> None:
        """Start the workers.

        Args:
            make_server: makes what gets the messages and localizes the frames, of what is to get each frame.
            publish: called by a worker with each frame whose pose was accepted or rejected.
            report: called after that, when the frame is counted, with how long it waited in the mailbox and how long
                the verdict and publishing took (ms).
            on_failure: called by a worker with the frame that gave no pose and a sentence.
            overlaps: whether the network may run on a frame while the pose of the one before is refined.
        """
        self.enabled = True
        self._publish, self._report, self._on_failure = publish, report, on_failure
        self.counts = FrameCounts()
        self._gives_up_at, self._is_left_behind = float("inf"), False
        self._worker: StagedWorker[PairedFrame, _InWork] = StagedWorker(
            self._see, self._judge, (lambda: self.server.refines) if overlaps else None
        )
        self.server = make_server(self._put)

    def begin_to_end(self) -> None:
        """From now on nobody waits long for the frames in work; `stop` is to follow."""
        self._gives_up_at = time.monotonic() + _GIVE_UP_S

    def stop(self) -> bool:
        """Finish the frames in work and end the workers; False where one hangs and is left behind.

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
        """Wait for the frames in work and hold back the next one.

        Raises:
            FrameError: the pipeline is to end, and the frame in work does not.
        """
        with self._worker.paused(lambda: time.monotonic() > self._gives_up_at) as is_idle:
            if not is_idle:
                raise FrameError("The node was deactivated, and the frame in work has not ended.")
            yield

    @property
    def working_for_s(self) -> float:
        """For how long the oldest frame in work has been in work; 0 without one."""
        return self._worker.working_for_s

    def take_color(self, message: Any) -> None:
        """Take a colour message."""
        if self.enabled:
            self.server.front.take_color(message, time.monotonic())

    def take_depth(self, message: Any) -> None:
        """Take a depth message."""
        if self.enabled:
            self.server.front.take_depth(message, time.monotonic())

    def take_further(self, name: str, message: Any) -> None:
        """Take a message of a further sensor."""
        if self.enabled:
            self.server.front.take_further(name, message, time.monotonic())

    def tick(self) -> None:
        """Give out images whose partner does not come; to be called every `TICK_S`."""
        if self.enabled:
            self.server.front.tick(time.monotonic())

    def _put(self, paired: PairedFrame) -> None:
        if self._worker.put(paired):
            self.counts.dropped_busy += 1

    def _see(self, paired: PairedFrame) -> _InWork:
        wait_ms = 1e3 * (time.perf_counter() - paired.paired_time)
        return _InWork(paired, self.server.see(paired), wait_ms)

    def _judge(self, frame: _InWork) -> None:
        try:
            estimate = self.server.judge(frame.seen)
            if self._is_left_behind:
                return
            estimated = time.perf_counter()
            localized = self.server.place(frame.seen.paired, estimate)
            self._publish(localized)
            if localized.accepted:
                self.counts.published += 1
            else:
                self.counts.rejected += 1
            self._report(localized, frame.wait_ms, 1e3 * (time.perf_counter() - estimated))
        except MvlocError as error:
            self._fail(frame.paired, str(error))
        except Exception as error:  # one frame must not end the worker; a defect is named with its type
            text = shown(error, MOST_LOG_CHARACTERS)
            self._fail(frame.paired, f"Localizing a frame failed unexpectedly: {type(error).__name__}: {text}.")

    def _fail(self, paired: PairedFrame, reason: str) -> None:
        if not self._is_left_behind:
            self.counts.dropped_failed += 1
            self._on_failure(paired, reason)
