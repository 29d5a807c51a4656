# SPDX-License-Identifier: Apache-2.0
"""The network's pose refined against the scene map, and judged.

The network's pose starts; where its result is not believed, others do while the time budget lasts: the last believed
pose, and poses drawn around the network's with its own spread (the noise is fixed, so a frame gives the same result
each time). The best supported result wins.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry import quaternion, se3
from mvloc_ros.geometry.covariance import pose_error, through_extrinsic
from mvloc_ros.inference.frame import DepthImage
from mvloc_ros.inference.manifest import Manifest
from mvloc_ros.inference.map_spec import SceneMapSpec
from mvloc_ros.localization import verification
from mvloc_ros.localization.depth_points import DepthCamera
from mvloc_ros.localization.free_space import compare
from mvloc_ros.localization.local_map import LocalMap, LocalMaps
from mvloc_ros.localization.options import RefinementOptions
from mvloc_ros.localization.registration import Source, register
from mvloc_ros.localization.scene_map import SceneMap
from mvloc_ros.localization.support import Support, fused, support
from mvloc_ros.localization.uncertainty import with_floor
from mvloc_ros.localization.verification import Evidence

Array = NDArray[np.float64]

# Starting poses are drawn with at most this spread; further away the registration finds another place anyway.
_LARGEST_SPREAD = np.array([0.3] * 3 + [0.2] * 3)


@dataclass(frozen=True, eq=False)
class Refined:
    """What refinement found for one frame.

    Attributes:
        T_map_camera: of the camera that the model gives the pose of.
        covariance: 6x6, ROS order, map axes.
        score: in [0, 1]; NaN where the bundle does not say how to score.
        rejection: why the pose is not to be believed, in words; empty if it is.
        evidence: what the score is made of.
        support: residuals and Hessian at the pose.
        determined: how many of the six directions the geometry determines.
        starts: starting poses that were tried.
        iterations: of registration, over all starts.
        refinement_ms, verification_ms: wall time.
    """

    T_map_camera: Array
    covariance: Array
    score: float
    rejection: str
    evidence: Evidence
    support: Support
    determined: int
    starts: int
    iterations: int
    refinement_ms: float
    verification_ms: float


class Refiner:
    """Refines the poses of one model. Owned by one thread."""

    def __init__(self, manifest: Manifest, spec: SceneMapSpec, scene_map: SceneMap, options: RefinementOptions) -> None:
        """Take a map and what the manifest says of it and of the cameras."""
        self._spec, self._manifest = spec, manifest
        self._resolution_m = scene_map.resolution_m
        self._options = options
        self._threads = options.threads or 2
        self._depth = DepthCamera(manifest.depth_camera, spec.depth_min_m, spec.depth_max_m, scene_map.correction)
        self._T_color_depth = spec.extrinsic()
        self._T_camera_depth = self._T_color_depth if manifest.frames.pose_of == "color" else np.eye(4)
        self._maps = LocalMaps(scene_map, spec.depth_max_m, self._threads)
        self._draws = np.random.default_rng(0).standard_normal((64, 6))

    def warm_up(self, position: Array) -> None:
        """Prepare the map around a position `[3]`, so that the first frame there does not wait for it."""
        self._maps.at(position)

    def refine(
        self,
        T_map_camera: Array,
        covariance: Array,
        depth: DepthImage,
        color: NDArray[np.uint8] | None,
        believed: Array | None,
    ) -> Refined | str:
        """Refine one pose, or say why it cannot be.

        Args:
            T_map_camera: the network's, 4x4.
            covariance: the network's, 6x6.
            depth: the depth image as it came.
            color: RGB `[H, W, 3]`, in any size, None without.
            believed: the last pose that was believed (4x4), if it is recent.
        """
        began = time.perf_counter()
        deadline = began + 1e-3 * self._options.budget_ms
        source = Source.of(self._depth.points(depth), self._resolution_m, self._options.points, self._threads)
        if source is None:
            return "the depth image has too few points in range to be registered to the scene map"
        best: Refined | None = None
        refinement_s = time.perf_counter() - began
        verification_s = slowest_s = 0.0
        iterations = tried = 0
        for start in self._starts(T_map_camera, covariance, believed):
            started = time.perf_counter()
            # A further start is begun only if there is time for one like the slowest so far.
            if tried and started + slowest_s > deadline:
                break
            target = self._maps.at(start[:3, 3])
            if target is None:
                continue
            registered = register(
                source, target, start @ self._T_camera_depth, self._resolution_m, deadline, self._threads
            )
            ended = time.perf_counter()
            result = self._judge(source, target, registered.T_map_depth, T_map_camera, covariance, color)
            now = time.perf_counter()
            tried, iterations = tried + 1, iterations + registered.iterations
            refinement_s, verification_s = refinement_s + ended - started, verification_s + now - ended
            slowest_s = max(slowest_s, now - started)
            if best is None or _quality(result) > _quality(best):
                best = result
            if not best.rejection:
                break
        if best is None:
            return "the scene map has nothing where the network puts the camera"
        values = {
            "starts": tried, "iterations": iterations,
            "refinement_ms": 1e3 * refinement_s, "verification_ms": 1e3 * verification_s,
        }  # fmt: skip
        return Refined(**{**vars(best), **values})

    def _starts(self, network: Array, covariance: Array, believed: Array | None) -> Iterator[Array]:
        limit = self._options.starts
        yield network
        if believed is not None and limit > 1:
            yield believed
            limit -= 1
        spread = np.minimum(np.sqrt(np.diag(covariance)), _LARGEST_SPREAD)
        for draw in self._draws[: limit - 1]:
            yield moved(network, spread * draw)

    def _judge(
        self, source: Source, target: LocalMap, T_map_depth: Array, network: Array, prior: Array,
        color: NDArray[np.uint8] | None,
    ) -> Refined:  # fmt: skip
        network_depth = network @ self._T_camera_depth
        prior_depth = through_extrinsic(prior, network, self._T_camera_depth)
        found = support(source.points, target, T_map_depth, self._resolution_m, self._threads)
        length_m = float(np.median(source.points[:, 2]))
        delta = pose_error(T_map_depth, network_depth)
        delta, covariance, determined = fused(
            delta, found.hessian, prior_depth, length_m, self._spec.calibrated_inflation
        )
        T_map_depth = moved(network_depth, delta)
        distance = float(np.sqrt(delta @ np.linalg.solve(prior_depth, delta)))
        space = compare(source.points, target, T_map_depth, self._depth.camera, self._resolution_m)
        seen = self._appearance(found, target, color)
        evidence = verification.evidence(found, space, seen, distance)
        score, rejection = self._verdict(evidence, color)
        T_depth_camera = se3.inverse(self._T_camera_depth)
        return Refined(
            T_map_camera=T_map_depth @ T_depth_camera,
            covariance=with_floor(through_extrinsic(covariance, T_map_depth, T_depth_camera), self._spec.calibration),
            score=score,
            rejection=rejection,
            evidence=evidence,
            support=found,
            determined=determined,
            starts=0,
            iterations=0,
            refinement_ms=0.0,
            verification_ms=0.0,
        )

    def _appearance(self, found: Support, target: LocalMap, color: NDArray[np.uint8] | None) -> float:
        """Of a frame whose colour cannot be compared, what right poses have: it speaks neither for nor against."""
        acceptance = self._spec.acceptance
        neutral = 1.0 if acceptance is None else acceptance.typical["appearance"]
        if color is None:
            return neutral
        if verification.is_blank(color):
            return 0.0
        seen = verification.appearance(found, target, color, self._manifest.color_camera, self._T_color_depth)
        return neutral if seen is None else seen

    def _verdict(self, evidence: Evidence, color: NDArray[np.uint8] | None) -> tuple[float, str]:
        """Score and, if the pose is not to be believed, the reason."""
        spec = self._spec.acceptance
        if spec is None:
            return float("nan"), ""
        score = verification.score(evidence, spec)
        if score >= spec.threshold:
            return score, ""
        if color is not None and verification.is_blank(color):
            reason = "the colour image shows nothing (a covered lens, or no light)"
        else:
            reason = verification.explain(evidence, spec)
        return score, f"{reason}; score {score:.2f}, {spec.threshold:.2f} is asked for"


def moved(T: Array, delta: Array) -> Array:
    """A pose (4x4) with an error `[6]` added: position in metres, rotation vector about the map's axes."""
    result = np.array(T, dtype=np.float64)
    result[:3, 3] += delta[:3]
    result[:3, :3] = quaternion.to_matrix(quaternion.exp(0.5 * np.asarray(delta[3:]))) @ result[:3, :3]
    return result


def _quality(result: Refined) -> float:
    return result.support.share if np.isnan(result.score) else result.score
