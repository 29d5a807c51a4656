# SPDX-License-Identifier: Apache-2.0
"""What is known of a pose besides the depth image: which prior it has, and whether it follows from the last one.

What the geometry leaves open (one wall, a corridor) is the prior's. Along it registration ends anywhere, so whether a
registered pose agrees with an expected one is asked in what the geometry determines.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry import se3
from mvloc_ros.geometry.covariance import pose_error, through_extrinsic
from mvloc_ros.localization import verification
from mvloc_ros.localization.inlier_residuals import fused, information_of, innovation
from mvloc_ros.localization.motion import moved
from mvloc_ros.localization.pose import Pose
from mvloc_ros.localization.starts import NEAR_KEYFRAME, Start

Array = NDArray[np.float64]

# Squared Mahalanobis distance that 95 % of the errors stay below (chi-square, six degrees of freedom).
_USUAL = 12.6


@dataclass(frozen=True, eq=False)
class Measured:
    """Where registration ended.

    Attributes:
        T_map_depth: 4x4 of the depth camera.
        hessian: 6x6, see `Support`.
        length_m: typical distance of the points.
        left_m: how far it may be from its end, see `Registered`.
    """

    T_map_depth: Array
    hessian: Array
    length_m: float
    left_m: float


class Priors:
    """Of one map and rig."""

    def __init__(self, T_camera_depth: Array, inflation: float) -> None:
        """Take the depth camera's place in the camera, and by what the points' information is too large."""
        self._T_camera_depth, self._inflation = T_camera_depth, inflation

    def fused(self, evidence: Sequence[Pose], start: Start, measured: Measured) -> tuple[Array, Array, int]:
        """The registered pose with the prior's in what the geometry leaves open, its covariance, and what it does not.

        Poses (4x4) and covariance (6x6) are of the depth camera.

        Args:
            evidence: the network's pose, and where the tracker expects the camera if it does.
            start: where registration began.
            measured: where it ended.
        """
        prior = self._prior(evidence, start, measured)
        T_prior = prior.T @ self._T_camera_depth
        before = through_extrinsic(prior.covariance, prior.T, self._T_camera_depth)
        shift, length_m = pose_error(measured.T_map_depth, T_prior), measured.length_m
        delta, covariance, determined = fused(shift, measured.hessian, before, length_m, self._inflation)
        contradiction = float(delta @ np.linalg.solve(before, delta)) / _USUAL
        if contradiction > 1.0:
            # The prior errs more here than its covariance says, and must not pull a registered pose so hard.
            before = contradiction * before
            delta, covariance, determined = fused(shift, measured.hessian, before, length_m, self._inflation)
        return moved(T_prior, delta), covariance + _unfinished(measured.left_m, length_m, before), determined

    def continuity(self, last: Pose | None, measured: Measured, pose: Pose) -> tuple[float, bool]:
        """How well a registered pose continues the one accepted last, and whether the final pose follows from it."""
        if last is None:
            return 0.0, False
        squared = self._innovation(last, measured)
        error = pose_error(pose.T, last.T)
        near = float(error @ np.linalg.solve(last.covariance + pose.covariance, error)) <= _USUAL
        return verification.continuity(squared, last.covariance), near and not is_vague(last) and squared <= _USUAL

    def _innovation(self, pose: Pose, measured: Measured) -> float:
        """By how much a registered pose differs from an expected one, in what the geometry determines."""
        information, _ = information_of(measured.hessian, measured.length_m, self._inflation)
        covariance = through_extrinsic(pose.covariance, pose.T, self._T_camera_depth)
        return innovation(pose_error(measured.T_map_depth, pose.T @ self._T_camera_depth), information, covariance)

    def _prior(self, evidence: Sequence[Pose], start: Start, measured: Measured) -> Pose:
        """What has the directions that the geometry leaves open.

        The network's pose; where that contradicts the registered one and the last accepted one does not, the latter.
        Where both do, it is asked again in what the geometry determines, as registration slides along the rest. A pose
        that is vaguer than that of a keyframe is none of these: a network that knows little of a large place would
        shift what was found from elsewhere along every wall. Where neither will do, whatever makes the registered pose
        likeliest, the keyframe that it was found from among them.
        """
        T_map_camera = measured.T_map_depth @ se3.inverse(self._T_camera_depth)
        known = [pose for pose in evidence if not is_vague(pose)]
        for pose in known:
            error = pose_error(T_map_camera, pose.T)
            if float(error @ np.linalg.solve(pose.covariance, error)) <= _USUAL:
                return pose
        for pose in known:
            if self._innovation(pose, measured) <= _USUAL:
                return pose
        told = () if start.covariance is None else (Pose(evidence[0].stamp_ns, start.T, start.covariance),)
        return min((*evidence, *told), key=lambda pose: self._unlikelihood(pose, measured))

    def _unlikelihood(self, pose: Pose, measured: Measured) -> float:
        """Twice the negative logarithm of the density of a registered pose, given another, but for a constant."""
        return self._innovation(pose, measured) + float(np.linalg.slogdet(pose.covariance)[1])


def is_vague(pose: Pose) -> bool:
    """Whether a pose tells less of the camera's position than that of a keyframe that looks like the frame."""
    return bool(np.trace(pose.covariance[:3, :3]) > np.trace(NEAR_KEYFRAME[:3, :3]))


def _unfinished(left_m: float, length_m: float, prior: Array) -> Array:
    """What a registration that was cut short adds to the covariance, 6x6; not more than the network's.

    As far as it is from its end in position, it is in what is seen at `length_m` by its rotation.
    """
    position, rotation = (float(np.trace(prior[axes, axes])) for axes in (slice(0, 3), slice(3, 6)))
    squares = min(left_m**2, position), min((left_m / length_m) ** 2, rotation)
    return np.diag(np.repeat(np.array(squares) / 3.0, 3))
