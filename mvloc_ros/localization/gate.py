# SPDX-License-Identifier: Apache-2.0
"""Whether a pose is believed: the gate between the network and everything that acts on its poses.

Each fix is compared with the last believed one, moved by odometry to the fix's stamp (or, without
odometry, left in place with a spread that grows as fast as the camera may move). It is believed if the
difference is

- at most `max_jump_m` and `max_jump_rad` (plus the growth of the spread since then), and
- at most `max_mahalanobis` in the metric of the sum of both covariances and the growth.

A fix that fails is remembered. Once `confirmations` fixes in a row of time tell the same motion, each one
within the limits of an earlier one, the camera really is elsewhere (it was carried, or the belief was
wrong) and the last of them is believed.

Fixes of one image alone confirm no jump away from what both images told: where the network errs without the
other image it errs alike from frame to frame, so that their agreement says nothing.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field, replace
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry import se3
from mvloc_ros.geometry.covariance import pose_error
from mvloc_ros.localization.motion import MotionModel, Moved

Array = NDArray[np.float64]

# A variance below this is taken as this: a covariance of zeros would be a claim of perfection.
_MIN_VARIANCE = 1e-9
_IDENTITY = np.eye(6)


class State(IntEnum):
    """What the gate knows; the values are those of mvloc_ros/LocalizationStatus."""

    INITIALISING = 0  # nothing is believed yet
    TRACKING = 1  # the last fix was believed
    DEGRADED = 2  # the last fix was not, but one was believed recently
    LOST = 3  # none has been believed for `lost_after_ns`, of the fixes that came


@dataclass(frozen=True)
class GateLimits:
    """When a fix is believed.

    Attributes:
        enabled: False believes every finite fix.
        max_jump_m, max_jump_rad: largest difference to the prediction.
        max_mahalanobis: the same, in standard deviations over the six degrees of freedom (5.0 is
            passed by 99.97 % of errors that are as Gaussian as their covariance says).
        confirmations: fixes that must tell the same motion before a jump is believed.
        initial_fixes: the same, before the first pose is believed.
        lost_after_ns: time without a believed fix after which the state is LOST.
        motion: where the camera is expected after the last believed fix.
    """

    enabled: bool = True
    max_jump_m: float = 2.0
    max_jump_rad: float = 0.25 * np.pi
    max_mahalanobis: float = 5.0
    confirmations: int = 5
    initial_fixes: int = 1
    lost_after_ns: int = 2_000_000_000
    motion: MotionModel = field(default_factory=MotionModel)


@dataclass(frozen=True)
class Fix:
    """A pose to be judged.

    Attributes:
        stamp_ns: of the image.
        T_map_camera: float64 4x4.
        covariance: 6x6 in ROS order, metres and radians, map axes.
        T_odom_camera: the same camera at the same stamp in the odometry's frame; None without odometry.
        is_hint: a person's guess, which only the Mahalanobis distance is measured from.
        is_partial: made without one of the two images.
        rejection: why whoever made the pose does not stand by it, in words; such a fix is never believed.
    """

    stamp_ns: int
    T_map_camera: Array
    covariance: Array
    T_odom_camera: Array | None = None
    is_hint: bool = False
    is_partial: bool = False
    rejection: str = ""


@dataclass(frozen=True)
class Verdict:
    """What the gate says about one fix.

    Attributes:
        accepted: whether the fix is believed.
        state: after this fix.
        reason: why it was not believed, or that it was believed as a jump, in words; else empty.
        T_map_camera: the fix if it was believed; else where the camera should be by the last believed one
            and odometry; None if nothing was believed yet.
    """

    accepted: bool
    state: State
    reason: str
    T_map_camera: Array | None


class Gate:
    """Judges fixes in the order of their stamps. Not safe to share between threads."""

    def __init__(self, limits: GateLimits) -> None:
        self._limits = limits
        self.forget()

    def forget(self) -> None:
        """Believe nothing any more: after a jump of the clock, or on request."""
        self._believed: Fix | None = None
        self._first_doubt_ns: int | None = None
        self._doubted: deque[tuple[Fix, int]] = deque(maxlen=2 * self._limits.confirmations)
        self._streak = 0
        self._was_complete = False

    @property
    def streak(self) -> int:
        """How many fixes in a row were believed."""
        return self._streak

    def hint(self, hint: Fix) -> None:
        """Expect the next fix near a pose that someone has pointed at."""
        self.forget()
        self._believed = replace(hint, is_hint=True)

    def judge(self, fix: Fix) -> Verdict:
        """Believe a fix or not."""
        fault = fix.rejection or _fault_of(fix)
        if fault:
            return self._doubt(fix, fault)
        if not self._limits.enabled:
            return self._believe(fix)
        if self._believed is None:
            why, needed = "no pose has been believed yet", self._limits.initial_fixes
        else:
            why, needed = self._mismatch(self._believed, fix), self._limits.confirmations
            if not why:
                return self._believe(fix)
            if fix.is_partial and self._was_complete:
                return self._doubt(fix, f"{why}, and poses of one image alone do not confirm a jump")
        witnesses = 1 + max((length for other, length in self._doubted if not self._mismatch(other, fix)), default=0)
        if witnesses >= needed:
            jumped = self._believed is not None
            return self._believe(fix, f"{witnesses} fixes agree that {why}: believed" if jumped else "")
        self._doubted.append((fix, witnesses))
        return self._doubt(fix, f"{why}; {witnesses} of {needed} fixes that would confirm it")

    def _believe(self, fix: Fix, reason: str = "") -> Verdict:
        self._believed = fix
        self._was_complete |= not fix.is_partial
        self._doubted.clear()
        self._streak += 1
        return Verdict(True, State.TRACKING, reason, fix.T_map_camera)

    def _doubt(self, fix: Fix, reason: str) -> Verdict:
        self._streak = 0
        believed = self._believed
        if believed is None:
            return Verdict(False, self._unknown_at(fix.stamp_ns), reason, None)
        age_ns = abs(fix.stamp_ns - believed.stamp_ns)
        state = State.LOST if age_ns > self._limits.lost_after_ns else State.DEGRADED
        if believed.is_hint and state is State.DEGRADED:
            state = State.INITIALISING
        return Verdict(False, state, reason, believed.T_map_camera @ self._moved(believed, fix).T_then_now)

    def _unknown_at(self, stamp_ns: int) -> State:
        """The state while nothing was ever believed: who is refused for so long does not begin, but is lost."""
        if self._first_doubt_ns is None:
            self._first_doubt_ns = stamp_ns
        return State.LOST if abs(stamp_ns - self._first_doubt_ns) > self._limits.lost_after_ns else State.INITIALISING

    def _mismatch(self, earlier: Fix, fix: Fix) -> str:
        """In what the fix contradicts an earlier one, in words; empty if it does not."""
        limits, moved = self._limits, self._moved(earlier, fix)
        predicted, covariance = moved.carry(earlier.T_map_camera, earlier.covariance)
        allowed_m, allowed_rad = limits.max_jump_m + moved.position_spread, limits.max_jump_rad + moved.rotation_spread
        metres = float(np.linalg.norm(fix.T_map_camera[:3, 3] - predicted[:3, 3]))
        if metres > allowed_m and not earlier.is_hint:
            return f"the pose is {metres:.2f} m from {_name(earlier, fix, moved)}, {allowed_m:.2f} m are allowed"
        error = pose_error(fix.T_map_camera, predicted)
        radians = float(np.linalg.norm(error[3:]))
        degrees = np.rad2deg(radians)
        if radians > allowed_rad and not earlier.is_hint:
            return (
                f"the pose is turned by {degrees:.0f} degrees against {_name(earlier, fix, moved)}, "
                f"{np.rad2deg(allowed_rad):.0f} are allowed"
            )
        covariance += fix.covariance + _MIN_VARIANCE * _IDENTITY
        distance = _mahalanobis(covariance, error)
        if distance > limits.max_mahalanobis:
            return (
                f"the pose is {metres:.2f} m and {degrees:.0f} degrees from {_name(earlier, fix, moved)}: Mahalanobis "
                f"distance {distance:.1f}, {limits.max_mahalanobis:g} is allowed"
            )
        return ""

    def _moved(self, earlier: Fix, fix: Fix) -> Moved:
        return self._limits.motion.between(earlier.stamp_ns, earlier.T_odom_camera, fix.stamp_ns, fix.T_odom_camera)


def _mahalanobis(covariance: Array, error: Array) -> float:
    """The distance of an error; infinite by what is no covariance, so that it never counts as close."""
    try:
        squared = float(error @ np.linalg.solve(covariance, error))
    except np.linalg.LinAlgError:
        return math.inf
    return math.sqrt(squared) if 0.0 <= squared < math.inf else math.inf


def _name(earlier: Fix, fix: Fix, moved: Moved) -> str:
    if earlier.is_hint:
        return "the initial pose that was given"
    if moved.by_odometry:
        return "where odometry puts it"
    return f"the pose {1e-9 * abs(fix.stamp_ns - earlier.stamp_ns):.1f} s before"


def _fault_of(fix: Fix) -> str:
    """Why a fix cannot be judged at all, in words."""
    if not se3.is_rigid(fix.T_map_camera):
        return "the pose is not a finite rigid transform"
    covariance = fix.covariance
    if covariance.shape != (6, 6) or not np.isfinite(covariance).all():
        return "the covariance is not a finite 6x6 matrix"
    try:
        np.linalg.cholesky(0.5 * (covariance + covariance.T) + _MIN_VARIANCE * _IDENTITY)
    except np.linalg.LinAlgError:
        return "the covariance is not positive semidefinite"
    return ""
