# SPDX-License-Identifier: Apache-2.0
"""The network's pose refined against the scene map, and judged.

The network's pose starts; where its result is rejected, others do while the time budget lasts: where the tracker
expects the camera (the last accepted pose moved by odometry, or a hint), and poses of keyframes that look like the
frame, or, without keyframes, poses drawn around the network's with its own spread (the noise is fixed, so a frame gives
the same result each time). Their order is that of `starts`. The best supported result wins.

The budget is wall time, and other programs may have the cores: registration ends early enough that judging, which took
as long as it lately did, still fits, and a further start is begun only where one like the slowest so far fits.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry import se3
from mvloc_ros.geometry.covariance import pose_error, through_extrinsic
from mvloc_ros.localization import appearance, free_space, local_contrast, verification
from mvloc_ros.localization.hypotheses import Candidate, Search, same_place
from mvloc_ros.localization.inlier_residuals import Support, support
from mvloc_ros.localization.keyframe_starts import KeyframeStarts, Look
from mvloc_ros.localization.keyframes import Keyframes
from mvloc_ros.localization.local_map import LocalMap, LocalMaps
from mvloc_ros.localization.motion import moved
from mvloc_ros.localization.options import RefinementOptions
from mvloc_ros.localization.pose import Pose
from mvloc_ros.localization.priors import Measured, Priors, is_vague
from mvloc_ros.localization.registration import Registered, Source, register
from mvloc_ros.localization.scene_map import SceneMap
from mvloc_ros.localization.sensor_rig import SensorRig
from mvloc_ros.localization.starts import DRAW, HYPOTHESIS, NETWORK, TRACKER, Start, in_order
from mvloc_ros.localization.tracker import Expectation
from mvloc_ros.localization.uncertainty import with_floor
from mvloc_ros.localization.unverified import Unrefined
from mvloc_ros.localization.verification import Evidence
from mvloc_ros.model.frame import DepthImage
from mvloc_ros.model.manifest import Manifest
from mvloc_ros.model.map_spec import SceneMapSpec

Array = NDArray[np.float64]

# Starting poses are drawn with at most this spread; further away the registration finds another place anyway.
_LARGEST_SPREAD = np.array([0.3] * 3 + [0.2] * 3)
# By so much a correlation with the map is clearly better than another.
_CLEARLY = 0.2
# A registration that ended so near to a start (metres, radians) would end there from it, too.
_THERE = 0.05, np.radians(2.0)
_CORRELATIONS = verification.CONTRAST[0], verification.BRIGHTNESS[0]


@dataclass(frozen=True, eq=False)
class Refined:
    """What refinement found for one frame.

    Attributes:
        pose: of the camera that the model gives the pose of.
        score: in [0, 1]; NaN where the bundle does not say how to score.
        rejection: why the pose is rejected, in words; empty if it is not.
        follows: whether registration agrees with the pose accepted last, so that it is judged by less.
        evidence: what the score is made of.
        support: residuals and Hessian at the pose.
        target: the part of the map that the pose was registered to.
        determined: how many of the six directions the geometry determines.
        starts: starting poses that were tried.
        iterations: of registration, over all starts; 0: the budget was used up before, and the pose is the start's.
        refinement_ms, verification_ms: wall time.
        start: where the start of this result came from; see `Start`.
        is_of_keyframe: it started from a keyframe or a hypothesis, or from a network that knows little of the place.
        is_weak: `rejection` is that the score is too low.
        candidates: all poses that the frame was registered to; empty if something blocks the view.
    """

    pose: Pose
    score: float
    rejection: str
    follows: bool
    evidence: Evidence
    support: Support
    target: LocalMap
    determined: int
    starts: int
    iterations: int
    refinement_ms: float
    verification_ms: float
    start: str = NETWORK
    is_of_keyframe: bool = False
    is_weak: bool = False
    candidates: tuple[Candidate, ...] = ()


class Refiner:
    """Refines the poses of one model. Owned by one thread.

    Attributes:
        scene_map: what poses are refined against.
        rig: the cameras.
        keyframe_starts: finds starts in keyframes; None without keyframes.
    """

    def __init__(
        self,
        manifest: Manifest,
        spec: SceneMapSpec,
        scene_map: SceneMap,
        options: RefinementOptions,
        keyframes: Keyframes | None = None,
    ) -> None:
        """Take a map and what the manifest says of it and of the cameras, and keyframes to start from, if any."""
        self._spec, self._manifest = spec, manifest
        self._resolution_m = scene_map.resolution_m
        self._options = options
        self.scene_map = scene_map
        self.rig = SensorRig.of_map(manifest, spec, scene_map)
        self._depth, self._T_color_depth = self.rig.depth, self.rig.T_color_depth
        self._T_camera_depth = self.rig.T_camera_depth
        self._maps = LocalMaps(scene_map, spec.depth_max_m, options.threads)
        self._draws = np.random.default_rng(0).standard_normal((64, 6))
        self._priors = Priors(self._T_camera_depth, spec.calibrated_inflation)
        self._judging_s = 0.0
        reach = () if manifest.keyframes is None else manifest.keyframes.reach
        self.keyframe_starts = None if keyframes is None else KeyframeStarts(keyframes, reach)

    def warm_up(self, positions: Array) -> None:
        """Prepare the map around positions `[N, 3]`, so that the first frame there does not wait for it."""
        self._maps.prepare(positions)

    def refine(
        self,
        network: Pose,
        depth: DepthImage,
        color: NDArray[np.uint8] | None,
        expected: Expectation | None,
        look: Look | None = None,
        search: Search | None = None,
    ) -> Refined | Unrefined:
        """Refine one pose, or say why it cannot be.

        Args:
            network: its pose.
            depth: the depth image as it came.
            color: RGB `[H, W, 3]`, in any size, None without.
            expected: where the tracker expects the camera; None if it does not.
            look: what keyframes are compared with; None: none is looked for.
            search: what earlier frames leave open; None where no further frame will tell places apart, so that the
                first pose that is not rejected ends it.
        """
        began = time.perf_counter()
        deadline = began + 1e-3 * self._options.budget_ms
        frame = self._frame(network, depth, color, expected)
        if frame is None:
            return self._out_of_range(depth, color)
        best: Refined | None = None
        refinement_s = time.perf_counter() - began
        verification_s = slowest_s = 0.0
        iterations = tried = 0
        candidates: list[Candidate] = []
        for start in self._starts(frame, look, search or Search(), deadline):
            if start.name == HYPOTHESIS and _led_to(start, candidates):
                continue
            started = time.perf_counter()
            if tried and started + slowest_s > deadline:
                break
            if start.name != NETWORK and started > deadline:
                continue  # nothing would be registered, and a part of a large map might be built for nothing
            result = self._attempt(frame, start, deadline)
            if result is None or (start.name != NETWORK and result.iterations == 0):
                continue  # the network's own pose is worth a verdict without registration, a drawn one is not
            tried, iterations = tried + 1, iterations + result.iterations
            refinement_s += 1e-3 * result.refinement_ms
            verification_s += 1e-3 * result.verification_ms
            slowest_s = max(slowest_s, time.perf_counter() - started)
            if best is None or _quality(result) > _quality(best):
                best = replace(result, start=start.name, is_of_keyframe=start.name not in self._sure(frame))
            candidates += result.candidates
            if not result.rejection and (search is None or result.follows or start.name in self._sure(frame)):
                break
        if best is None:
            return Unrefined(
                "the scene map has nothing where the network puts the camera",
                verification.color_fault(frame.blank),
            )
        if best.rejection and not frame.blank and not is_vague(network) and time.perf_counter() < deadline:
            # Whatever blocks the view is itself what registration fits to the map, at some pose where it hides nothing.
            blocked = self._blocked(frame)
            if blocked:
                best, candidates = replace(best, rejection=blocked, is_weak=False), []
        return replace(
            best,
            candidates=tuple(candidates),
            starts=tried,
            iterations=iterations,
            refinement_ms=1e3 * refinement_s,
            verification_ms=1e3 * verification_s,
        )

    @staticmethod
    def without_depth(color: NDArray[np.uint8] | None) -> Unrefined:
        """What is to be said of a frame that has no usable depth image."""
        return Unrefined("there is no depth image", verification.color_fault(_is_blank(color)))

    def _out_of_range(self, depth: DepthImage, color: NDArray[np.uint8] | None) -> Unrefined:
        near_m, nearer = self._spec.depth_min_m, self._depth.share_nearer(depth)
        blank = verification.color_fault(_is_blank(color))
        if verification.hides_too_much(nearer):
            reason = (
                f"{nearer:.0%} of the depth image is nearer than the {near_m:g} m from which the scene map is used "
                "(the view is blocked, or the depth is in another unit)"
            )
            return Unrefined(reason, blank or reason)
        return Unrefined("the depth image has too few points in range to be registered to the scene map", blank)

    def attempt(
        self,
        start: Start,
        network: Pose,
        depth: DepthImage,
        color: NDArray[np.uint8] | None,
        expected: Expectation | None = None,
    ) -> Refined | None:
        """What one start alone leads to, however long it takes; None where it leads nowhere."""
        frame = self._frame(network, depth, color, expected)
        return None if frame is None else self._attempt(frame, start, float("inf"))

    def _frame(
        self, network: Pose, depth: DepthImage, color: NDArray[np.uint8] | None, expected: Expectation | None
    ) -> _Frame | None:
        source = Source.of(self._depth.points(depth), self._resolution_m, self._options.points, self._options.threads)
        if source is None:
            return None
        # What is too near to be registered hides the scene all the same.
        seen = np.concatenate([source.points, self._depth.nearer(depth, 2 * free_space.COLUMNS)])
        return _Frame(source, seen, color, _is_blank(color), network, expected)

    def _sure(self, frame: _Frame) -> tuple[str, ...]:
        """The starts whose accepted pose is compared with no other place, as what told them knows the place."""
        knows_little = self.keyframe_starts is not None and is_vague(frame.network)
        return (TRACKER,) if knows_little else (TRACKER, NETWORK, DRAW)

    def _starts(self, frame: _Frame, look: Look | None, search: Search, deadline: float) -> Iterator[Start]:
        network, expected = frame.network, frame.expected
        finder = self.keyframe_starts
        retrieved = None if finder is None or look is None else finder.of(look, search)
        spread = np.minimum(np.sqrt(np.diag(network.covariance)), _LARGEST_SPREAD)
        drawn = (moved(network.T, spread * draw) for draw in self._draws)
        # A covered lens is covered wherever the camera is.
        limit = 1 if frame.blank else self._options.starts
        told = None if expected is None else expected.pose
        # One at the expected pose is that start already.
        possible = [pose for pose in search.possible if told is None or not same_place(pose.T, told.T)]

        def by_scan() -> Sequence[Start]:
            return () if retrieved is None or look is None else look.by_scan(deadline, possible, told is not None)

        return in_order(network, told, retrieved, drawn, limit, possible, by_scan)

    def _attempt(self, frame: _Frame, start: Start, deadline: float) -> Refined | None:
        """One start; None where the map has nothing there."""
        target = self._maps.at(start.T[:3, 3])
        if target is None:
            return None
        began = time.perf_counter()
        registered = register(
            frame.source,
            target,
            start.T @ self._T_camera_depth,
            self._resolution_m,
            deadline - self._judging_s,
            self._options.threads,
        )
        ended = time.perf_counter()
        result = self._judge(frame, start, target, registered)
        judging_s = time.perf_counter() - ended
        # Rises at once and falls slowly, so that it covers what other programs cost.
        # One slow moment must not take all of the budget from the registrations that follow.
        self._judging_s = min(max(judging_s, 0.9 * self._judging_s), 0.5e-3 * self._options.budget_ms)
        return replace(
            result,
            iterations=registered.iterations,
            refinement_ms=1e3 * (ended - began),
            verification_ms=1e3 * judging_s,
        )

    def _blocked(self, frame: _Frame) -> str:
        """Whether something hides most of the scene where the network puts the camera, in words; empty if not."""
        T_map_depth = frame.network.T @ self._T_camera_depth
        target = self._maps.at(T_map_depth[:3, 3])
        if target is None:
            return ""
        space = free_space.compare(frame.seen, target, T_map_depth, self._depth.camera, self._resolution_m)
        return verification.blocked(space)

    def _judge(self, frame: _Frame, start: Start, target: LocalMap, registered: Registered) -> Refined:
        points, threads, network = frame.source.points, self._options.threads, frame.network
        T_map_depth, left_m = registered.T_map_depth, registered.left_m
        found = support(points, target, T_map_depth, self._resolution_m, threads)
        length_m = float(np.median(points[:, 2]))
        measured = Measured(T_map_depth, found.hessian, length_m, left_m)
        T_fused, covariance, determined = self._priors.fused(frame.evidence, start, measured)
        looked = self._settled(frame, target, _Looked(T_map_depth, found, covariance), T_fused, length_m)
        T_depth_camera = se3.inverse(self._T_camera_depth)
        T_map_depth, found = looked.T_map_depth, looked.found
        T_map_camera = T_map_depth @ T_depth_camera
        space = free_space.compare(frame.seen, target, T_map_depth, self._depth.camera, self._resolution_m)
        covariance = through_extrinsic(looked.covariance, T_map_depth, T_depth_camera)
        covariance_camera = with_floor(covariance, self._spec.calibration)
        pose = Pose(network.stamp_ns, T_map_camera, covariance_camera)
        continuity, follows = self._priors.continuity(frame.accepted, measured, pose)
        agreement = verification.agreement(T_map_camera, frame.evidence)
        consensus = 0 if start.matches is None else start.matches.consensus(T_map_camera)
        evidence = verification.evidence(found, space, looked.color, agreement, continuity, consensus)
        fault = verification.fault(found, space, frame.blank) or verification.undetermined(covariance)
        score, rejection = self._verdict(frame, evidence, fault, follows=follows)
        log_odds = self._place_odds(evidence)
        return Refined(
            pose=pose,
            score=score,
            rejection=rejection,
            follows=follows,
            evidence=evidence,
            support=found,
            target=target,
            determined=determined,
            starts=1,
            iterations=0,
            refinement_ms=0.0,
            verification_ms=0.0,
            is_weak=bool(rejection) and not fault,
            candidates=() if np.isnan(log_odds) else (Candidate(pose, log_odds, bool(fault)),),
        )

    def _settled(
        self, frame: _Frame, target: LocalMap, registered: _Looked, T_fused: Array, length_m: float
    ) -> _Looked:
        """The fused pose; the registered one where the colour image clearly speaks for that."""
        at_fused = registered.found
        apart = _apart_m(T_fused, registered.T_map_depth, length_m) > self._resolution_m
        if apart:
            # Geometry leaves something open, in which registration ended elsewhere than the prior says: colour decides.
            at_fused = support(frame.source.points, target, T_fused, self._resolution_m, self._options.threads)
        fused_look = _Looked(T_fused, at_fused, registered.covariance, self._color_evidence(frame, at_fused, target))
        if not apart:
            return fused_look
        color = self._color_evidence(frame, registered.found, target)
        if _likeness(color) <= _likeness(fused_look.color) + _CLEARLY:
            return fused_look
        # What is open has no prior now, and may be as far off as the prior was.
        error = pose_error(registered.T_map_depth, T_fused)
        return replace(registered, covariance=registered.covariance + np.outer(error, error), color=color)

    def _color_evidence(self, frame: _Frame, found: Support, target: LocalMap) -> dict[str, float]:
        """What the map's weights ask of the colour image; what is typical where it cannot be compared."""
        asked = verification.asked_of_color(self._spec.acceptance)
        if frame.blank:
            return dict.fromkeys(asked, 0.0) | {"texture": 0.0}
        evidence = verification.typical_color(self._spec.acceptance)
        if frame.color is None:
            return evidence | {"texture": 0.0}
        at = found, target, frame.color, self._manifest.color_camera, self._T_color_depth
        texture = 0.0
        if set(asked) & set(verification.CONTRAST) and (contrast := local_contrast.compare(*at)) is not None:
            evidence |= verification.contrast_evidence(contrast)
            texture = 1.0
        if set(asked) & set(verification.BRIGHTNESS) and (brightness := appearance.compare(*at)) is not None:
            evidence |= verification.brightness_evidence(brightness)
        return {name: evidence[name] for name in asked} | {"texture": texture}

    def _place_odds(self, evidence: Evidence) -> float:
        """What a pose is worth against other places: log-odds of that score minus the threshold's; NaN if unknown."""
        spec = self._spec.acceptance_place or self._spec.acceptance
        if spec is None:
            return float("nan")
        return verification.log_odds(verification.score(evidence, spec)) - verification.log_odds(spec.threshold)

    def _verdict(self, frame: _Frame, evidence: Evidence, fault: str, *, follows: bool) -> tuple[float, str]:
        """Score and, if the pose is rejected, the reason."""
        followed = self._spec.acceptance_followed if follows else None
        spec = followed or self._spec.acceptance
        if spec is None:
            return float("nan"), fault
        threshold = spec.threshold
        if followed is not None and frame.is_by_odometry:
            threshold = followed.threshold_by_odometry or threshold
        score = verification.score(evidence, spec)
        if fault or score >= threshold:
            return score, fault
        words = f"{verification.explain(evidence, spec)}; score {score:.2f}, {threshold:.2f} is asked for"
        return score, words


@dataclass(frozen=True, eq=False)
class _Frame:
    """What is known of one frame before any start.

    Attributes:
        source: the depth image's points in the map's range.
        seen: these, and the ones that are nearer, `[N, 3]` in the depth camera's frame.
        blank: whether the colour image shows nothing.
    """

    source: Source
    seen: Array
    color: NDArray[np.uint8] | None
    blank: bool
    network: Pose
    expected: Expectation | None

    @property
    def accepted(self) -> Pose | None:
        """Where the camera is expected by the pose that was accepted last; None without one, and of a person's hint."""
        return None if self.expected is None or self.expected.is_hint else self.expected.pose

    @property
    def is_by_odometry(self) -> bool:
        """Whether odometry told where the camera is expected."""
        return self.expected is not None and self.expected.by_odometry

    @property
    def evidence(self) -> tuple[Pose, ...]:
        """The poses whose agreement with a result speaks for it; that with a person's hint does not."""
        return (self.network,) if self.accepted is None else (self.network, self.accepted)


@dataclass(frozen=True, eq=False)
class _Looked:
    """A pose (4x4, of the depth camera), its support, its covariance (6x6), and what the colour image tells of it."""

    T_map_depth: Array
    found: Support
    covariance: Array
    color: dict[str, float] = field(default_factory=dict)


def _likeness(color: dict[str, float]) -> float:
    """The correlation of the colour image with the map, by which of both the map's weights ask."""
    found = [color[name] for name in _CORRELATIONS if name in color]
    return max((value for value in found if not np.isnan(value)), default=0.0)


def _is_blank(color: NDArray[np.uint8] | None) -> bool:
    return color is not None and appearance.is_blank(color)


def _led_to(start: Start, candidates: Sequence[Candidate]) -> bool:
    """Whether another start has led there already, with something that speaks for it."""
    return any(one.evidence > 0.0 and same_place(one.pose.T, start.T, *_THERE) for one in candidates)


def _apart_m(A: Array, B: Array, length_m: float) -> float:
    """How far two poses (4x4) are apart, in metres; their rotation by what it moves a point at `length_m`."""
    return float(se3.translation_error(A, B)) + length_m * float(se3.rotation_error(A, B))


def _quality(result: Refined) -> tuple[bool, float]:
    """What the better one of two results has more of: first that it is not rejected, then its score."""
    return not result.rejection, result.support.share if np.isnan(result.score) else result.score
