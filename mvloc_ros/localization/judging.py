# SPDX-License-Identifier: Apache-2.0
"""What a pose that a frame was registered to is worth: fused with what is known from before, scored, judged."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry import se3
from mvloc_ros.geometry.covariance import pose_error, through_extrinsic
from mvloc_ros.localization import verification
from mvloc_ros.localization.color_evidence import color_evidence
from mvloc_ros.localization.free_space import NOTHING_SEEN
from mvloc_ros.localization.hypotheses import Candidate
from mvloc_ros.localization.inlier_residuals import Support, support
from mvloc_ros.localization.local_map import LocalMap
from mvloc_ros.localization.pose import Pose
from mvloc_ros.localization.priors import Measured, Priors
from mvloc_ros.localization.registration import Registered
from mvloc_ros.localization.seen_frame import SeenFrame
from mvloc_ros.localization.sensor_agreement import SensorEvidence, disagreement, each_alone, sensor_evidence
from mvloc_ros.localization.starts import NETWORK, Start
from mvloc_ros.localization.uncertainty import with_floor
from mvloc_ros.localization.verification import Evidence
from mvloc_ros.model.map_spec import SceneMapSpec

Array = NDArray[np.float64]

# By so much a correlation with the map is clearly better than another.
_CLEARLY = 0.2
# From here down (natural logarithm of odds, as at a place of which nothing was known before) a frame refutes its pose,
# and that this is where the camera is expected says nothing for it. Of right poses of three drives in other light 1 of
# 100 is below -2.1; of wrong ones at which a camera that was carried elsewhere was expected, all are below -2.6.
_REFUTED = -2.5
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
        sensors: what each depth sensor that was used says of the pose.
        contradiction: which depth sensors contradict each other at the pose, in words; empty if none do.
        remark: which sensors were not used, and that, in words; else empty.
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
    sensors: tuple[SensorEvidence, ...] = ()
    contradiction: str = ""
    remark: str = ""


class Judge:
    """Judges the poses of one model's frames by one map."""

    def __init__(self, spec: SceneMapSpec, T_camera_depth: Array, resolution_m: float, threads: int) -> None:
        """Take what the manifest says of the map, the place of the pair's depth camera, and the map's resolution."""
        self._spec, self._T_camera_depth = spec, T_camera_depth
        self._resolution_m, self._threads = resolution_m, threads
        self._priors = Priors(T_camera_depth, spec.calibrated_inflation)

    def blocked_sensors(self, frame: SeenFrame, target: LocalMap, T_map_depth: Array) -> tuple[str, ...]:
        """The depth sensors that something stands in front of while others see; none where it does before all."""
        if len(frame.depths) < 2:
            return ()
        spaces = frame.spaces(target, T_map_depth, self._resolution_m)
        names = tuple(
            view.name
            for view, space in zip(frame.depths, spaces, strict=True)
            if verification.hides_too_much(space.hidden)
        )
        return names if len(names) < len(frame.depths) else ()

    def blocked(self, frame: SeenFrame, target: LocalMap, T_map_depth: Array) -> str:
        """Whether something hides most of the scene to every sensor at a pose, in words; empty if not."""
        spaces = frame.spaces(target, T_map_depth, self._resolution_m)
        sees = any(not verification.hides_too_much(space.hidden) for space in spaces)
        return "" if sees else verification.blocked(sum(spaces, NOTHING_SEEN))

    def with_each_alone(self, found: Refined, frame: SeenFrame) -> Refined:
        """With what each depth sensor alone says of the pose, and a remark where two contradict each other."""
        if len(found.sensors) < 2:
            return found
        T_map_depth = found.pose.T @ self._T_camera_depth
        at = found.support, found.target, T_map_depth, self._resolution_m, self._threads
        sensors = each_alone(found.sensors, frame.source, *at)
        said = disagreement(sensors, frame.source.rays.typical_m, self._spec.calibrated_inflation)
        remark = "; ".join(text for text in (found.remark, said) if text)
        return replace(found, sensors=sensors, contradiction=said, remark=remark)

    def judge(self, frame: SeenFrame, start: Start, target: LocalMap, registered: Registered) -> Refined:
        """A pose that a frame was registered to from a start, in a part of the map."""
        network, rays = frame.network, frame.source.rays
        T_map_depth, left_m = registered.T_map_depth, registered.left_m
        found = support(frame.source.points, target, T_map_depth, self._resolution_m, self._threads, rays)
        length_m = rays.typical_m
        measured = Measured(T_map_depth, found.hessian, length_m, left_m)
        T_fused, covariance, determined = self._priors.fused(frame.evidence, start, measured)
        looked = self._settled(frame, target, _Looked(T_map_depth, found, covariance), T_fused, length_m)
        T_depth_camera = se3.inverse(self._T_camera_depth)
        T_map_depth, found = looked.T_map_depth, looked.found
        T_map_camera = T_map_depth @ T_depth_camera
        spaces = frame.spaces(target, T_map_depth, self._resolution_m)
        space = sum(spaces, NOTHING_SEEN)
        covariance = through_extrinsic(looked.covariance, T_map_depth, T_depth_camera)
        covariance_camera = with_floor(covariance, self._spec.calibration)
        pose = Pose(network.stamp_ns, T_map_camera, covariance_camera)
        continuity, follows = self._priors.continuity(frame.accepted, measured, pose)
        agreement = verification.agreement(T_map_camera, frame.evidence)
        consensus = 0 if start.matches is None else start.matches.consensus(T_map_camera)
        evidence = verification.evidence(found, space, looked.color, agreement, continuity, consensus)
        fault = verification.fault(found, space, frame.is_blank) or verification.undetermined(covariance)
        log_odds = self._place_odds(evidence)
        follows = follows and not self._is_refuted(evidence)
        score, rejection = self._verdict(frame, evidence, fault, follows=follows)
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
            sensors=sensor_evidence(frame.source, found, spaces),
            remark="; ".join(frame.remarks),
        )

    def _settled(
        self, frame: SeenFrame, target: LocalMap, registered: _Looked, T_fused: Array, length_m: float
    ) -> _Looked:
        """The fused pose; the registered one where the colour image clearly speaks for that."""
        at_fused = registered.found
        apart = _apart_m(T_fused, registered.T_map_depth, length_m) > self._resolution_m
        if apart:
            # Geometry leaves something open, in which registration ended elsewhere than the prior says: colour decides.
            at_fused = support(
                frame.source.points, target, T_fused, self._resolution_m, self._threads, frame.source.rays
            )
        fused_look = _Looked(T_fused, at_fused, registered.covariance, self._color(frame, at_fused, target))
        if not apart:
            return fused_look
        color = self._color(frame, registered.found, target)
        if _likeness(color) <= _likeness(fused_look.color) + _CLEARLY:
            return fused_look
        # What is open has no prior now, and may be as far off as the prior was.
        error = pose_error(registered.T_map_depth, T_fused)
        return replace(registered, covariance=registered.covariance + np.outer(error, error), color=color)

    def _color(self, frame: SeenFrame, found: Support, target: LocalMap) -> dict[str, float]:
        return color_evidence(frame.colors, found, target, self._spec.acceptance)

    def _is_refuted(self, evidence: Evidence) -> bool:
        """Whether a frame says that the camera is not where it is expected; what geometry leaves open is known then."""
        spec = self._spec.acceptance_place or self._spec.acceptance
        usual = 0.0 if spec is None else spec.typical.get("observability", 0.0)
        known = replace(evidence, observability=max(evidence.observability, usual))
        return self._place_odds(known) <= _REFUTED

    def _place_odds(self, evidence: Evidence) -> float:
        """What a pose is worth against other places: log-odds of that score minus the threshold's; NaN if unknown."""
        spec = self._spec.acceptance_place or self._spec.acceptance
        if spec is None:
            return float("nan")
        return verification.log_odds(verification.score(evidence, spec)) - verification.log_odds(spec.threshold)

    def _verdict(self, frame: SeenFrame, evidence: Evidence, fault: str, *, follows: bool) -> tuple[float, str]:
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


def _apart_m(A: Array, B: Array, length_m: float) -> float:
    """How far two poses (4x4) are apart, in metres; their rotation by what it moves a point at `length_m`."""
    return float(se3.translation_error(A, B)) + length_m * float(se3.rotation_error(A, B))
