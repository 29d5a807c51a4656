# SPDX-License-Identifier: Apache-2.0
"""The messages of a recording on their way through the localization server, with the log time as the clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mvloc_ros.frontend.front_end import TICK_S, PairedFrame
from mvloc_ros.frontend.input_log import InputLog
from mvloc_ros.frontend.transform_watch import TransformWatch
from mvloc_ros.geometry.stamp_text import SECOND_NS
from mvloc_ros.localization.localizer import Localizer
from mvloc_ros.model.bundle import Bundle
from mvloc_ros.parameters.table import NodeParameters
from mvloc_ros.pipeline.server import LocalizationServer, Surroundings
from mvloc_ros.recordings import topics
from mvloc_ros.recordings.bag_reader import BagReader, RawMessage
from mvloc_ros.recordings.errors import RecordingError
from mvloc_ros.replay.camera_findings import CameraFindings
from mvloc_ros.replay.image_topics import ImageTopics
from mvloc_ros.replay.recorded_transforms import RecordedTransforms, tf_topics


@dataclass(frozen=True, eq=False)
class Source:
    """What is read of a recording: its image topics, what it says of its cameras, and its transforms."""

    images: ImageTopics
    cameras: CameraFindings
    transforms: RecordedTransforms | None
    tf_topics: tuple[str, ...]

    @staticmethod
    def of(reader: BagReader, images: ImageTopics, cameras: CameraFindings, values: NodeParameters) -> Source:
        """Read the transforms where something needs them. Raises RecordingError where they are damaged."""
        # As the node: also where nothing is sent but a camera's parent is of interest.
        if values.needs_tf or values.publish_frame != "none" or values.depth_source == "cloud":
            return Source(images, cameras, RecordedTransforms.of(reader), tf_topics(reader))
        return Source(images, cameras, None, ())

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics that a feed takes."""
        return (*self.images.names.values(), *self.cameras.topics, *self.tf_topics)


@dataclass(frozen=True, eq=False)
class Message:
    """One message of a recording.

    Attributes:
        topic: its topic.
        log_ns: when it was recorded.
        stamp_ns: of its header; None where damage has made it unreadable, or there is none.
        value: decoded; None where it is damaged.
    """

    topic: str
    log_ns: int
    stamp_ns: int | None
    value: Any | None

    @staticmethod
    def read(reader: BagReader, raw: RawMessage) -> Message:
        """Decode what can be decoded."""
        stamp = None
        try:
            if raw.type != topics.TF_MESSAGE:
                stamp = reader.header_stamp(raw)
            return Message(raw.topic, raw.stamp_ns, stamp, reader.decode(raw))
        except RecordingError:
            return Message(raw.topic, raw.stamp_ns, stamp, None)


class MessageFeed:
    """Gives messages to a server of its own, as a node's subscriptions do."""

    def __init__(
        self,
        source: Source,
        localizer: Localizer,
        bundle: Bundle,
        values: NodeParameters,
        on_frame: Callable[[LocalizationServer, PairedFrame], None],
        on_problem: Callable[[str, int, str], None],
    ) -> None:
        """Start with nothing seen.

        Args:
            source: of the messages.
            localizer: of the frames.
            bundle: the model.
            values: the parameters of the node.
            on_frame: gets the server and each frame, as soon as it is there.
            on_problem: see `LocalizationServer`.
        """
        self._source, self._values = source, values
        self._modalities = {name: modality for modality, name in source.images.names.items()}
        self._now_ns, self._next_tick_ns = 0, 0
        log = InputLog(lambda _: None, lambda _: None, self._now_s)
        self._watch = TransformWatch(log, self._now_s, self._clock)
        around = Surroundings(self._clock, source.transforms, _NotSent(), self._watch, log, self._clock)
        self.server = LocalizationServer(
            values,
            localizer,
            lambda: bundle.manifest,
            around,
            lambda paired: on_frame(self.server, paired),
            on_problem,
        )
        self.server.front.topics |= source.images.names

    def _clock(self) -> int:
        return self._now_ns

    def _now_s(self) -> float:
        return 1e-9 * self._now_ns

    def take(self, message: Message) -> None:
        """One message, in order of log time."""
        self._tick(message.log_ns)
        value, modality = message.value, self._modalities.get(message.topic)
        if value is None:
            return
        if modality == "color":
            self.server.front.take_color(value, self._now_s())
        elif modality == "depth":
            self.server.front.take_depth(value, self._now_s())
        elif modality is not None:
            self.server.front.take_further(modality, value, self._now_s())
        elif message.topic in self._source.cameras.topics:
            for side, image_topic in self._source.cameras.topics[message.topic].items():
                self.server.infos.take(side, value, image_topic)
        elif message.topic in self._source.tf_topics and self._watch.may_be_read(message.topic, len(value.transforms)):
            for transform in value.transforms:
                self._watch.take(transform, is_static=message.topic == topics.TF_STATIC)

    def restart(self) -> None:
        """Forget where the camera was, as after a start; what waits for a partner is of the time before."""
        while self.server.front.synchronizer.settle():
            pass
        self.server.front.settle()
        self.server.tracking.forget()

    def finish(self) -> None:
        """The recording is over: a pair that waits for a better partner gets none."""
        self.server.front.settle()

    def _tick(self, log_ns: int) -> None:
        """Let time go on to the next message; through a pause of the recording as far as it can change anything."""
        step_ns = round(TICK_S * SECOND_NS)
        most_ns = round(2 * SECOND_NS * self._values.single_modality_wait) + step_ns
        due_ns = max(self._next_tick_ns, log_ns - most_ns) if self._next_tick_ns else log_ns + step_ns
        while due_ns <= log_ns:
            self._now_ns = due_ns
            self.server.front.tick(self._now_s())
            due_ns += step_ns
        self._now_ns, self._next_tick_ns = log_ns, due_ns


class _NotSent:
    """The transforms that a node would send: a recording has nobody to hear them."""

    def hold(self, *_: object) -> None:
        """Nobody hears it."""

    def send(self, *_: object) -> None:
        """Nobody hears it."""

    def withdraw(self) -> None:
        """Nobody has heard it."""
