# SPDX-License-Identifier: Apache-2.0
"""Whether one pose agrees with an earlier one: the measures and limits by which the tracker accepts poses.

The earlier pose is moved by odometry to the stamp of the later one or, without odometry, left in place with a spread
that grows as fast as the camera may move. They agree if their difference is

- at most `max_jump_m` and `max_jump_rad` (plus the growth of the spread since then), and
- at most `max_mahalanobis` in the metric of the sum of both covariances and the growth.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry import se3
from mvloc_ros.geometry.covariance import pose_error
from mvloc_ros.localization.motion import MotionModel, Moved
from mvloc_ros.localization.pose import Pose

Array = NDArray[np.float64]

# A variance below this is taken as this: a covariance of zeros would be a claim of perfection.
_MIN_VARIANCE = 1e-9
_IDENTITY = np.eye(6)


@dataclass(frozen=True)
class GateLimits:
    """When a pose is accepted. The defaults are those of the node's parameters, too.

    Attributes:
        enabled: False accepts every finite pose that its maker does not reject.
        max_jump_m, max_jump_rad: largest difference to the prediction.
        max_mahalanobis: the same, in standard deviations over the six degrees of freedom (5.0 is
            passed by 99.97 % of errors that are as Gaussian as their covariance says).
        confirmations: poses that must agree on the same motion before a jump is accepted.
        initial_fixes: the same, before the first pose is accepted.
        lost_after_ns: time without an accepted pose after which the state is LOST.
        motion: where the camera is expected after the last accepted pose.
    """

    enabled: bool = True
    max_jump_m: float = 2.0
    max_jump_rad: float = 0.25 * np.pi
    max_mahalanobis: float = 5.0
    confirmations: int = 5
    initial_fixes: int = 1
    lost_after_ns: int = 2_000_000_000
    motion: MotionModel = field(default_factory=MotionModel)


def mismatch(earlier: Pose, later: Pose, moved: Moved, limits: GateLimits, *, is_hint: bool = False) -> str:
    """In what a pose contradicts an earlier one, in words; empty if it does not.

    Args:
        earlier: pose of the camera.
        later: pose of the camera.
        moved: what happened between their stamps.
        limits: what is accepted.
        is_hint: the earlier pose is a person's, which only the Mahalanobis distance is measured from.
    """
    predicted = moved.carry(earlier, later.stamp_ns)
    allowed_m, allowed_rad = limits.max_jump_m + moved.position_spread, limits.max_jump_rad + moved.rotation_spread
    reference = _reference(earlier, later, moved, is_hint)
    metres = float(np.linalg.norm(later.T[:3, 3] - predicted.T[:3, 3]))
    if metres > allowed_m and not is_hint:
        return f"the pose is {metres:.2f} m from {reference}, {allowed_m:.2f} m are allowed"
    error = pose_error(later.T, predicted.T)
    radians = float(np.linalg.norm(error[3:]))
    degrees = np.rad2deg(radians)
    if radians > allowed_rad and not is_hint:
        return (
            f"the pose is turned by {degrees:.0f} degrees against {reference}, "
            f"{np.rad2deg(allowed_rad):.0f} are allowed"
        )
    covariance = predicted.covariance + later.covariance + _MIN_VARIANCE * _IDENTITY
    distance = _mahalanobis(covariance, error)
    if distance > limits.max_mahalanobis:
        return (
            f"the pose is {metres:.2f} m and {degrees:.0f} degrees from {reference}: Mahalanobis "
            f"distance {distance:.1f}, {limits.max_mahalanobis:g} is allowed"
        )
    return ""


def _mahalanobis(covariance: Array, error: Array) -> float:
    """The distance of an error; infinite by what is no covariance, so that it never counts as close."""
    try:
        squared = float(error @ np.linalg.solve(covariance, error))
    except np.linalg.LinAlgError:
        return math.inf
    return math.sqrt(squared) if 0.0 <= squared < math.inf else math.inf


def fault_of(pose: Pose) -> str:
    """Why a pose cannot be compared at all, in words; empty if it can."""
    if not se3.is_rigid(pose.T):
        return "the pose is not a finite rigid transform"
    covariance = pose.covariance
    if covariance.shape != (6, 6) or not np.isfinite(covariance).all():
        return "the covariance is not a finite 6x6 matrix"
    try:
        np.linalg.cholesky(0.5 * (covariance + covariance.T) + _MIN_VARIANCE * _IDENTITY)
    except np.linalg.LinAlgError:
        return "the covariance is not positive semidefinite"
    return ""


def _reference(earlier: Pose, later: Pose, moved: Moved, is_hint: bool) -> str:
    if is_hint:
        return "the initial pose that was given"
    if moved.by_odometry:
        return "where odometry puts it"
    return f"the pose {1e-9 * abs(later.stamp_ns - earlier.stamp_ns):.1f} s before"
