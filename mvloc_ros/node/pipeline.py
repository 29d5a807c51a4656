# SPDX-License-Identifier: Apache-2.0
"""Image messages in, pose estimates out: pair in the caller's thread, localize in the worker's.

Images that are read in place are decoded when they come; what takes work (JPEG, PNG, RVL, clouds) is decoded by the
worker, and only if the frame is processed at all. An image that cannot be decoded there costs its modality alone.

One pipeline lives from activate to deactivate, so its counters count one run.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from mvloc_ros.errors import MvlocError
from mvloc_ros.foreign_text import shown
from mvloc_ros.inference.frame import ColorImage, DepthImage, Frame, FrameError
from mvloc_ros.limits import MOST_CAMERA_FRAMES, MOST_LOG_CHARACTERS
from mvloc_ros.localization.estimate import PoseEstimate
from mvloc_ros.localization.localizer import Localizer, Odometry
from mvloc_ros.localization.tracker import Tracker
from mvloc_ros.node.messages import require_frame, require_stamp, to_nanoseconds
from mvloc_ros.node.worker import LatestWorker
from mvloc_ros.sensors.decode import DecodeError, decode_color, decode_depth
from mvloc_ros.sensors.single_modality import COLOR, DEPTH, SingleModality
from mvloc_ros.sensors.synchronizer import Synchronizer

TICK_S = 0.1
STOP_S = 3.0
"""How long the end of a pipeline waits for the frame in work: the slowest network takes a share of it."""
_GIVE_UP_S, _POLL_S = 1.0, 0.1


Content = ColorImage | DepthImage
Reader = Callable[[Any], Content | Callable[[], Content]]
"""Message -> content, or what makes the content in the worker's thread; raises DecodeError."""
_WORDS = {COLOR: "colour", DEPTH: "depth"}
_MISSING = {COLOR: "depth", DEPTH: "colour"}


@dataclass(frozen=True)
class Image:
    """An image on its way to its partner."""

    content: Content | Callable[[], Content]
    frame_id: str
    decode_ms: float


@dataclass(frozen=True)
class PairedFrame:
    """A frame in the mailbox, with the times (perf_counter, s) that its latency is counted from.

    Attributes:
        stamp_ns, frame_id, pair_skew_ns: see `Frame`.
        images: modality -> the image, or what is yet to read it.
        decode_ms: of the images that are read.
        remark: why an image is missing, in words.
    """

    stamp_ns: int
    frame_id: str
    pair_skew_ns: int
    images: Mapping[str, Content | Callable[[], Content]]
    decode_ms: float
    callback_time: float
    paired_time: float
    remark: str = ""


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
    single: int = 0
    undecodable: int = 0  # found by the worker: the frame goes on without the image, or is dropped_failed


class Pipeline:
    """Owns the synchronizer, the mailbox and the worker of one activation.

    Attributes:
        localizer: used by the worker alone; may be replaced `between_frames`.
        enabled: False takes no notice of images.
        carrier_frame: optical frame of the camera whose pose the model gives; empty until an image tells it.
        explain_missing: tells for `colour` or `depth` why its images do not come.
    """

    def __init__(
        self,
        localizer: Localizer,
        tracker: Tracker,
        pose_of: str,
        tolerance_ns: int,
        queue_size: int,
        check_stamp: Callable[[str, int], None],
        publish: Callable[[PairedFrame, PoseEstimate], bool],
        report: Callable[[PairedFrame, PoseEstimate, float, float], None],
        on_problem: Callable[[str, str], None],
        on_failure: Callable[[PairedFrame, str], None],
        *,
        odometry: Odometry,
        read_color: Reader = decode_color,
        read_depth: Reader = decode_depth,
        single_wait_s: float = 0.0,
    ) -> None:
        """Start the worker.

        Args:
            localizer: used by the worker's thread alone.
            tracker: tells the localizer where the camera is expected.
            pose_of: `color` or `depth`: whose stamp and frame the pose carries.
            tolerance_ns: largest difference of the stamps of a pair.
            queue_size: images that may wait for a partner.
            check_stamp: called by the feeding thread with the modality and the stamp of each image; raises
                DecodeError for one that cannot be used.
            publish: called by the worker with a frame and its pose; answers whether the pose was accepted.
            report: called after that, when the frame is counted, with the frame, its pose, how long it waited in
                the mailbox and how long publishing took (ms).
            on_problem: called by the feeding thread with `colour` or `depth` and a sentence about an image that could
                not be used.
            on_failure: called by the worker with the frame that gave no pose and a sentence.
            odometry: called by the worker for where odometry has the camera at a frame's stamp.
            read_color: how a colour message is read.
            read_depth: how a depth message is read.
            single_wait_s: see `SingleModality`.
        """
        self.localizer = localizer
        self._tracker = tracker
        self.enabled = True
        # A worker that is always busy would take a single lock again before anyone who waits for it wakes up.
        self._turnstile, self._in_frame = threading.Lock(), threading.Lock()
        self._check_stamp = check_stamp
        self._pose_of = pose_of
        self._publish, self._report = publish, report
        self._on_problem, self._on_failure = on_problem, on_failure
        self._callback_time = 0.0
        self.counts = Counts()
        self._odometry = odometry
        self._read_color, self._read_depth = read_color, read_depth
        self.last_frame_time: float | None = None
        self.last_pair_time: float | None = None
        self._work_began: float | None = None
        self._gives_up_at, self._is_left_behind = float("inf"), False
        self.carrier_frame = ""
        self._frames: set[str] = set()
        self.explain_missing: Callable[[str], str] = "no {} image".format
        # An image must not push out the one that waits for something better than it.
        self.synchronizer = Synchronizer(tolerance_ns, self._pair, max(2, queue_size))
        self._single_wait_s = single_wait_s
        self.single_modality = SingleModality(self.synchronizer, single_wait_s, self._single)
        self._worker: LatestWorker[PairedFrame] = LatestWorker(self._localize)

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
        """Pair a colour message."""
        image = self._take(COLOR, message, self._read_color)
        if image is None:
            self.counts.color_invalid += self.enabled
            return
        self.single_modality.add(COLOR, to_nanoseconds(message.header.stamp), image, time.monotonic())

    def take_depth(self, message: Any) -> None:
        """Pair a depth message."""
        image = self._take(DEPTH, message, self._read_depth)
        if image is None:
            self.counts.depth_invalid += self.enabled
            return
        self.single_modality.add(DEPTH, to_nanoseconds(message.header.stamp), image, time.monotonic())

    def tick(self) -> None:
        """Give out images whose partner does not come; to be called every `TICK_S`."""
        if self.enabled:
            self._callback_time = time.perf_counter()
            self.single_modality.tick(time.monotonic())

    def _take(self, modality: str, message: Any, read: Reader) -> Image | None:
        """The image, or None if it is not to be used."""
        if not self.enabled:
            return None
        self._callback_time = time.perf_counter()
        what = f"A {_WORDS[modality]} image"
        try:
            self._check_stamp(_WORDS[modality], require_stamp(what, message.header.stamp))
            frame_id = self._frame_of(what, message)
            content = read(message)
        except MvlocError as error:
            self._on_problem(_WORDS[modality], str(error))
            return None
        except Exception as error:  # one image must not end the node; a defect is named with its type
            self._on_problem(_WORDS[modality], _unreadable(modality, error))
            return None
        if modality == self._pose_of:
            self.carrier_frame = frame_id or self.carrier_frame
        return Image(content, frame_id, 1e3 * (time.perf_counter() - self._callback_time))

    def _frame_of(self, what: str, message: Any) -> str:
        """The frame id, if it can be one, and is not one of ever new ones."""
        frame_id = require_frame(what, message.header.frame_id)
        if frame_id not in self._frames:
            if len(self._frames) >= MOST_CAMERA_FRAMES:
                raise DecodeError(
                    f"{what} is of the frame {shown(frame_id)!r}, after images of {MOST_CAMERA_FRAMES} other frames; "
                    "let each camera have one frame_id, or deactivate and activate to begin again."
                )
            self._frames.add(frame_id)
        return frame_id

    def _pair(self, color_ns: int, color: Image, depth_ns: int, depth: Image) -> None:
        self.single_modality.paired()
        self.counts.pairs += 1
        self.last_pair_time = time.monotonic()
        carrier, stamp_ns = (color, color_ns) if self._pose_of == COLOR else (depth, depth_ns)
        self._put(stamp_ns, carrier.frame_id, depth_ns - color_ns, {COLOR: color, DEPTH: depth}, "")

    def _single(self, modality: str, stamp_ns: int, image: Image) -> None:
        self.counts.single += 1
        carrier_frame = image.frame_id if modality == self._pose_of else ""
        self._put(stamp_ns, carrier_frame, 0, {modality: image}, self.explain_missing(_MISSING[modality]))

    def _put(self, stamp_ns: int, frame_id: str, skew_ns: int, images: Mapping[str, Image], remark: str) -> None:
        self.last_frame_time = time.monotonic()
        paired = PairedFrame(
            stamp_ns,
            frame_id or self.carrier_frame,
            skew_ns,
            {name: image.content for name, image in images.items()},
            sum(image.decode_ms for image in images.values()),
            self._callback_time,
            time.perf_counter(),
            remark,
        )
        if self._worker.put(paired):
            self.counts.dropped_busy += 1

    def _read(self, paired: PairedFrame) -> tuple[Frame, PairedFrame]:
        """The frame, and what is known of it now that all of its images are read.

        Raises:
            DecodeError: nothing can be read, or one image cannot and the other is not to be processed alone.
        """
        started = time.perf_counter()
        read: dict[str, Content] = {}
        problems = []
        for modality, content in paired.images.items():
            try:
                read[modality] = content() if callable(content) else content
            except DecodeError as error:
                self.counts.undecodable += 1
                problems.append(str(error))
            except Exception as error:  # it costs its modality alone, whatever it is; a defect is named with its type
                self.counts.undecodable += 1
                problems.append(_unreadable(modality, error))
        if problems and (self._single_wait_s == 0.0 or not read):
            raise DecodeError(" ".join(problems))
        color, depth = read.get(COLOR), read.get(DEPTH)
        assert not isinstance(color, DepthImage)
        assert not isinstance(depth, ColorImage)
        frame = Frame(paired.stamp_ns, paired.frame_id, color, depth, paired.pair_skew_ns)
        decode_ms = paired.decode_ms + 1e3 * (time.perf_counter() - started)
        remark = "; ".join(text for text in (paired.remark, *problems) if text)
        return frame, replace(paired, images={}, decode_ms=decode_ms, remark=remark)

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
            frame, paired = self._read(paired)
            if not frame.frame_id:
                raise FrameError(
                    "The frame of the camera whose pose the model gives is unknown: it has sent no image yet, or its "
                    "images have no frame_id; set camera_frame."
                )
            estimate = self.localizer.process(frame, self._tracker, self._odometry)
            if self._is_left_behind:
                return
            localized = time.perf_counter()
            if self._publish(paired, estimate):
                self.counts.published += 1
            else:
                self.counts.rejected += 1
            self._report(paired, estimate, wait_ms, 1e3 * (time.perf_counter() - localized))
        except MvlocError as error:
            self._fail(paired, str(error))
        except Exception as error:  # one frame must not end the worker; a defect is named with its type
            text = shown(error, MOST_LOG_CHARACTERS)
            self._fail(paired, f"Localizing a frame failed unexpectedly: {type(error).__name__}: {text}.")

    def _fail(self, paired: PairedFrame, reason: str) -> None:
        if not self._is_left_behind:
            self.counts.dropped_failed += 1
            self._on_failure(paired, reason)


def _unreadable(modality: str, error: Exception) -> str:
    return f"A {_WORDS[modality]} image cannot be read: {type(error).__name__}: {shown(error, MOST_LOG_CHARACTERS)}."
