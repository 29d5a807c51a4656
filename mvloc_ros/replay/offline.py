# SPDX-License-Identifier: Apache-2.0
"""Runs the node's localizer over a recording without DDS: every pair, as fast as the machine can."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from mvloc_ros.geometry.camera import View
from mvloc_ros.geometry.depth_statistics import DepthTally
from mvloc_ros.geometry.stamp_text import SECOND_NS
from mvloc_ros.geometry.trajectory import Trajectory
from mvloc_ros.inference.backend_choice import create_backend
from mvloc_ros.inference.bundle import Bundle, read_bundle
from mvloc_ros.inference.frame import ColorImage, DepthImage, Frame, FrameError
from mvloc_ros.inference.manifest import Manifest
from mvloc_ros.localization.estimate import PoseEstimate
from mvloc_ros.localization.gate import GateLimits
from mvloc_ros.localization.localizer import Localizer
from mvloc_ros.localization.options import RefinementOptions
from mvloc_ros.localization.tracker import Tracker
from mvloc_ros.recordings import topics
from mvloc_ros.recordings.bag_reader import BagReader, RawMessage
from mvloc_ros.recordings.errors import RecordingError
from mvloc_ros.replay.camera_findings import CameraFindings, camera_findings
from mvloc_ros.replay.outcomes import ACCEPTED, FAILED, INVALID, REJECTED, UNPAIRED, Outcome
from mvloc_ros.replay.run import CollectedPoses, Floats, Run
from mvloc_ros.sensors.decode import DecodeError, decode_color, decode_depth
from mvloc_ros.sensors.depth_check import add_image, depth_notes
from mvloc_ros.sensors.synchronizer import Synchronizer

_DEPTH_EVERY = 10
"""Of how many depth images one is looked at for how far they measure."""


@dataclass(frozen=True)
class OfflineOptions:
    """Backend, pairing and topics of an offline run.

    `tolerance_s`: largest difference of the stamps of a frame and its truth. `without`: the image (color or depth)
    that is left out. `depth_unit_m` and `rescale_input`: as the node's parameters. `allow_damage`: read what
    is left of a damaged recording.
    """

    backend: str = "auto"
    threads: int = 0
    precision: str = "auto"
    sync_tolerance_s: float = 0.02
    color_topic: str = topics.COLOR_IMAGE
    depth_topic: str = topics.DEPTH_IMAGE
    truth_topic: str = topics.GROUND_TRUTH
    tolerance_s: float = 0.0
    progress: bool = True
    refinement: RefinementOptions = field(default_factory=RefinementOptions)
    without: str = ""
    depth_unit_m: float = 0.0
    rescale_input: bool = False
    allow_damage: bool = False


def run_offline(bag: Path | str, model: Path | str, options: OfflineOptions) -> Run:
    """Localize every pair of a recording with a model bundle.

    Raises RecordingError, BundleError or BackendError where recording, bundle or backend cannot be used.
    Messages that are damaged and frames that cannot be decoded or localized are counted, as in the node, and do not end
    the run.
    """
    bundle = read_bundle(model)
    with BagReader(bag, allow_damage=options.allow_damage) as reader:
        color = reader.require(options.color_topic, topics.IMAGE)
        reader.require(options.depth_topic, topics.IMAGE)
        # A recording may be without truth, but not without the topic that the user named.
        reader.expect(options.truth_topic, topics.POSE, optional=options.truth_topic == topics.GROUND_TRUTH)
        backend = create_backend(options.backend, bundle, options.threads, precision=options.precision)
        try:
            localizer = Localizer(bundle, backend, options.refinement)
            localizer.warm_up()
            cameras = camera_findings(
                reader, options.color_topic, options.depth_topic, bundle.manifest, options.rescale_input
            )
            work = _OfflineRun(localizer, options, bundle.manifest, cameras)
            with tqdm(total=color.count, desc="localizing", unit=" frames", disable=not options.progress) as bar:
                for raw in reader.raw(work.topics()):
                    work.take(raw.topic, *_read(reader, raw))
                    bar.update(raw.topic == options.color_topic)
            found = work.result(reader.path, bundle, backend.description)
            return replace(found, notes=(*reader.damage_notes(), *found.notes), losses=tuple(reader.losses.values()))
        finally:
            backend.close()


def _read(reader: BagReader, raw: RawMessage) -> tuple[int | None, Any | None]:
    """Header stamp and message; None for what damage has made unreadable."""
    stamp = None
    try:
        stamp = reader.header_stamp(raw)
        return stamp, reader.decode(raw)
    except RecordingError:
        return stamp, None


class _OfflineRun:
    """Collects what a run over one recording gives."""

    def __init__(
        self, localizer: Localizer, options: OfflineOptions, manifest: Manifest, cameras: CameraFindings
    ) -> None:
        self._localizer, self._options, self._manifest, self._cameras = localizer, options, manifest, cameras
        # Without the gate, so that the figures are those of all poses that the map does not reject.
        self._tracker = Tracker(GateLimits(enabled=False), options.refinement.unverified_after_s)
        self._views: tuple[View | None, View | None] = (
            cameras.views(manifest) if options.rescale_input else (None, None)
        )
        self._depth = DepthTally(manifest.input.depth_min_m, manifest.input.depth_max_m)
        self._depth_images, self._depth_unit_m = 0, 0.0
        self._sizes: dict[str, str] = {}
        pose_of = manifest.frames.pose_of
        self._carrier = options.color_topic if pose_of == "color" else options.depth_topic
        self._pairs = Synchronizer(round(options.sync_tolerance_s * 1e9), self._localize)
        self._frames: set[int] = set()
        self._truth = CollectedPoses(options.truth_topic)
        self._estimates: dict[int, Floats] = {}
        self._covariances: dict[int, Floats] = {}
        self._network: dict[int, Floats] = {}
        self._refined = False
        self._steps: dict[str, dict[int, float]] = {}
        self._decode_ms: dict[tuple[str, int], float] = {}
        self._frame_id = ""
        self._outcomes: dict[int, Outcome] = {}
        self._partners: dict[int, str] = {}  # stamp of an image that the frames are to be paired with -> its fault
        self._drops: Counter[str] = Counter(invalid=0, failed=0, rejected=0)

    def topics(self) -> tuple[str, str, str]:
        """The topics that a run needs."""
        return self._options.color_topic, self._options.depth_topic, self._options.truth_topic

    def take(self, topic: str, stamp: int | None, message: Any | None) -> None:
        """One message of the recording, in order of time; None for what is unreadable."""
        if topic == self._options.truth_topic:
            self._truth.take(message)
            return
        is_color = topic == self._options.color_topic
        if topic == self._carrier and stamp is not None:
            self._frames.add(stamp)
        if stamp is None or message is None:
            self._refuse(topic, stamp, "the message is damaged")
            return
        if topic == self._carrier:
            self._frame_id = message.header.frame_id
        start = time.perf_counter()
        try:
            if is_color:
                color = replace(decode_color(message), view=self._views[0])
            else:
                depth = replace(decode_depth(message, self._options.depth_unit_m), view=self._views[1])
        except DecodeError as error:
            self._refuse(topic, stamp, str(error))
            return
        if topic != self._carrier:
            self._partners[stamp] = ""
        self._decode_ms[topic, stamp] = (time.perf_counter() - start) * 1e3
        self._check_size(is_color, message)
        if is_color:
            self._pairs.add_color(stamp, color)
        else:
            self._look_at_depth(depth)
            self._pairs.add_depth(stamp, depth)

    def _check_size(self, is_color: bool, message: Any) -> None:
        model, kind = (self._cameras.color, "colour") if is_color else (self._cameras.depth, "depth")
        if model is None or (message.width, message.height) == (model.camera.width, model.camera.height):
            return
        self._sizes[kind] = (
            f"the {kind} images are {message.width}x{message.height}, but their camera_info is for "
            f"{model.camera.width}x{model.camera.height}; check the driver"
        )

    def _look_at_depth(self, image: DepthImage) -> None:
        if self._depth_images % _DEPTH_EVERY == 0:
            add_image(self._depth, image)
            self._depth_unit_m = image.metres_per_unit
        self._depth_images += 1

    def _depth_notes(self) -> list[str]:
        if not self._depth_images:
            return []
        options, network = self._options, self._manifest.input
        return depth_notes(self._depth.result(), self._depth_unit_m, options.depth_unit_m, network, "--depth-unit-m")

    def _refuse(self, topic: str, stamp: int | None, fault: str) -> None:
        """Count an image that cannot be used, and keep why."""
        self._drops["invalid"] += 1
        if stamp is None:
            return
        if topic == self._carrier:
            self._outcomes[stamp] = Outcome(INVALID, fault)
        else:
            self._partners[stamp] = fault

    def _localize(self, color_ns: int, color: ColorImage, depth_ns: int, depth: DepthImage) -> None:
        stamp = color_ns if self._carrier == self._options.color_topic else depth_ns
        without = self._options.without
        frame = Frame(
            stamp,
            self._frame_id,
            None if without == "color" else color,
            None if without == "depth" else depth,
            depth_ns - color_ns,
        )
        start = time.perf_counter()
        try:
            estimate, verdict = self._localizer.follow(frame, self._tracker)
        except FrameError as error:
            self._drops["failed"] += 1
            self._outcomes[stamp] = Outcome(FAILED, str(error))
            return
        images = ((self._options.color_topic, color_ns), (self._options.depth_topic, depth_ns))
        decode = sum(self._decode_ms.pop(image) for image in images)
        self._note_times(stamp, estimate, decode, decode + (time.perf_counter() - start) * 1e3)
        # A rejected frame took its time too, and the network alone would have answered.
        self._network[stamp] = estimate.network.T
        kind = ACCEPTED if verdict.accepted else REJECTED
        said = kind, verdict.reason, estimate.remark
        self._outcomes[stamp] = Outcome(*said, score=estimate.score, refined=estimate.refined)
        if not verdict.accepted:
            self._drops["rejected"] += 1
            return
        self._estimates[stamp] = estimate.pose.T
        self._covariances[stamp] = estimate.pose.covariance
        self._refined |= estimate.refined

    def _note_times(self, stamp: int, estimate: PoseEstimate, decode_ms: float, total_ms: float) -> None:
        times = {"decode": decode_ms, **{key.removesuffix("_ms"): ms for key, ms in vars(estimate.times).items()}}
        for step, milliseconds in {**times, "total": total_ms}.items():
            self._steps.setdefault(step, {})[stamp] = milliseconds

    def _unpaired(self) -> dict[int, Outcome]:
        """The frames that nothing was said of: no partner, and how far away the nearest one is."""
        partners = np.array(sorted(self._partners), dtype=np.int64)
        other = "depth" if self._carrier == self._options.color_topic else "color"
        tolerance = self._options.sync_tolerance_s
        result = {}
        for frame in self._frames - set(self._outcomes):
            reason = f"the recording has no {other} image"
            if len(partners):
                nearest = int(partners[np.argmin(np.abs(partners - frame))])
                away, fault = abs(nearest - frame) / SECOND_NS, self._partners[nearest]
                reason = f"the nearest {other} image is {away:.6f} s away, {tolerance:g} s are allowed"
                if away <= tolerance:
                    reason = (
                        f"its {other} image cannot be used: {fault}" if fault else f"its {other} image went elsewhere"
                    )
            result[frame] = Outcome(UNPAIRED, reason)
        return result

    def result(self, recording: Path, bundle: Bundle, backend: str) -> Run:
        """The run, with all images that found no partner counted."""
        counts = (self._pairs.color_counts, self._pairs.depth_counts)
        training = bundle.training_trajectory()
        return Run(
            source=f"offline, without {self._options.without}" if self._options.without else "offline",
            recording=recording.name,
            model=bundle.name,
            backend=backend,
            frames_ns=np.array(sorted(self._frames), dtype=np.int64),
            truth=self._truth.stamped(),
            estimates=Trajectory.collect(self._estimates),
            latency_ms=self._steps,
            drops={"unpaired": sum(count.received - count.paired for count in counts), **self._drops},
            training_poses=None if training is None else training.poses,
            tolerance_ns=round(self._options.tolerance_s * SECOND_NS),
            notes=(
                *self._truth.notes(),
                *self._truth.step_notes(),
                *self._cameras.texts,
                *self._sizes.values(),
                *self._depth_notes(),
            ),
            covariances=self._covariances,
            network=Trajectory.collect(self._network) if self._refined else None,
            outcomes={**self._outcomes, **self._unpaired()},
            map_frame=bundle.manifest.frames.map,
            truth_frame=self._truth.frame(),
        )
