# SPDX-License-Identifier: Apache-2.0
"""Runs the node's own path over a recording without DDS: every frame, as fast as the machine can.

The messages of a recording go in the order of their log times through the server that the node uses too; the log time
is the clock. What a live run loses to time is not lost here: no frame is replaced by a newer one, no transform is late.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from pathlib import Path

from tqdm import tqdm

from mvloc_ros.backends.backend_choice import create_backend
from mvloc_ros.evaluation.wake_ups import WakeUpResult
from mvloc_ros.frontend.depth_check import add_image, depth_notes
from mvloc_ros.frontend.front_end import PairedFrame
from mvloc_ros.geometry.depth_statistics import DepthTally
from mvloc_ros.geometry.stamp_text import SECOND_NS
from mvloc_ros.geometry.trajectory import Trajectory
from mvloc_ros.localization.localizer import Localizer
from mvloc_ros.model.bundle import Bundle, read_bundle
from mvloc_ros.parameters.files import parse_overrides
from mvloc_ros.parameters.sensor_topics import absence_text
from mvloc_ros.parameters.table import NodeParameters
from mvloc_ros.pipeline.server import LocalizationServer
from mvloc_ros.recordings import topics
from mvloc_ros.recordings.bag_reader import BagReader
from mvloc_ros.replay.camera_findings import camera_findings
from mvloc_ros.replay.errors import ReplayError
from mvloc_ros.replay.evaluated_parameters import evaluated
from mvloc_ros.replay.image_topics import find_image_topics
from mvloc_ros.replay.message_feed import Message, MessageFeed, Source
from mvloc_ros.replay.replayed_frames import ReplayedFrames
from mvloc_ros.replay.run import CollectedPoses, Run
from mvloc_ros.replay.wake_ups import OVERRIDES, run_wake_ups

_DEPTH_EVERY = 10
"""Of how many depth images one is looked at for how far they measure."""
_STAMP_NS = 1000
"""Stamps are rounded to less than this."""


@dataclass(frozen=True)
class OfflineOptions:
    """Parameters of the node, and the topics of an offline run.

    Attributes:
        parameters: of the node; see `evaluated_parameters` for what is other than its defaults.
        color_topic, depth_topic, truth_topic: names in the recording.
        tolerance_s: largest difference of the stamps of a frame and its truth.
        progress: whether to show a bar.
        without: the image (color, depth or a further sensor's) that is left out.
        allow_damage: read what is left of a damaged recording.
        wake_ups: how many times a localizer that knows nothing is started, afterwards; see `wake_ups`.
        restart_after_s: a pause of the images that is at least so long ends what is known of the camera's place, as
            between recordings that were put into one; infinity: none does.
    """

    parameters: NodeParameters = field(default_factory=evaluated)
    color_topic: str = topics.COLOR_IMAGE
    depth_topic: str = topics.DEPTH_IMAGE
    truth_topic: str = topics.GROUND_TRUTH
    tolerance_s: float = 0.0
    progress: bool = True
    without: str = ""
    allow_damage: bool = False
    wake_ups: int = 0
    restart_after_s: float = math.inf


def run_offline(bag: Path | str, model: Path | str, options: OfflineOptions) -> Run:
    """Localize every frame of a recording with a model bundle.

    Raises RecordingError, BundleError or BackendError where recording, bundle or backend cannot be used.
    Messages that are damaged and frames that cannot be decoded or localized are counted, as in the node, and do not end
    the run.
    """
    bundle = read_bundle(model)
    sensors = [item.sensor.name for item in bundle.manifest.sensors]
    if options.without not in ("", "color", "depth", *sensors):
        raise ReplayError(
            f"--without {options.without} names no modality of the model, which has color, depth"
            f"{''.join(f', {name}' for name in sensors)}."
        )
    with BagReader(bag, allow_damage=options.allow_damage) as reader:
        named = options.color_topic, options.depth_topic
        images, values = find_image_topics(reader, *named, options.without, options.parameters, sensors)
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
            source = Source.of(reader, images, cameras, values)
            replay = _Replay(reader, localizer, bundle, replace(options, parameters=values), source)
            counted = images.color or images.depth
            count = reader.topics[counted].count
            with tqdm(total=count, desc="localizing", unit=" frames", disable=not options.progress) as bar:
                for raw in reader.raw((*source.topics, options.truth_topic)):
                    replay.take(Message.read(reader, raw))
                    bar.update(raw.topic == counted)
            found = replace(
                replay.result(backend.description),
                wake_up=_wake_up(reader, localizer, bundle, replace(options, parameters=values), source),
            )
            return replace(found, notes=(*reader.damage_notes(), *found.notes), losses=tuple(reader.losses.values()))
        finally:
            backend.close()


def _wake_up(
    reader: BagReader, localizer: Localizer, bundle: Bundle, options: OfflineOptions, source: Source
) -> WakeUpResult | None:
    if not options.wake_ups:
        return None
    values = parse_overrides(OVERRIDES, options.parameters)
    source = Source.of(reader, source.images, source.cameras, values)
    arguments = source, localizer, bundle, values, options.wake_ups, options.truth_topic
    tolerance_ns = round(options.tolerance_s * SECOND_NS)
    return run_wake_ups(reader, *arguments, tolerance_ns, progress=options.progress)


class _Replay:
    """One recording on its way through the server, and what comes of it."""

    def __init__(
        self, reader: BagReader, localizer: Localizer, bundle: Bundle, options: OfflineOptions, source: Source
    ) -> None:
        self._reader, self._bundle, self._options, self._source = reader, bundle, options, source
        manifest, values = bundle.manifest, options.parameters
        images = source.images
        self._modality = {name: modality for modality, name in images.names.items()}
        self._frames = ReplayedFrames(manifest.frames.pose_of, images, options.without, values.pair_tolerance)
        self._feed = MessageFeed(source, localizer, bundle, values, self._localize, self._frames.note_problem)
        self._feed.server.front.topics = {"color": options.color_topic, "depth": options.depth_topic} | images.names
        self._truth = CollectedPoses(options.truth_topic)
        self._depth = DepthTally(manifest.input.depth_min_m, manifest.input.depth_max_m)
        self._depth_images, self._depth_unit_m = 0, 0.0
        self._last_image_ns: int | None = None

    def take(self, message: Message) -> None:
        """One message of the recording, in order of log time."""
        if message.topic == self._options.truth_topic:
            self._truth.take(message.value)
            return
        modality, value = self._modality.get(message.topic), message.value
        if modality:
            self._restart_after_pause(message.stamp_ns)
            if modality in self._source.images.pair:
                self._frames.begin(modality, message.stamp_ns, value is None)
            if value is not None and hasattr(value, "encoding"):  # no size is stated of what is compressed
                self._source.cameras.note_size(modality, (value.width, value.height))
        self._feed.take(message)

    def _restart_after_pause(self, stamp_ns: int | None) -> None:
        if stamp_ns is None:
            return
        last, self._last_image_ns = self._last_image_ns, stamp_ns
        if last is not None and stamp_ns - last >= self._options.restart_after_s * SECOND_NS - _STAMP_NS:
            self._feed.restart()

    def _localize(self, server: LocalizationServer, paired: PairedFrame) -> None:
        self._frames.localize(server, paired)
        image = server.reader.last_depth
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

    def _absence_notes(self) -> list[str]:
        sensors = [item.sensor.name for item in self._bundle.manifest.sensors]
        text = absence_text(self._source.images.further, sensors)
        return [text] if text else []

    def result(self, backend: str) -> Run:
        """The run, with all images that found no partner counted."""
        self._feed.finish()
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
            drops=frames.drops(self._feed.server.front),
            training_poses=None if training is None else training.poses,
            tolerance_ns=round(options.tolerance_s * SECOND_NS),
            notes=(
                *self._truth.notes(),
                *self._truth.step_notes(),
                *self._source.cameras.texts,
                *self._absence_notes(),
                *frames.further_notes(self._feed.server.front),
                *self._depth_notes(),
            ),
            covariances=frames.covariances,
            network=frames.network,
            outcomes=frames.outcomes(),
            map_frame=options.parameters.map_frame or self._bundle.manifest.frames.map,
            truth_frame=self._truth.frame(),
            sensors=tuple(item.sensor.name for item in self._bundle.manifest.sensors),
        )
