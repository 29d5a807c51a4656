# SPDX-License-Identifier: Apache-2.0
"""Runs the node's own path over a recording without DDS: every frame, as fast as the machine can.

The messages of a recording go in the order of their log times through the server that the node uses too; the log time
is the clock. What a live run loses to time is not lost here: no frame is replaced by a newer one, no transform is late.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from mvloc_ros.frontend.depth_check import add_image, depth_notes
from mvloc_ros.frontend.front_end import TICK_S
from mvloc_ros.frontend.input_log import InputLog
from mvloc_ros.frontend.transform_watch import TransformWatch
from mvloc_ros.geometry.depth_statistics import DepthTally
from mvloc_ros.geometry.trajectory import Trajectory
from mvloc_ros.inference.backend_choice import create_backend
from mvloc_ros.inference.bundle import Bundle, read_bundle
from mvloc_ros.localization.localizer import Localizer
from mvloc_ros.parameters.table import NodeParameters
from mvloc_ros.pipeline.server import LocalizationServer, Surroundings
from mvloc_ros.recordings import topics
from mvloc_ros.recordings.bag_reader import BagReader, RawMessage
from mvloc_ros.recordings.errors import RecordingError
from mvloc_ros.recordings.stamps import SECOND_NS
from mvloc_ros.replay.camera_findings import CameraFindings, camera_findings
from mvloc_ros.replay.evaluated_parameters import evaluated
from mvloc_ros.replay.image_topics import ImageTopics, find_image_topics
from mvloc_ros.replay.recorded_transforms import RecordedTransforms, tf_topics
from mvloc_ros.replay.replayed_frames import ReplayedFrames
from mvloc_ros.replay.run import CollectedPoses, Run

_DEPTH_EVERY = 10
"""Of how many depth images one is looked at for how far they measure."""


@dataclass(frozen=True)
class OfflineOptions:
    """Parameters of the node, and the topics of an offline run.

    Attributes:
        parameters: of the node; see `evaluated_parameters` for what is other than its defaults.
        color_topic, depth_topic, truth_topic: names in the recording.
        tolerance_s: largest difference of the stamps of a frame and its truth.
        progress: whether to show a bar.
        without: the image (color or depth) that is left out.
        allow_damage: read what is left of a damaged recording.
    """

    parameters: NodeParameters = field(default_factory=evaluated)
    color_topic: str = topics.COLOR_IMAGE
    depth_topic: str = topics.DEPTH_IMAGE
    truth_topic: str = topics.GROUND_TRUTH
    tolerance_s: float = 0.0
    progress: bool = True
    without: str = ""
    allow_damage: bool = False


def run_offline(bag: Path | str, model: Path | str, options: OfflineOptions) -> Run:
    """Localize every frame of a recording with a model bundle.

    Raises RecordingError, BundleError or BackendError where recording, bundle or backend cannot be used.
    Messages that are damaged and frames that cannot be decoded or localized are counted, as in the node, and do not end
    the run.
    """
    bundle = read_bundle(model)
    with BagReader(bag, allow_damage=options.allow_damage) as reader:
        named = options.color_topic, options.depth_topic
        images, values = find_image_topics(reader, *named, options.without, options.parameters)
        # A recording may be without truth, but not without the topic that the user named.
        reader.expect(options.truth_topic, topics.POSE, optional=options.truth_topic == topics.GROUND_TRUTH)
        clouds = values.depth_source == "cloud"
        cameras = camera_findings(reader, images, bundle.manifest, rescale=values.rescale_input, clouds=clouds)
        if values.rescale_input:
            cameras.require_views(bundle.manifest)
        backend = create_backend(
            values.backend,
            bundle,
            values.threads,
            precision=values.precision,
            engine_cache=values.engine_cache,
        )
        try:
            localizer = Localizer(bundle, backend, values.refinement)
            localizer.warm_up()
            replay = _Replay(reader, localizer, bundle, replace(options, parameters=values), images, cameras)
            count = reader.topics[images.color or images.depth].count
            with tqdm(total=count, desc="localizing", unit=" frames", disable=not options.progress) as bar:
                for raw in reader.raw(replay.topics()):
                    replay.take(raw)
                    bar.update(raw.topic == (images.color or images.depth))
            found = replay.result(backend.description)
            return replace(found, notes=(*reader.damage_notes(), *found.notes), losses=tuple(reader.losses.values()))
        finally:
            backend.close()


class _Clock:
    """The log time of the message that was read last."""

    ns = 0

    def now_ns(self) -> int:
        return self.ns


class _NotSent:
    """The transforms that a node would send: a recording has nobody to hear them."""

    def hold(self, *_: object) -> None:
        """Nobody hears it."""

    def send(self, *_: object) -> None:
        """Nobody hears it."""

    def withdraw(self) -> None:
        """Nobody has heard it."""


class _Replay:
    """One recording on its way through the server."""

    def __init__(
        self,
        reader: BagReader,
        localizer: Localizer,
        bundle: Bundle,
        options: OfflineOptions,
        images: ImageTopics,
        cameras: CameraFindings,
    ) -> None:
        self._reader, self._bundle, self._options, self._cameras = reader, bundle, options, cameras
        self._images, self._modality = images, {name: modality for modality, name in images.names.items()}
        values, self._clock = options.parameters, _Clock()
        log = InputLog(lambda _: None, lambda _: None, lambda: 1e-9 * self._clock.ns)
        self._watch = TransformWatch(log, lambda: 1e-9 * self._clock.ns, self._clock.now_ns)
        listens = values.needs_tf or values.publish_frame != "none" or values.depth_source == "cloud"
        self._tf_topics = tf_topics(reader) if listens else ()
        around = Surroundings(
            self._clock.now_ns,
            RecordedTransforms.of(reader) if listens else None,
            _NotSent(),
            self._watch,
            log,
            self._clock.now_ns,
        )
        self._frames = ReplayedFrames(bundle.manifest.frames.pose_of, images, options.without, values.pair_tolerance)
        self._server = LocalizationServer(
            values, localizer, lambda: bundle.manifest, around, self._localize, self._frames.note_problem
        )
        self._server.front.topics = {"color": options.color_topic, "depth": options.depth_topic} | images.names
        self._truth = CollectedPoses(options.truth_topic)
        manifest = bundle.manifest
        self._depth = DepthTally(manifest.input.depth_min_m, manifest.input.depth_max_m)
        self._depth_images, self._depth_unit_m = 0, 0.0
        self._next_tick_ns = 0

    def topics(self) -> tuple[str, ...]:
        """The topics that a run needs."""
        return (*self._modality, *self._cameras.topics, *self._tf_topics, self._options.truth_topic)

    def take(self, raw: RawMessage) -> None:
        """One message of the recording, in order of log time."""
        self._tick(raw.stamp_ns)
        stamp, message = _read(self._reader, raw)
        modality = self._modality.get(raw.topic)
        if modality:
            self._take_image(modality, stamp, message)
        elif raw.topic == self._options.truth_topic:
            self._truth.take(message)
        elif message is None:
            return
        elif raw.topic in self._cameras.topics:
            infos = self._cameras.topics[raw.topic]
            for side, image_topic in infos.items():
                self._server.infos.take(side, message, image_topic)
        elif self._watch.may_be_read(raw.topic, len(message.transforms)):
            for transform in message.transforms:
                self._watch.take(transform, is_static=raw.topic == topics.TF_STATIC)

    def _tick(self, log_ns: int) -> None:
        """Let time go on to the next message; through a pause of the recording as far as it can change anything."""
        step_ns = round(TICK_S * SECOND_NS)
        most_ns = round(2 * SECOND_NS * self._options.parameters.single_modality_wait) + step_ns
        due_ns = max(self._next_tick_ns, log_ns - most_ns) if self._next_tick_ns else log_ns + step_ns
        while due_ns <= log_ns:
            self._clock.ns = due_ns
            self._server.front.tick(1e-9 * due_ns)
            due_ns += step_ns
        self._clock.ns, self._next_tick_ns = log_ns, due_ns

    def _take_image(self, modality: str, stamp: int | None, message: Any | None) -> None:
        self._frames.begin(modality, stamp, message is None)
        if message is None:
            return
        front, now_s = self._server.front, 1e-9 * self._clock.ns
        if modality == "color":
            front.take_color(message, now_s)
        else:
            front.take_depth(message, now_s)
        if hasattr(message, "width") and hasattr(message, "encoding"):
            self._cameras.note_size(modality, (message.width, message.height))

    def _localize(self, paired: Any) -> None:
        self._frames.localize(self._server, paired)
        image = self._server.reader.last_depth
        if image is None:
            return
        if self._depth_images % _DEPTH_EVERY == 0:
            add_image(self._depth, image)
            self._depth_unit_m = image.metres_per_unit
        self._depth_images += 1

    def _depth_notes(self) -> list[str]:
        if not self._depth_images:
            return []
        values, network = self._options.parameters, self._bundle.manifest.input
        return depth_notes(self._depth.result(), self._depth_unit_m, values.depth_unit_m, network, "--depth-unit-m")

    def result(self, backend: str) -> Run:
        """The run, with all images that found no partner counted."""
        self._server.front.synchronizer.settle()
        frames, options = self._frames, self._options
        training = self._bundle.training_trajectory()
        return Run(
            source=f"offline, without {options.without}" if options.without else "offline",
            recording=self._reader.path.name,
            model=self._bundle.name,
            backend=backend,
            frames_ns=frames.stamps_ns,
            truth=self._truth.stamped(),
            estimates=Trajectory.collect(frames.estimates),
            latency_ms=frames.latency_ms,
            drops=frames.drops(self._server.front),
            training_poses=None if training is None else training.poses,
            tolerance_ns=round(options.tolerance_s * SECOND_NS),
            notes=(
                *self._truth.notes(),
                *self._truth.step_notes(),
                *self._cameras.texts,
                *self._depth_notes(),
            ),
            covariances=frames.covariances,
            network=frames.network,
            outcomes=frames.outcomes(),
            map_frame=options.parameters.map_frame or self._bundle.manifest.frames.map,
            truth_frame=self._truth.frame(),
        )


def _read(reader: BagReader, raw: RawMessage) -> tuple[int | None, Any | None]:
    """Header stamp and message; None for what damage has made unreadable."""
    stamp = None
    try:
        if raw.type != topics.TF_MESSAGE:
            stamp = reader.header_stamp(raw)
        return stamp, reader.decode(raw)
    except RecordingError:
        return stamp, None
