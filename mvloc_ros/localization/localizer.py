# SPDX-License-Identifier: Apache-2.0
"""Frame in, pose in the map out: the one path that live and offline localization share."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry import quaternion, se3
from mvloc_ros.inference.backend import Backend, NetworkOutput
from mvloc_ros.inference.bundle import Bundle
from mvloc_ros.inference.frame import Frame, FrameError
from mvloc_ros.inference.manifest import Manifest
from mvloc_ros.inference.preprocess import DepthRegistration, prepare_color, prepare_depth
from mvloc_ros.localization.uncertainty import ResidualCovariance

# Below this share of valid pixels a depth image tells nothing (a covered lens, a sensor out of range).
_MIN_VALID_DEPTH = 0.01


@dataclass(frozen=True)
class StepTimes:
    """Wall time of the steps of one frame in milliseconds."""

    preprocess_ms: float
    inference_ms: float
    localization_ms: float


@dataclass(frozen=True)
class PoseEstimate:
    """Where the camera was at `stamp_ns`.

    Attributes:
        T_map_camera: float64 4x4, the optical frame of the camera that the model was trained for.
        covariance: 6x6 in ROS order (x, y, z, rotation about x, y, z), metres and radians, map axes.
        color_used, depth_used: which modalities' experts took part.
        expert_share: prior, colour, depth: share of each expert in the joint precision, summing to 1.
        remark: why a modality was not used, in words; empty if both were.
    """

    stamp_ns: int
    T_map_camera: NDArray[np.float64]
    covariance: NDArray[np.float64]
    color_used: bool
    depth_used: bool
    expert_share: tuple[float, float, float]
    times: StepTimes
    remark: str


class Localizer:
    """Localizes single frames with one model. Owned by one thread."""

    def __init__(self, bundle: Bundle, backend: Backend) -> None:
        """Take a model and what runs it; the caller keeps ownership of the backend."""
        self._bundle = bundle
        self._backend = backend
        spec = bundle.manifest.input
        self._no_color = np.zeros((spec.height, spec.width, 3), np.uint8)
        self._no_depth = np.zeros((spec.height, spec.width), np.float32)
        self._registration = _registration(bundle.manifest)
        self._covariance = ResidualCovariance(bundle.manifest)

    def warm_up(self, runs: int = 3) -> float:
        """Run blank frames so that the first real one is not slow; milliseconds of the last run."""
        present = np.ones(2, np.float32)
        elapsed = 0.0
        for _ in range(runs):
            start = time.perf_counter()
            self._backend.run(self._no_color, self._no_depth, present)
            elapsed = 1e3 * (time.perf_counter() - start)
        return elapsed

    def process(self, frame: Frame) -> PoseEstimate:
        """Localize one frame.

        Raises:
            FrameError: neither modality can be used, an image does not fit the model, or the network's
                answer is not finite.
        """
        start = time.perf_counter()
        color, depth, remark = self._prepare(frame)
        present = np.array([color is not None, depth is not None], dtype=np.float32)
        prepared = time.perf_counter()
        output = self._backend.run(
            self._no_color if color is None else color, self._no_depth if depth is None else depth, present
        )
        inferred = time.perf_counter()
        prior, color_share, depth_share = (float(share) for share in output.expert_share)
        if color_share + depth_share <= 0.0:
            raise FrameError(
                f"The model {self._bundle.name} ({self._bundle.manifest.system}) uses none of the images that are "
                f"there ({remark}); give it the other one, or a model that uses both."
            )
        T_map_camera = self._pose(output)
        done = time.perf_counter()
        return PoseEstimate(
            stamp_ns=frame.stamp_ns,
            T_map_camera=T_map_camera,
            covariance=self._covariance.of(color is not None, depth is not None),
            color_used=color is not None,
            depth_used=depth is not None,
            expert_share=(prior, color_share, depth_share),
            times=StepTimes(1e3 * (prepared - start), 1e3 * (inferred - prepared), 1e3 * (done - inferred)),
            remark=remark,
        )

    def _prepare(self, frame: Frame) -> tuple[NDArray[np.uint8] | None, NDArray[np.float32] | None, str]:
        spec = self._bundle.manifest.input
        color = None if frame.color is None else prepare_color(frame.color, spec.height, spec.width)
        depth = None if frame.depth is None else prepare_depth(frame.depth, spec.height, spec.width, self._registration)
        remark = "no colour image" if color is None else ""
        if depth is None:
            remark = "no depth image"
        else:
            # NaN compares false, so it counts as invalid here as it does in the graph.
            valid = np.count_nonzero((depth > spec.depth_min_m) & (depth < spec.depth_max_m)) / depth.size
            if valid < _MIN_VALID_DEPTH:
                remark = (
                    f"the depth image has {valid:.1%} of its pixels between {spec.depth_min_m:g} and "
                    f"{spec.depth_max_m:g} m, so depth is left out; check the sensor and the unit of its images"
                )
                depth = None
        if color is None and depth is None:
            raise FrameError(f"The frame cannot be localized: no colour image, and {remark}.")
        return color, depth, remark

    def _pose(self, output: NetworkOutput) -> NDArray[np.float64]:
        if not (np.all(np.isfinite(output.position)) and np.all(np.isfinite(output.log_quaternion))):
            raise FrameError("The network's answer is not a number; export the model again and check its training.")
        rotation = quaternion.exp(output.log_quaternion)
        return se3.from_parts(self._bundle.position_in_map(output.position), rotation)


def _registration(manifest: Manifest) -> DepthRegistration | None:
    """What a model that was trained on registered raw depth needs done to the depth it is given."""
    if manifest.T_color_depth is None:
        return None
    extrinsic = np.reshape(manifest.T_color_depth, (4, 4))
    size = manifest.input.height, manifest.input.width
    return DepthRegistration.at_size(*size, manifest.depth_camera, manifest.color_camera, extrinsic)
