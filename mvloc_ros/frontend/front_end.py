# SPDX-License-Identifier: Apache-2.0
"""Image messages in, frames out: checks, decoding, pairs, and single images where the others are missing.

Where a model takes further sensors, each frame of the pair gets their images, see `further_sensors`.

Images that are read in place are decoded when they come; what takes work (JPEG, PNG, RVL, clouds) is decoded when the
frame is read, and only if it is processed at all. An image that cannot be decoded there costs its modality alone.

The node feeds it from the executor's thread and reads frames in the worker's; a replay does both in one thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from mvloc_ros.errors import MvlocError
from mvloc_ros.foreign_text import shown
from mvloc_ros.frontend.decode import DecodeError
from mvloc_ros.frontend.further_sensors import FurtherSensors
from mvloc_ros.frontend.image_counts import Counts
from mvloc_ros.frontend.message_checks import require_frame, require_stamp
from mvloc_ros.frontend.single_modality import COLOR, DEPTH, SingleModality
from mvloc_ros.frontend.synchronizer import Synchronizer
from mvloc_ros.limits import MOST_CAMERA_FRAMES, MOST_LOG_CHARACTERS
from mvloc_ros.model.frame import NO_FURTHER, ColorImage, DepthImage, Frame, FrameError

TICK_S = 0.1

Content = ColorImage | DepthImage
Reader = Callable[[Any], Content | Callable[[], Content]]
"""Message -> content, or what makes the content when the frame is read; raises DecodeError."""
NO_READERS: Mapping[str, Reader] = MappingProxyType({})
NO_SKEWS: Mapping[str, int] = MappingProxyType({})
_WORDS = {COLOR: "colour", DEPTH: "depth"}
_MISSING = {COLOR: DEPTH, DEPTH: COLOR}


@dataclass(frozen=True)
class FrontEndOptions:
    """How images become frames.

    Attributes:
        pose_of: `color` or `depth`: whose stamp and frame the pose carries.
        tolerance_ns: largest difference of the stamps of a pair, and of a frame and a further sensor's image in it.
        queue_size: images that may wait for a partner.
        single_wait_s: see `SingleModality` and `FurtherSensors`.
        camera_frame: frame of the camera whose pose the model gives; empty: what its images or camera_info say.
    """

    pose_of: str
    tolerance_ns: int
    queue_size: int = 5
    single_wait_s: float = 0.0
    camera_frame: str = ""


@dataclass(frozen=True)
class Image:
    """An image on its way to its partner."""

    content: Content | Callable[[], Content]
    frame_id: str
    decode_ms: float


@dataclass(frozen=True)
class PairedFrame:
    """A frame whose images need not be read yet, with the times (perf_counter, s) that its latency is counted from.

    Attributes:
        stamp_ns, frame_id, pair_skew_ns: see `Frame`; a frame without the pair has the stamp of the further sensor
            that made it, and the frame id of the camera whose pose the model gives.
        images: modality -> the image, or what is yet to read it.
        decode_ms: of the images that are read.
        remark: why an image is missing, in words.
        era: how often all that was known had been forgotten when its images came.
        further_skew_ns: of each further sensor in it, its stamp minus that of the frame.
    """

    stamp_ns: int
    frame_id: str
    pair_skew_ns: int
    images: Mapping[str, Content | Callable[[], Content]]
    decode_ms: float
    callback_time: float
    paired_time: float
    remark: str = ""
    era: int = 0
    further_skew_ns: Mapping[str, int] = field(default_factory=lambda: NO_SKEWS)


@dataclass(frozen=True)
class _Pair:
    """A frame of the pair, or of one of its images, before it has the images of further sensors."""

    frame_id: str
    skew_ns: int
    images: Mapping[str, Image]
    remark: str


@dataclass
class _Arrivals:
    """When an image of a modality came last, in the time that is passed in; None before the first."""

    last_s: float | None = None


class FrontEnd:
    """Makes frames of one activation's messages, or of one recording's.

    Attributes:
        counts: what became of the images.
        carrier_frame: optical frame of the camera whose pose the model gives; empty until an image tells it.
        explain_missing: told a modality; tells why its images do not come, or "".
        topics: names of the image topics, for words.
        frames: modality -> optical frame of its last image.
        further: gives the frames the images of further sensors; None without such sensors.
    """

    def __init__(
        self,
        options: FrontEndOptions,
        read_color: Reader,
        read_depth: Reader,
        check_stamp: Callable[[str, int], None],
        on_frame: Callable[[PairedFrame], None],
        on_problem: Callable[[str, int, str], None],
        read_further: Mapping[str, Reader] = NO_READERS,
    ) -> None:
        """Start with nothing seen.

        Args:
            options: see `FrontEndOptions`.
            read_color: how a colour message is read.
            read_depth: how a depth message is read.
            check_stamp: called with `colour`, `depth` or a sensor's name and the stamp of each image; raises
                DecodeError for one that cannot be used.
            on_frame: gets each frame, in the thread that feeds the messages.
            on_problem: called with the same name, the stamp, and a sentence about an image that is not used.
            read_further: how the messages of further sensors are read, in the order of their declaration.
        """
        self._options = options
        self._readers = {COLOR: read_color, DEPTH: read_depth, **read_further}
        self._check_stamp, self._on_frame, self._on_problem = check_stamp, on_frame, on_problem
        self._arrivals = {name: _Arrivals() for name in self._readers}
        self._callback_time, self._now_s = 0.0, 0.0
        self._frame_ids: set[str] = set()
        self.frames: dict[str, str] = {}
        self.counts = Counts.of(read_further)
        self.carrier_frame = options.camera_frame
        self.topics = {name: f"the {_word(name)} topic" for name in self._readers}
        self.explain_missing: Callable[[str], str] = lambda _modality: ""
        self.last_frame_s: float | None = None
        self.last_pair_s: float | None = None
        # An image must not push out the one that waits for something better than it.
        queue_size = max(2, options.queue_size)
        self.synchronizer = Synchronizer(options.tolerance_ns, self._pair, queue_size)
        self.further: FurtherSensors | None = None
        if read_further:
            waits = options.tolerance_ns, options.single_wait_s
            self.further = FurtherSensors(list(read_further), *waits, queue_size, self._complete)
        self.single_modality = SingleModality(self.synchronizer, options.single_wait_s, self._single)

    def take_color(self, message: Any, now_s: float) -> None:
        """Take a colour message that came at `now_s`, by any clock that never jumps."""
        self.counts.color_invalid += not self._take(COLOR, message, now_s)

    def take_depth(self, message: Any, now_s: float) -> None:
        """Take a depth message, likewise."""
        self.counts.depth_invalid += not self._take(DEPTH, message, now_s)

    def take_further(self, name: str, message: Any, now_s: float) -> None:
        """Take a message of a further sensor, likewise."""
        self.counts.further_invalid[name] += not self._take(name, message, now_s)

    def tick(self, now_s: float) -> None:
        """Give out images whose partner does not come; to be called every `TICK_S`."""
        self._callback_time, self._now_s = time.perf_counter(), now_s
        self.single_modality.tick(now_s)
        if self.further is not None:
            self.further.tick(now_s)

    def settle(self) -> None:
        """Give out the oldest pair that only waits for a better partner, and all frames that wait for further sensors.

        For the end of a recording, after which nothing better comes.
        """
        self.synchronizer.settle()
        if self.further is not None:
            self.further.settle()

    def reset(self) -> None:
        """Forget the images that wait: they are of a time that no longer counts."""
        self.single_modality.reset()
        if self.further is not None:
            self.further.reset()

    def note_frame_id(self, modality: str, frame_id: str) -> None:
        """A camera_info names the frame of a camera, which may come before its images."""
        if modality == self._options.pose_of and not self.carrier_frame:
            self.carrier_frame = frame_id

    def read(self, paired: PairedFrame) -> tuple[Frame, PairedFrame]:
        """The frame, and what is known of it now that all of its images are read.

        Raises:
            DecodeError: nothing can be read, or one image of the pair cannot and the other is not to be processed
                alone.
            FrameError: the frame of the camera whose pose the model gives is unknown.
        """
        started = time.perf_counter()
        images: dict[str, Content] = {}
        problems, is_pair_broken = [], False
        for modality, content in paired.images.items():
            try:
                images[modality] = content() if callable(content) else content
            except DecodeError as error:
                self.counts.note_undecodable(modality)
                problems.append(str(error))
                is_pair_broken |= modality in _WORDS
            except Exception as error:  # it costs its modality alone, whatever it is; a defect is named with its type
                self.counts.note_undecodable(modality)
                problems.append(_unreadable(modality, error))
                is_pair_broken |= modality in _WORDS
        if problems and (not images or (is_pair_broken and self._options.single_wait_s == 0.0)):
            raise DecodeError(" ".join(problems))
        if not paired.frame_id:
            raise FrameError(
                "The frame of the camera whose pose the model gives is unknown: it has sent no image yet, or its "
                "images have no frame_id; set camera_frame."
            )
        color, depth = images.pop(COLOR, None), images.pop(DEPTH, None)
        assert not isinstance(color, DepthImage)
        assert not isinstance(depth, ColorImage)
        frame = Frame(paired.stamp_ns, paired.frame_id, color, depth, paired.pair_skew_ns, images or NO_FURTHER)
        decode_ms = paired.decode_ms + 1e3 * (time.perf_counter() - started)
        remark = "; ".join(text for text in (paired.remark, *problems) if text)
        return frame, replace(paired, images={}, decode_ms=decode_ms, remark=remark)

    def _take(self, modality: str, message: Any, now_s: float) -> bool:
        """Whether the image can be used."""
        self._callback_time, self._now_s = time.perf_counter(), now_s
        self._arrivals[modality].last_s = now_s
        word, stamp_ns = _word(modality), 0
        what = f"A {word} image"
        try:
            stamp_ns = require_stamp(what, message.header.stamp)
            self._check_stamp(word, stamp_ns)
            frame_id = self._frame_of(what, message)
            content = self._readers[modality](message)
        except MvlocError as error:
            self._on_problem(word, stamp_ns, str(error))
            return False
        except Exception as error:  # one image must not end the run; a defect is named with its type
            self._on_problem(word, stamp_ns, _unreadable(modality, error))
            return False
        if modality == self._options.pose_of:
            self.carrier_frame = frame_id or self.carrier_frame
        self.frames[modality] = frame_id
        image = Image(content, frame_id, 1e3 * (time.perf_counter() - self._callback_time))
        if modality not in _WORDS:
            assert self.further is not None
            self.further.add(modality, stamp_ns, image, now_s)
            return True
        if self.further is not None:
            self.further.note_pair()
        self.single_modality.add(modality, stamp_ns, image, now_s)
        return True

    def _frame_of(self, what: str, message: Any) -> str:
        """The frame id, if it can be one, and is not one of ever new ones."""
        frame_id = require_frame(what, message.header.frame_id)
        if frame_id not in self._frame_ids:
            if len(self._frame_ids) >= MOST_CAMERA_FRAMES:
                raise DecodeError(
                    f"{what} is of the frame {shown(frame_id)!r}, after images of {MOST_CAMERA_FRAMES} other frames; "
                    "let each camera have one frame_id, or deactivate and activate to begin again."
                )
            self._frame_ids.add(frame_id)
        return frame_id

    def _pair(self, color_ns: int, color: Image, depth_ns: int, depth: Image) -> None:
        self.single_modality.paired()
        self.counts.pairs += 1
        self.last_pair_s = self._now_s
        carrier, stamp_ns = (color, color_ns) if self._options.pose_of == COLOR else (depth, depth_ns)
        self._give(stamp_ns, carrier.frame_id, depth_ns - color_ns, {COLOR: color, DEPTH: depth}, "")

    def _single(self, modality: str, stamp_ns: int, image: Image) -> None:
        self.counts.single += 1
        carrier_frame = image.frame_id if modality == self._options.pose_of else ""
        self._give(stamp_ns, carrier_frame, 0, {modality: image}, self._why_missing(_MISSING[modality]))

    def _why_missing(self, modality: str) -> str:
        """Why images of a modality are missing from a frame; the same words live and from a recording."""
        begin, topic, last_s = f"no {_word(modality)} image", self.topics[modality], self._arrivals[modality].last_s
        if cause := self.explain_missing(modality):
            return f"{begin}: {cause}"
        if last_s is None:
            return f"{begin} has come on {topic} yet"
        return f"{begin} fits: the last on {topic} came {self._now_s - last_s:.1f} s ago"

    def _give(self, stamp_ns: int, frame_id: str, skew_ns: int, images: Mapping[str, Image], remark: str) -> None:
        pair = _Pair(frame_id, skew_ns, images, remark)
        if self.further is None:
            self._put(stamp_ns, pair)
        else:
            self.further.take_frame(stamp_ns, pair, self._now_s)

    def _complete(self, stamp_ns: int, pair: _Pair | None, further: Mapping[str, tuple[int, Image]]) -> None:
        """A frame has the images of further sensors that it can have."""
        assert self.further is not None
        if pair is None:
            self.counts.without_pair += 1
            pair = _Pair("", 0, {}, "; ".join(self._why_missing(modality) for modality in _WORDS))
        missing = [self._why_missing(name) for name in self.further.silent if name not in further]
        remark = "; ".join(text for text in (pair.remark, *missing) if text)
        images = {**pair.images, **{name: image for name, (_, image) in further.items()}}
        skews = {name: image_ns - stamp_ns for name, (image_ns, _) in further.items()}
        self._put(stamp_ns, replace(pair, images=images, remark=remark), skews)

    def _put(self, stamp_ns: int, pair: _Pair, further_skew_ns: Mapping[str, int] = NO_SKEWS) -> None:
        self.last_frame_s = self._now_s
        paired = PairedFrame(
            stamp_ns,
            pair.frame_id or self.carrier_frame,
            pair.skew_ns,
            {name: image.content for name, image in pair.images.items()},
            sum(image.decode_ms for image in pair.images.values()),
            self._callback_time,
            time.perf_counter(),
            pair.remark,
            further_skew_ns=further_skew_ns,
        )
        self._on_frame(paired)


def _word(modality: str) -> str:
    """What a modality is called in words: a further sensor by its name."""
    return _WORDS.get(modality, modality)


def _unreadable(modality: str, error: Exception) -> str:
    return f"A {_word(modality)} image cannot be read: {type(error).__name__}: {shown(error, MOST_LOG_CHARACTERS)}."
