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

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry import se3
from mvloc_ros.geometry.covariance import pose_error
from mvloc_ros.localization import verification
from mvloc_ros.localization.color_evidence import are_blank
from mvloc_ros.localization.hypotheses import Candidate, Search, same_place
from mvloc_ros.localization.judging import Judge, Refined
from mvloc_ros.localization.keyframe_starts import KeyframeStarts, Look
from mvloc_ros.localization.keyframes import Keyframes
from mvloc_ros.localization.local_map import LocalMap, LocalMaps
from mvloc_ros.localization.motion import moved
from mvloc_ros.localization.near_registration import REACH, register_near
from mvloc_ros.localization.options import RefinementOptions
from mvloc_ros.localization.pose import Pose
from mvloc_ros.localization.priors import is_vague
from mvloc_ros.localization.registration import STAGES, Registered, Source, register, stages_within
from mvloc_ros.localization.rig_points import PAIR_DEPTH, image_of
from mvloc_ros.localization.scene_map import SceneMap
from mvloc_ros.localization.seen_frame import DepthView, Images, SeenFrame, color_views, depth_views
from mvloc_ros.localization.sensor_rig import SensorRig
from mvloc_ros.localization.starts import DRAW, HYPOTHESIS, NETWORK, TRACKER, Start, in_order
from mvloc_ros.localization.tracker import Expectation
from mvloc_ros.localization.unverified import Unrefined
from mvloc_ros.model.frame import NO_FURTHER, DepthImage
from mvloc_ros.model.manifest import Manifest
from mvloc_ros.model.map_spec import SceneMapSpec

Array = NDArray[np.float64]

# Starting poses are drawn with at most this spread; further away the registration finds another place anyway.
_LARGEST_SPREAD = np.array([0.3] * 3 + [0.2] * 3)
# Squared Mahalanobis distance (six degrees of freedom) of where registration ends from the start that features told,
# above which it has slid to what was moved. Of such ones on drives that no result is told of 4 of 14 were right, and 10
# of those that begin at the features again, with these as prior.
_CONTRADICTION = 30.0
# A registration that ended so near to a start (metres, radians) would end there from it, too.
_THERE = 0.05, np.radians(2.0)


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
        self._resolution_m = scene_map.resolution_m
        self._options = options
        self.scene_map = scene_map
        self.rig = SensorRig.of_map(manifest, spec, scene_map)
        self._T_camera_depth = self.rig.T_camera_depth
        self._maps = LocalMaps(scene_map, spec.depth_max_m, options.threads)
        self._draws = np.random.default_rng(0).standard_normal((64, 6))
        self._judge = Judge(spec, self._T_camera_depth, self._resolution_m, options.threads)
        self._inflation = spec.calibrated_inflation
        self._judging_s = 0.0
        reach = () if manifest.keyframes is None else manifest.keyframes.reach
        self.keyframe_starts = None if keyframes is None else KeyframeStarts(keyframes, reach)

    def warm_up(self, positions: Array) -> None:
        """Prepare the map around positions `[N, 3]`, so that the first frame there does not wait for it."""
        self._maps.prepare(positions)

    def refine(
        self,
        network: Pose,
        depth: DepthImage | None,
        color: NDArray[np.uint8] | None,
        expected: Expectation | None,
        look: Look | None = None,
        search: Search | None = None,
        further: Images = NO_FURTHER,
    ) -> Refined | Unrefined:
        """Refine one pose, or say why it cannot be.

        Args:
            network: its pose.
            depth: the depth image as it came, None without.
            color: RGB `[H, W, 3]`, in any size, None without.
            expected: where the tracker expects the camera; None if it does not.
            look: what keyframes are compared with; None: none is looked for.
            search: what earlier frames leave open; None where no further frame will tell places apart, so that the
                first pose that is not rejected ends it.
            further: images of the further sensors by name, as they came.

        Raises:
            FrameError: the image of a further color camera does not fit the model.
        """
        began = time.perf_counter()
        deadline = began + 1e-3 * self._options.budget_ms
        depths = depth_views(self.rig, depth, further)
        frame = self._frame(network, depths, color, expected, further)
        if frame is None:
            return self._out_of_range(depths, color, further)
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
            if best is None or quality(result, search) > quality(best, search):
                best = replace(result, start=start.name, is_of_keyframe=start.name not in self._sure(frame))
            candidates += result.candidates
            if not result.rejection and (search is None or result.follows or start.name in self._sure(frame)):
                break
        if best is None:
            return Unrefined(
                "the scene map has nothing where the network puts the camera",
                verification.color_fault(frame.is_blank),
            )
        if best.rejection and not frame.is_blank and not is_vague(network) and time.perf_counter() < deadline:
            # Whatever blocks the view is itself what registration fits to the map, at some pose where it hides nothing.
            blocked = self._blocked(frame)
            if blocked:
                best, candidates = replace(best, rejection=blocked, is_weak=False), []
        best = self._agreed(best, frame, deadline)
        return replace(
            best,
            candidates=tuple(candidates),
            starts=tried,
            iterations=iterations,
            refinement_ms=1e3 * refinement_s,
            verification_ms=1e3 * verification_s,
        )

    def _out_of_range(self, depths: Sequence[DepthView], color: NDArray[np.uint8] | None, further: Images) -> Unrefined:
        """What is to be said of a frame without points to be registered."""
        blank = verification.color_fault(are_blank(color_views(self.rig, color, further)))
        if not depths:
            return Unrefined("there is no depth image", blank)
        nearer = [view.depth.share_nearer(view.image) for view in depths]
        if all(map(verification.hides_too_much, nearer)):
            first = depths[0]
            reason = (
                f"{nearer[0]:.0%} of {image_of(first.name)} is nearer than the {first.depth.near_m:g} m from which the "
                "scene map is used (the view is blocked, or the depth is in another unit)"
            )
            return Unrefined(reason, blank or reason)
        which = image_of(depths[0].name) if len(depths) == 1 else "each depth image"
        return Unrefined(f"{which} has too few points in range to be registered to the scene map", blank)

    def attempt(
        self,
        start: Start,
        network: Pose,
        depth: DepthImage | None,
        color: NDArray[np.uint8] | None,
        expected: Expectation | None = None,
        further: Images = NO_FURTHER,
    ) -> Refined | None:
        """What one start alone leads to, however long it takes; None where it leads nowhere. Arguments as `refine`."""
        frame = self._frame(network, depth_views(self.rig, depth, further), color, expected, further)
        return None if frame is None else self._attempt(frame, start, float("inf"))

    def _frame(
        self,
        network: Pose,
        depths: tuple[DepthView, ...],
        color: NDArray[np.uint8] | None,
        expected: Expectation | None,
        further: Images,
    ) -> SeenFrame | None:
        """None where no depth sensor has enough points."""
        points = [view.points for view in depths]
        options = self._options
        source = Source.of_sensors(points, self._resolution_m, options.points, options.threads) if points else None
        if source is None:
            return None
        return SeenFrame.of(source, depths, color_views(self.rig, color, further), network, expected)

    def _sure(self, frame: SeenFrame) -> tuple[str, ...]:
        """The starts whose accepted pose is compared with no other place, as what told them knows the place."""
        knows_little = self.keyframe_starts is not None and is_vague(frame.network)
        return (TRACKER,) if knows_little else (TRACKER, NETWORK, DRAW)

    def _starts(self, frame: SeenFrame, look: Look | None, search: Search, deadline: float) -> Iterator[Start]:
        network, expected = frame.network, frame.expected
        finder = self.keyframe_starts
        retrieved = None if finder is None or look is None else finder.of(look, search)
        spread = np.minimum(np.sqrt(np.diag(network.covariance)), _LARGEST_SPREAD)
        drawn = (moved(network.T, spread * draw) for draw in self._draws)
        # A covered lens is covered wherever the camera is.
        limit = 1 if frame.is_blank else self._options.starts
        told = None if expected is None else expected.pose
        # One at the expected pose is that start already.
        possible = [pose for pose in search.possible if told is None or not same_place(pose.T, told.T)]

        def by_scan() -> Sequence[Start]:
            return () if retrieved is None or look is None else look.by_scan(deadline, possible, told is not None)

        reach_m = frame.reach_m
        if stages_within(reach_m, self._resolution_m) == STAGES:
            reach_m = math.inf  # so that the expected pose is not registered twice alike
        return in_order(network, told, retrieved, drawn, limit, possible, by_scan, reach_m)

    def _attempt(self, frame: SeenFrame, start: Start, deadline: float) -> Refined | None:
        """One start; None where the map has nothing there."""
        target = self._maps.at(start.T[:3, 3])
        if target is None:
            return None
        began = time.perf_counter()
        registered = self._registered(frame, start, target, deadline)
        names = self._judge.blocked_sensors(frame, target, registered.T_map_depth)
        if names:
            # Registration fits what stands before a sensor to the map as well. The others know the pose without it.
            others = frame.without(names)
            again = self._registered(others, start, target, deadline)
            if again.iterations:
                frame, registered = others, replace(again, iterations=registered.iterations + again.iterations)
        ended = time.perf_counter()
        result = self._judge.judge(frame, start, target, registered)
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

    def _agreed(self, best: Refined, frame: SeenFrame, deadline: float) -> Refined:
        """The result, or where depth sensors contradict each other that of the pair's depth alone, with a remark."""
        found = self._judge.with_each_alone(best, frame.of_sensors([one.name for one in best.sensors]))
        if not found.contradiction or found.sensors[0].name != PAIR_DEPTH:
            return found
        pair = self._attempt(frame.of_sensors([PAIR_DEPTH]), Start(found.start, found.pose.T), deadline)
        if pair is None or not pair.iterations:
            return found
        return replace(
            pair,
            start=found.start,
            is_of_keyframe=found.is_of_keyframe,
            sensors=found.sensors,
            contradiction=found.contradiction,
            remark=f"{found.remark}; the pose is that of the depth image alone",
        )

    def _registered(self, frame: SeenFrame, start: Start, target: LocalMap, deadline: float) -> Registered:
        ends, threads = deadline - self._judging_s, self._options.threads

        def near(expected: Pose) -> Registered:
            at = expected.of_child(self._T_camera_depth), self._inflation, self._resolution_m, ends, threads
            return register_near(frame.source, target, *at)

        if frame.accepted is not None and start.reach_m <= REACH * self._resolution_m:
            return near(frame.accepted)
        T_map_depth = start.T @ self._T_camera_depth
        found = register(frame.source, target, T_map_depth, self._resolution_m, ends, threads, start.reach_m)
        if not found.iterations or start.matches is None or start.covariance is None:
            return found
        told = Pose(frame.network.stamp_ns, start.T, start.covariance)
        error = pose_error(found.T_map_depth @ se3.inverse(self._T_camera_depth), told.T)
        if float(error @ np.linalg.solve(told.covariance, error)) <= _CONTRADICTION:
            return found
        again = near(told)
        return replace(again, iterations=found.iterations + again.iterations) if again.iterations else found

    def _blocked(self, frame: SeenFrame) -> str:
        """Whether something hides most of the scene where the network puts the camera, in words; empty if not."""
        T_map_depth = frame.network.T @ self._T_camera_depth
        target = self._maps.at(T_map_depth[:3, 3])
        if target is None:
            return ""
        return self._judge.blocked(frame, target, T_map_depth)


def _led_to(start: Start, candidates: Sequence[Candidate]) -> bool:
    """Whether another start has led there already, with something that speaks for it."""
    return any(one.evidence > 0.0 and same_place(one.pose.T, start.T, *_THERE) for one in candidates)


def quality(result: Refined, search: Search | None) -> tuple[bool, bool, float]:
    """What the better one of two results has more of.

    First that it is not rejected; then, where an accepted pose is known, that it follows from that; then its score. One
    that follows and is rejected for its score alone counts as not rejected while what spoke for the place so far
    outweighs that: copies of a place score high as well.
    """
    score = result.support.share if np.isnan(result.score) else result.score
    known = 0.0 if search is None else search.for_expected
    follows = result.follows and known > 0.0
    outweighed = follows and result.is_weak and known + sum(one.log_odds for one in result.candidates) > 0.0
    return not result.rejection or outweighed, follows, score
