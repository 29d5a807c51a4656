# SPDX-License-Identifier: Apache-2.0
"""Image messages in, pose estimates out: decode and pair in the caller's thread, localize in the worker's.

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
from mvloc_ros.inference.frame import ColorImage, DepthImage, Frame
from mvloc_ros.localization.localizer import Localizer, PoseEstimate
from mvloc_ros.node.messages import to_nanoseconds
from mvloc_ros.node.worker import LatestWorker
from mvloc_ros.sensors.decode import DecodeError, decode_color, decode_depth
from mvloc_ros.sensors.synchronizer import Synchronizer


@dataclass(frozen=True)
class Image:
    """A decoded image on its way to its partner."""

    content: ColorImage | DepthImage
    frame_id: str
    decode_ms: float


@dataclass(frozen=True)
class PairedFrame:
    """A frame in the mailbox, with the times (perf_counter, s) that its latency is counted from."""

    frame: Frame
    decode_ms: float
    callback_time: float
    paired_time: float


@dataclass
class Counts:
    """What became of the images; each field is written by one thread only."""

    color_invalid: int = 0
    depth_invalid: int = 0
    pairs: int = 0
    dropped_busy: int = 0
    dropped_failed: int = 0
    published: int = 0
    rejected: int = 0


class Pipeline:
    """Owns the synchronizer, the mailbox and the worker of one activation.

    Attributes:
        localizer: used by the worker alone; may be replaced `between_frames`.
        enabled: False takes no notice of images.
    """

    def __init__(
        self,
        localizer: Localizer,
        pose_of: str,
        tolerance_ns: int,
        queue_size: int,
        check_stamp: Callable[[str, int], None],
        publish: Callable[[PairedFrame, PoseEstimate], bool],
        report: Callable[[PairedFrame, PoseEstimate, float, float], None],
        on_problem: Callable[[str], None],
        on_failure: Callable[[PairedFrame, str], None],
    ) -> None:
        """Start the worker.

        Args:
            localizer: used by the worker's thread alone.
            pose_of: `color` or `depth`: whose stamp and frame the pose carries.
            tolerance_ns: largest difference of the stamps of a pair.
            queue_size: images that may wait for a partner.
            check_stamp: called by the feeding thread with the modality and the stamp of each image; raises
                DecodeError for one that cannot be used.
            publish: called by the worker with a frame and its pose; answers whether the pose was believed.
            report: called after that, when the frame is counted, with the frame, its pose, how long it waited in
                the mailbox and how long publishing took (ms).
            on_problem: called by the feeding thread with a sentence about an image that could not be used.
            on_failure: called by the worker with the frame that gave no pose and a sentence.
        """
        self.localizer = localizer
        self.enabled = True
        # A worker that is always busy would take a single lock again before anyone who waits for it wakes up.
        self._turnstile, self._in_frame = threading.Lock(), threading.Lock()
        self._check_stamp = check_stamp
        self._pose_of = pose_of
        self._publish, self._report = publish, report
        self._on_problem, self._on_failure = on_problem, on_failure
        self._callback_time = 0.0
        self.counts = Counts()
        self.last_pair_time: float | None = None
        self.synchronizer = Synchronizer(tolerance_ns, self._pair, queue_size)
        self._worker: LatestWorker[PairedFrame] = LatestWorker(self._localize, "mvloc_worker")

    def stop(self) -> None:
        """Finish the frame in work and end the worker."""
        self._worker.stop()

    @contextmanager
    def between_frames(self) -> Iterator[None]:
        """Wait for the frame in work and hold back the next one."""
        with self._turnstile, self._in_frame:
            yield

    def take_color(self, message: Any) -> None:
        """Decode and pair a colour image."""
        if not self.enabled:
            return
        self._callback_time = time.perf_counter()
        try:
            image = self._decode("colour", message, decode_color)
        except DecodeError as error:
            self.counts.color_invalid += 1
            self._on_problem(str(error))
            return
        self.synchronizer.add_color(to_nanoseconds(message.header.stamp), image)

    def take_depth(self, message: Any) -> None:
        """Decode and pair a depth image."""
        if not self.enabled:
            return
        self._callback_time = time.perf_counter()
        try:
            image = self._decode("depth", message, decode_depth)
        except DecodeError as error:
            self.counts.depth_invalid += 1
            self._on_problem(str(error))
            return
        self.synchronizer.add_depth(to_nanoseconds(message.header.stamp), image)

    def _decode(self, modality: str, message: Any, decoder: Callable[[Any], ColorImage | DepthImage]) -> Image:
        self._check_stamp(modality, to_nanoseconds(message.header.stamp))
        content = decoder(message)
        return Image(content, message.header.frame_id, 1e3 * (time.perf_counter() - self._callback_time))

    def _pair(self, color_ns: int, color: Image, depth_ns: int, depth: Image) -> None:
        self.counts.pairs += 1
        self.last_pair_time = time.monotonic()
        carrier, stamp_ns = (color, color_ns) if self._pose_of == "color" else (depth, depth_ns)
        assert isinstance(color.content, ColorImage)
        assert isinstance(depth.content, DepthImage)
        frame = Frame(stamp_ns, carrier.frame_id, color.content, depth.content, depth_ns - color_ns)
        paired = PairedFrame(frame, color.decode_ms + depth.decode_ms, self._callback_time, time.perf_counter())
        if self._worker.put(paired):
            self.counts.dropped_busy += 1

    def _localize(self, paired: PairedFrame) -> None:
        with self._turnstile:
            pass
        with self._in_frame:
            self._localize_one(paired)

    def _localize_one(self, paired: PairedFrame) -> None:
        wait_ms = 1e3 * (time.perf_counter() - paired.paired_time)
        try:
            estimate = self.localizer.process(paired.frame)
            localized = time.perf_counter()
            if self._publish(paired, estimate):
                self.counts.published += 1
            else:
                self.counts.rejected += 1
            self._report(paired, estimate, wait_ms, 1e3 * (time.perf_counter() - localized))
        except MvlocError as error:
            self.counts.dropped_failed += 1
            self._on_failure(paired, str(error))
        except Exception as error:  # one frame must not end the worker; a defect is named with its type
            self.counts.dropped_failed += 1
            self._on_failure(paired, f"Localizing a frame failed unexpectedly: {type(error).__name__}: {error}.")
