# SPDX-License-Identifier: Apache-2.0
"""Where the camera is, from frame to frame: the one owner of the accepted pose and of the state.

The localizer asks the tracker where the camera is expected and how far it came; whoever runs the localizer gives each
pose that it finds to `update`. Only accepted poses, and a hint from outside, are starting points of what follows.

A pose is accepted if it agrees with the last accepted one (see `gate`). One that does not is remembered. Once
`confirmations` poses in a row of time agree on the same motion, each one with an earlier one, the camera really is
elsewhere (it was carried, or the accepted pose was wrong) and the last of them is accepted.

The first pose of all needs `initial_fixes`. One that was found from a keyframe needs more: places look alike. Then what
the frames say together decides, for the poses that each was registered to and against the others (see `hypotheses`). So
a pose is found that no frame tells surely enough alone, and where two places fit none is accepted before they have been
told apart. Nor is a jump confirmed where another place fits as well, the expected one above all.

A pose that its frame alone tells too little for is accepted all the same where it follows from the last accepted one by
odometry, no more than so far that depth and odometry still tell it to a few centimetres in every direction. It is no
starting point of what follows: the errors of odometry since the pose that the images told would be forgotten with it.

Poses of one image alone confirm no jump away from what both images told: where the network errs without the other
image it errs alike from frame to frame, so that their agreement says nothing.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry import se3
from mvloc_ros.geometry.covariance import largest_deviations
from mvloc_ros.localization.gate import GateLimits, fault_of, mismatch
from mvloc_ros.localization.hypotheses import Candidate, Hypotheses, Search, same_place
from mvloc_ros.localization.motion import Distance, Moved
from mvloc_ros.localization.pose import Pose
from mvloc_ros.localization.unverified import UnverifiedPoses

Array = NDArray[np.float64]

# A pose whose camera may be this far from it by now (one standard deviation) is no place to look any more.
_LARGEST_SPREAD_M, _LARGEST_SPREAD_RAD = 2.0, 2.0
# Frames that speak for a first pose that a keyframe told: of many frames of a wake-up one is soon accepted by chance.
_OF_KEYFRAMES = 3
# A pose that follows by odometry needs no more evidence while it is known so well in every direction (one standard
# deviation). Chosen by drives that no result is told of: four through a rendered hospital, one through a house.
_KNOWN_M, _KNOWN_RAD = 0.08, np.radians(2.0)
# So many views must have told their poses, since the first or a jump, before odometry may lead on from them: in a place
# that looks like another some do by chance. Frames that are nearer to each other than this repeat each other's errors.
_ESTABLISHED = 5
_SAME_VIEW_M, _SAME_VIEW_RAD = 0.3, np.radians(15.0)
# Poses further apart in time do not tell how fast the camera moves now.
_SPEED_WITHIN_NS = 200_000_000


class State(IntEnum):
    """What is known of the camera's place; the values are those of mvloc_ros/LocalizationStatus."""

    INITIALISING = 0  # no pose has been accepted yet
    TRACKING = 1  # the last pose was accepted
    DEGRADED = 2  # the last pose was not, but one was accepted recently; or something is missing
    LOST = 3  # none has been accepted for `lost_after_ns`, of the poses that came


@dataclass(frozen=True, eq=False)
class Fix:
    """A pose of the camera to be accepted or rejected.

    Attributes:
        pose: of the camera.
        T_odom_camera: the same camera at the same stamp in the odometry's frame; None without odometry.
        is_partial: made without one of the two images.
        is_repeated: made of a depth image that an earlier frame had: the pose is of that frame's moment.
        is_of_keyframe: found from a keyframe, and not from where the network or the tracker puts the camera.
        rejection: why whoever made the pose rejects it, in words; such a pose is not accepted, unless
        is_weak: `rejection` is that this frame alone tells too little; others may tell the rest.
        follows: it agrees with where the one accepted last would be by now, in what the geometry determines.
        unverified: what kept the scene map from judging the pose, in words; empty if it did, or there is none.
        candidates: the poses that the frame was registered to, this one among them; none where it was not, or where
            they say nothing of the camera's place.
    """

    pose: Pose
    T_odom_camera: Array | None = None
    is_partial: bool = False
    is_repeated: bool = False
    is_of_keyframe: bool = False
    rejection: str = ""
    is_weak: bool = False
    follows: bool = False
    unverified: str = ""
    candidates: tuple[Candidate, ...] = ()


@dataclass(frozen=True, eq=False)
class Verdict:
    """What the tracker says about one pose.

    Attributes:
        accepted: whether the pose is accepted.
        state: after this pose.
        reason: why it was rejected, or that it was accepted as a jump or by odometry, in words; else empty.
        T_map_camera: the pose if it was accepted; else where the camera should be by the last accepted one and
            odometry; None if nothing was accepted yet.
        T_map_odom: where the origin of odometry is in the map by an accepted pose; None without one or odometry.
    """

    accepted: bool
    state: State
    reason: str
    T_map_camera: Array | None
    T_map_odom: Array | None = None

    def state_of(self, *, is_complete: bool) -> State:
        """The state after the frame: DEGRADED where its pose was accepted but something is missing."""
        return State.DEGRADED if self.accepted and not is_complete else self.state


@dataclass(frozen=True, eq=False)
class Expectation:
    """Where the camera is expected before the images have told.

    Attributes:
        pose: with what the camera may have moved since in its covariance.
        is_hint: a person's, so that it is a place to look, and no evidence for what is found there.
        by_odometry: odometry told how the camera moved since; without, it is about where it was.
    """

    pose: Pose
    is_hint: bool
    by_odometry: bool = False


class Tracker:
    """Accepts or rejects poses in the order of their stamps. Any thread may call it."""

    def __init__(self, limits: GateLimits, unverified_after_s: float = 0.0) -> None:
        """Accept nothing yet.

        Args:
            limits: what is accepted.
            unverified_after_s: see `UnverifiedPoses`.
        """
        self._limits = limits
        self._unverified = UnverifiedPoses(unverified_after_s)
        self._hypotheses = Hypotheses(limits.motion)
        self._lock = threading.RLock()
        self.forget()

    def forget(self) -> None:
        """Begin again: after a jump of the clock, or on request."""
        with self._lock:
            self._accepted: Fix | None = None
            self._before: Fix | None = None
            self._is_hint = False
            self._told = 0  # views whose poses were accepted for what they told, since the first or a jump
            self._told_last: Pose | None = None  # of these
            self._accepted_ns = 0  # of the last accepted pose, also of one that is no starting point
            self._first_rejected_ns: int | None = None
            self._rejected: deque[tuple[Fix, int]] = deque(maxlen=2 * self._limits.confirmations)
            self._streak = 0
            self._was_complete = False
            self._unverified.forget()
            self._hypotheses.forget()

    @property
    def streak(self) -> int:
        """How many poses in a row were accepted."""
        return self._streak

    def hint(self, pose: Pose, T_odom_camera: Array | None) -> None:
        """Expect the camera near a pose that someone has pointed at; `T_odom_camera` is odometry's at its stamp."""
        with self._lock:
            self.forget()
            self._accepted, self._is_hint = Fix(pose, T_odom_camera), True
            self._accepted_ns = pose.stamp_ns

    def expected(self, stamp_ns: int, T_odom_camera: Array | None) -> Expectation | None:
        """Where the camera is expected; None if no pose is accepted or that is too long ago."""
        with self._lock:
            last = self._accepted
            if last is None:
                return None
            moved = self._moved(last, stamp_ns, T_odom_camera)
            if moved.position_spread > _LARGEST_SPREAD_M or moved.rotation_spread > _LARGEST_SPREAD_RAD:
                return None
            return Expectation(moved.carry(last.pose, stamp_ns), self._is_hint, moved.by_odometry)

    def search(self, stamp_ns: int, T_odom_camera: Array | None) -> Search:
        """Where the camera may be besides the expected pose, by the frames since the last accepted one."""
        with self._lock:
            return self._hypotheses.search(stamp_ns, T_odom_camera)

    def moved_since(self, then_ns: int, now_ns: int, T_odom_camera: Array | None) -> Distance | None:
        """How far the camera came from one stamp to another; None where that is not known.

        By odometry, or else at the speed between the last two accepted poses, the last of them at `then_ns`.
        """
        with self._lock:
            last, before = self._accepted, self._before
            if last is None or self._is_hint or last.pose.stamp_ns != then_ns:
                return None
            moved = self._moved(last, now_ns, T_odom_camera)
        if moved.by_odometry:
            came = Distance.of(moved.T_then_now)
            return Distance(came.metres + moved.position_spread, came.radians + moved.rotation_spread)
        if before is None or not 0 < abs(then_ns - before.pose.stamp_ns) <= _SPEED_WITHIN_NS:
            return None
        came = Distance.of(se3.inverse(before.pose.T) @ last.pose.T)
        times = abs(now_ns - then_ns) / abs(then_ns - before.pose.stamp_ns)
        return Distance(came.metres * times, came.radians * times)

    def update(self, fix: Fix) -> Verdict:
        """Accept a pose or not."""
        with self._lock:
            fault = self._rejection_of(fix) or fault_of(fix.pose)
            if fix.candidates and not fix.is_repeated:
                self._hypotheses.observe(fix.candidates, fix.pose.stamp_ns, fix.T_odom_camera)
            if fault and self._is_known(fix):
                return self._accept_known(fix, fault)
            if fault:
                return self._first_of_keyframe(fix, fault) if self._may_be_told(fix) else self._reject(fix, fault)
            if not self._limits.enabled:
                return self._accept(fix)
            return self._compare(fix)

    def _rejection_of(self, fix: Fix) -> str:
        if fix.unverified and not fix.rejection:
            return self._unverified.rejection_of(fix.pose.stamp_ns, fix.unverified)
        self._unverified.verified(fix.pose.stamp_ns)
        return fix.rejection

    def _compare(self, fix: Fix) -> Verdict:
        if self._accepted is None:
            why, needed = "no pose has been accepted yet", self._limits.initial_fixes
            if fix.is_of_keyframe and fix.candidates:
                return self._first_of_keyframe(fix, why)
            if fix.is_of_keyframe:
                needed = max(needed, _OF_KEYFRAMES)
        else:
            why, needed = self._mismatch(self._accepted, fix, is_hint=self._is_hint), self._limits.confirmations
            if not why:
                return self._accept(fix)
            if fix.is_partial and self._was_complete:
                return self._reject(fix, f"{why}, and poses of one image alone do not confirm a jump")
        witnesses = 1 + max((length for other, length in self._rejected if not self._mismatch(other, fix)), default=0)
        rivals = self._hypotheses.rivals_of(fix.pose)
        if witnesses >= needed and not rivals:
            jumped = self._accepted is not None
            return self._accept(fix, f"{witnesses} poses agree that {why}: accepted" if jumped else "")
        self._rejected.append((fix, witnesses))
        if witnesses >= needed:
            return self._reject(fix, _alike(1 + (rivals or 0)))
        return self._reject(fix, f"{why}; {witnesses} of {needed} poses that would confirm it")

    def _may_be_told(self, fix: Fix) -> bool:
        """Whether further frames may overrule what rejects a pose."""
        is_first = fix.is_weak and fix.is_of_keyframe and self._accepted is None
        return is_first and self._limits.enabled and not fix.is_partial and not fault_of(fix.pose)

    def _is_known(self, fix: Fix) -> bool:
        """Whether a pose that is rejected for too little evidence follows by odometry, and is known well by that."""
        last = self._accepted
        if last is None or self._is_hint or not (fix.is_weak and fix.follows and self._limits.enabled):
            return False
        if fix.is_partial or fix.is_repeated or fix.unverified or fault_of(fix.pose):
            return False
        if self._told < _ESTABLISHED:
            return False
        by_odometry = self._moved(last, fix.pose.stamp_ns, fix.T_odom_camera).by_odometry
        return by_odometry and not self._mismatch(last, fix) and _is_narrow(fix.pose)

    def _accept_known(self, fix: Fix, fault: str) -> Verdict:
        """DEGRADED, as the frame lacks evidence of its own; what follows still starts from the pose accepted before."""
        assert self._accepted is not None
        age_s = 1e-9 * abs(fix.pose.stamp_ns - self._accepted.pose.stamp_ns)
        self._accepted_ns = fix.pose.stamp_ns
        self._streak += 1
        reason = f"accepted as odometry leads there from the pose of {age_s:.1f} s before, although {fault}"
        return Verdict(True, State.DEGRADED, reason, fix.pose.T, _origin_of_odometry(fix))

    def _first_of_keyframe(self, fix: Fix, why: str) -> Verdict:
        """A first pose that keyframes tell: by what the frames so far tell together."""
        if self._hypotheses.is_convincing(fix.pose, max(self._limits.initial_fixes, _OF_KEYFRAMES)):
            return self._accept(fix)
        rivals = self._hypotheses.rivals_of(fix.pose)
        return self._reject(fix, f"{why}; {_alike(1 + rivals)}" if rivals else why)

    def _accept(self, fix: Fix, reason: str = "") -> Verdict:
        if not fix.is_repeated:  # else the pose of that moment is the accepted one already
            self._before, self._accepted = None if self._is_hint else self._accepted, fix
            self._accepted_ns, self._is_hint = fix.pose.stamp_ns, False
            self._count(fix.pose, is_jump=bool(reason))
            self._hypotheses.settle(fix.pose, fix.T_odom_camera)
        self._was_complete |= not fix.is_partial
        self._rejected.clear()
        self._streak += 1
        return Verdict(True, State.TRACKING, reason, fix.pose.T, _origin_of_odometry(fix))

    def _count(self, pose: Pose, *, is_jump: bool) -> None:
        last = None if is_jump else self._told_last
        if last is not None and same_place(pose.T, last.T, _SAME_VIEW_M, _SAME_VIEW_RAD):
            return
        self._told, self._told_last = 1 if is_jump else self._told + 1, pose

    def _reject(self, fix: Fix, reason: str) -> Verdict:
        self._streak = 0
        accepted, stamp_ns = self._accepted, fix.pose.stamp_ns
        if accepted is None:
            return Verdict(False, self._state_without_pose(stamp_ns), reason, None)
        age_ns = abs(stamp_ns - self._accepted_ns)
        state = State.LOST if age_ns > self._limits.lost_after_ns else State.DEGRADED
        if self._is_hint and state is State.DEGRADED:
            state = State.INITIALISING
        moved = self._moved(accepted, stamp_ns, fix.T_odom_camera)
        return Verdict(False, state, reason, accepted.pose.T @ moved.T_then_now)

    def _state_without_pose(self, stamp_ns: int) -> State:
        """The state while no pose was ever accepted: after `lost_after_ns` of rejected poses it is LOST."""
        if self._first_rejected_ns is None:
            self._first_rejected_ns = stamp_ns
        is_lost = abs(stamp_ns - self._first_rejected_ns) > self._limits.lost_after_ns
        return State.LOST if is_lost else State.INITIALISING

    def _mismatch(self, earlier: Fix, fix: Fix, *, is_hint: bool = False) -> str:
        moved = self._moved(earlier, fix.pose.stamp_ns, fix.T_odom_camera)
        return mismatch(earlier.pose, fix.pose, moved, self._limits, is_hint=is_hint)

    def _moved(self, earlier: Fix, stamp_ns: int, T_odom_camera: Array | None) -> Moved:
        return self._limits.motion.between(earlier.pose.stamp_ns, earlier.T_odom_camera, stamp_ns, T_odom_camera)


def _origin_of_odometry(fix: Fix) -> Array | None:
    """T_map_odom by a pose; None without odometry."""
    return None if fix.T_odom_camera is None else fix.pose.T @ se3.inverse(fix.T_odom_camera)


def _is_narrow(pose: Pose) -> bool:
    """Whether a pose is known well in every direction."""
    metres, radians = largest_deviations(pose.covariance)
    return metres <= _KNOWN_M and radians <= _KNOWN_RAD


def _alike(places: int) -> str:
    return f"{places} places look alike: waiting until further frames tell them apart"
