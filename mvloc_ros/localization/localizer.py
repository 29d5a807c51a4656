# SPDX-License-Identifier: Apache-2.0
"""Frame in, pose in the map out: the one path that live and offline localization share."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.backends.backend import Backend, NetworkOutput
from mvloc_ros.geometry import quaternion, se3
from mvloc_ros.localization.bundle_map import refiner_of, scan_starts_of
from mvloc_ros.localization.descriptors import Descriptor, describe
from mvloc_ros.localization.estimate import PoseEstimate, StepTimes
from mvloc_ros.localization.frame_moment import of_this_moment
from mvloc_ros.localization.frozen_depth import FrozenDepth
from mvloc_ros.localization.hypotheses import Search
from mvloc_ros.localization.keyframe_starts import Look
from mvloc_ros.localization.local_features import MOST_OF_FRAME, ImageFeatures, detect, nothing_seen
from mvloc_ros.localization.motion import Distance
from mvloc_ros.localization.network_inputs import NetworkInputs
from mvloc_ros.localization.options import RefinementOptions
from mvloc_ros.localization.pose import Pose
from mvloc_ros.localization.scan_starts import depth_scans
from mvloc_ros.localization.scene_map import SceneMap
from mvloc_ros.localization.sensor_rig import SensorRig
from mvloc_ros.localization.starts import Start
from mvloc_ros.localization.tracker import Expectation, Tracker, Verdict
from mvloc_ros.localization.uncertainty import ResidualCovariance, after, uncalibrated
from mvloc_ros.localization.unverified import Unrefined
from mvloc_ros.model.bundle import Bundle
from mvloc_ros.model.frame import ColorImage, Frame, FrameError
from mvloc_ros.model.preprocessing import prepare_color

if TYPE_CHECKING:
    from mvloc_ros.localization.judging import Refined
    from mvloc_ros.localization.refinement import Refiner

_NO_NUMBER = "The network's answer is not a number; export the model again and check its training."
# The first run of a network allocates, and on a GPU compiles; one that takes 0.2 s as the first did is not run again.
_WARM_UPS, _MUCH_FASTER = 4, 0.8


Odometry = Callable[[Frame], NDArray[np.float64] | None]


def _no_odometry(_frame: Frame) -> None:
    return None


@dataclass(frozen=True, eq=False)
class Seen:
    """What the network says of one frame, from nothing but its images.

    Attributes:
        frame: the images.
        estimate: the network's own.
        color, depth: the images as the network saw them; None for one that it did not use.
    """

    frame: Frame
    estimate: PoseEstimate
    color: NDArray[np.uint8] | None
    depth: NDArray[np.float32] | None


class Localizer:
    """Localizes single frames with one model.

    A frame is seen (`see`), which takes the network and nothing that is known of other frames, and then judged
    (`judge`), which takes the map and no network. Each of the two may be called by one thread at a time, and they may
    run beside each other: one frame is judged while the next is seen. Frames are judged in the order of their stamps.

    Attributes:
        map_problem: why poses are not refined although they should be, or all are rejected, in words; else empty.
        rig: the cameras that the model was trained for. Any thread may read it.
    """

    def __init__(
        self,
        bundle: Bundle,
        backend: Backend,
        refinement: RefinementOptions | None = None,
    ) -> None:
        """Take a model and what runs it; the caller keeps ownership of the backend.

        Args:
            bundle: the model.
            backend: what runs its network.
            refinement: how poses are refined; None: not at all.

        Raises:
            SceneMapError: refinement is required and the bundle has no usable scene map.
        """
        self._bundle = bundle
        self._backend = backend
        self._inputs = NetworkInputs(bundle.manifest)
        self._covariance = ResidualCovariance(bundle.manifest)
        self._options = refinement or RefinementOptions(mode="off")
        self._frozen: dict[str, FrozenDepth] = {}
        self._refiner, self.map_problem = refiner_of(bundle, self._options)
        self._scan_starts = None if self._refiner is None else scan_starts_of(bundle, self._refiner.scene_map)
        self.rig = SensorRig.of(bundle.manifest) if self._refiner is None else self._refiner.rig

    def for_another_stream(self) -> Localizer:
        """One with the same model, backend and map, that has seen no frame; both are of one thread."""
        other = copy.copy(self)
        other._frozen = {}
        other._scan_starts = None if self._scan_starts is None else self._scan_starts.for_another_stream()
        return other

    @property
    def covariance(self) -> NDArray[np.float64]:
        """Of the network's poses from all modalities, 6x6."""
        return self._covariance.of(True, True)

    def prepared(self, color: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """An RGB image `[H, W, 3]` as the network sees it."""
        spec = self._bundle.manifest.input
        return prepare_color(ColorImage(color, "rgb"), spec.height, spec.width)

    def described(self, frame: Frame) -> Descriptor:
        """What keyframes are compared by; raises FrameError as `process`."""
        prepared = self._inputs.prepare(frame)
        return self._describe(prepared.color, prepared.depth)

    def features(self, frame: Frame, most: int = MOST_OF_FRAME) -> ImageFeatures:
        """The local features of a frame, at most `most`; none where it lacks an image. Raises FrameError."""
        if frame.color is None or frame.depth is None:
            return nothing_seen()
        return detect(frame.color, frame.depth, self.rig, most)

    def _describe(self, color: NDArray[np.uint8] | None, depth: NDArray[np.float32] | None) -> Descriptor:
        spec = self._bundle.manifest.input
        return describe(color, depth, spec.depth_min_m, spec.depth_max_m)

    @property
    def refines(self) -> bool:
        """Whether poses are refined against a scene map."""
        return self._refiner is not None

    @property
    def scene_map(self) -> SceneMap | None:
        """What poses are refined against; None where they are not. Any thread may read it."""
        return None if self._refiner is None else self._refiner.scene_map

    def warm_up(self) -> float:
        """Run blank frames until they get no faster, lest the first real one be slow; milliseconds of the last."""
        inputs = self._inputs
        present = np.ones(2 + len(inputs.no_further), np.float32)
        elapsed = math.inf
        for _ in range(_WARM_UPS):
            before, start = elapsed, time.perf_counter()
            self._backend.run(inputs.no_color, inputs.no_depth, present, inputs.no_further)
            elapsed = 1e3 * (time.perf_counter() - start)
            if elapsed > _MUCH_FASTER * before:
                break
        if self._refiner is not None:
            trained = self._bundle.training_trajectory()
            middle = np.array([self._bundle.manifest.position.offset_m])
            self._refiner.warm_up(middle if trained is None else trained.poses[:, :3, 3])
        return elapsed

    def process(self, frame: Frame, tracker: Tracker | None = None, odometry: Odometry = _no_odometry) -> PoseEstimate:
        """Localize one frame.

        Args:
            frame: the images.
            tracker: tells where the camera is expected; it is not told what is found (see `follow`). None: nothing is
                known of frames before this one.
            odometry: gives `T_odom_camera` (4x4) at the frame's stamp, or None. Asked once, after the network has run,
                which leaves odometry that time to come.

        Raises:
            FrameError: no modality can be used, an image does not fit the model, or the network's
                answer is not finite.
        """
        return self.judge(self.see(frame), tracker, odometry)

    def judge(self, seen: Seen, tracker: Tracker | None = None, odometry: Odometry = _no_odometry) -> PoseEstimate:
        """Refine what the network said of a frame against the map, and verify it; arguments as of `process`.

        Raises:
            FrameError: the pose cannot be refined, which is required.
        """
        frame, color, depth = seen.frame, seen.color, seen.depth
        network = replace(seen.estimate, T_odom_camera=odometry(frame))
        expected = None if tracker is None else tracker.expected(frame.stamp_ns, network.T_odom_camera)
        search = None if tracker is None else tracker.search(frame.stamp_ns, network.T_odom_camera)
        if self._refiner is None:
            return self._remarked(network, self.map_problem)
        if self._scan_starts is not None and search is not None and not search.frames:
            self._scan_starts.forget()

        def moved_since(then_ns: int) -> Distance | None:
            return None if tracker is None else tracker.moved_since(then_ns, frame.stamp_ns, network.T_odom_camera)

        current = of_this_moment(frame, color, depth, self._refiner.rig, self._frozen, moved_since)
        found = self._refine(self._refiner, replace(seen, frame=current.frame), network, expected, search)
        problem = _problem_of(found)
        if problem and self._options.mode == "required":
            raise FrameError(f"The pose cannot be refined, which is required: {problem}.")
        estimate = network if isinstance(found, Unrefined) else _with(network, found)
        # That depth is missing is in the network's own remark.
        is_known = depth is None and not current.has_depth
        sensors = "" if isinstance(found, Unrefined) else found.remark
        estimate = self._remarked(estimate, "" if is_known else problem, *current.remarks, sensors)
        age = current.age
        unverified = found.reason if isinstance(found, Unrefined) else ""
        estimate = replace(estimate, rejection=age.fault or found.rejection or self.map_problem, unverified=unverified)
        return estimate if age.moved is None else _repeated(estimate, age.moved)

    def follow(self, frame: Frame, tracker: Tracker, odometry: Odometry = _no_odometry) -> tuple[PoseEstimate, Verdict]:
        """Localize one frame and let the tracker accept or reject the pose; arguments and errors as of `process`."""
        estimate = self.process(frame, tracker, odometry)
        return estimate, tracker.update(estimate.fix())

    def _remarked(self, estimate: PoseEstimate, *problems: str) -> PoseEstimate:
        """With what is less than was asked for, in words."""
        remarks = estimate.remark, *problems, uncalibrated(self._bundle.manifest, refined=estimate.refined)
        return replace(estimate, remark="; ".join(text for text in remarks if text))

    def see(self, frame: Frame) -> Seen:
        """Run the network on a frame; errors as of `process`."""
        start = time.perf_counter()
        images = self._inputs.prepare(frame)
        used = images.color is not None, images.depth is not None
        further_used = {name: name in images.further for name in self._inputs.no_further}
        present = np.array([*used, *further_used.values()], dtype=np.float32)
        prepared = time.perf_counter()
        output = self._backend.run(
            self._inputs.no_color if images.color is None else images.color,
            self._inputs.no_depth if images.depth is None else images.depth,
            present,
            {**self._inputs.no_further, **images.further},
        )
        inferred = time.perf_counter()
        if not np.isfinite(output.expert_share).all():
            raise FrameError(_NO_NUMBER)
        shares = tuple(float(share) for share in output.expert_share)
        if sum(shares[1:]) <= 0.0:
            raise FrameError(
                f"The model {self._bundle.name} ({self._bundle.manifest.system}) uses none of the images that are "
                f"there ({images.remark}); give it the other one, or a model that uses both."
            )
        covariance = self._covariance.of(*used, further_used=all(further_used.values()))
        pose = Pose(frame.stamp_ns, self._pose(output), covariance)
        done = time.perf_counter()
        estimate = PoseEstimate(
            pose=pose,
            network=pose,
            color_used=used[0],
            depth_used=used[1],
            expert_share=shares,
            times=StepTimes(1e3 * (prepared - start), 1e3 * (inferred - prepared), 1e3 * (done - inferred)),
            remark=images.remark + self._covariance.remark(*used, further_used=all(further_used.values())),
            further_used=further_used,
        )
        return Seen(frame, estimate, images.color, images.depth)

    def _refine(
        self,
        refiner: Refiner,
        seen: Seen,
        network: PoseEstimate,
        expected: Expectation | None,
        search: Search | None,
    ) -> Refined | Unrefined:
        """What refinement found, or why there is none."""
        frame, color, depth = seen.frame, seen.color, seen.depth
        pair = None if depth is None else frame.depth
        # Keyframes are looked for by what the pair shows.
        shown = color is not None or depth is not None
        by_scan = self._by_scan(frame, network.T_odom_camera)
        look = Look(lambda: self._describe(color, depth), lambda: self.features(frame), by_scan) if shown else None
        return refiner.refine(network.pose, pair, color, expected, look, search, frame.further)

    def _by_scan(
        self, frame: Frame, T_odom_camera: NDArray[np.float64] | None
    ) -> Callable[[float, Sequence[Pose], bool], Sequence[Start]]:
        """See `Look`."""

        def starts(deadline: float, without: Sequence[Pose], is_expected: bool) -> Sequence[Start]:
            scans = () if self._scan_starts is None else depth_scans(self.rig, frame.depth, frame.further)
            if self._scan_starts is None or not scans:
                return ()
            at = frame.stamp_ns, T_odom_camera
            return self._scan_starts.of(scans, *at, deadline, without, is_expected=is_expected)

        return starts

    def _pose(self, output: NetworkOutput) -> NDArray[np.float64]:
        if not (np.all(np.isfinite(output.position)) and np.all(np.isfinite(output.log_quaternion))):
            raise FrameError(_NO_NUMBER)
        rotation = quaternion.exp(output.log_quaternion)
        return se3.from_parts(self._bundle.position_in_map(output.position), rotation)


def _problem_of(found: Refined | Unrefined) -> str:
    """Why a pose is not refined, in words; empty if it is."""
    if isinstance(found, Unrefined):
        return found.reason
    return "" if found.iterations else "the time budget was used up before it was registered to the map"


def _with(network: PoseEstimate, refined: Refined) -> PoseEstimate:
    times = replace(network.times, refinement_ms=refined.refinement_ms, verification_ms=refined.verification_ms)
    verified = replace(network, score=refined.score, rejection=refined.rejection, details=refined, times=times)
    if refined.iterations == 0:
        return verified
    return replace(verified, pose=refined.pose, refined=True)


def _repeated(estimate: PoseEstimate, moved: Distance) -> PoseEstimate:
    """Of an earlier moment's depth: by as much as the camera moved since, the pose may be wrong."""
    pose = replace(estimate.pose, covariance=after(estimate.pose.covariance, moved))
    return replace(estimate, pose=pose, is_repeated=True)
