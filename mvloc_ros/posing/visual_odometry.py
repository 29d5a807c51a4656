# SPDX-License-Identifier: Apache-2.0
"""RGB-D odometry: each view aligned to the last keyframes of its recording.

Where a view cannot be aligned it is left out; where several in a row cannot, the track ends and another one begins:
loop closures may join the two. Within a track poses are in the frame of its first view.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry import se3
from mvloc_ros.geometry.covariance import pose_error
from mvloc_ros.localization.local_features import pose_of
from mvloc_ros.localization.motion import Distance
from mvloc_ros.posing.alignment import Aligned, Prior, Target, align, spread_of
from mvloc_ros.posing.base_odometry import BaseOdometry
from mvloc_ros.posing.imu_motion import ImuMotion
from mvloc_ros.posing.tracks import Keyframe, Missed, Track, TrackedFrame, matched, recent
from mvloc_ros.posing.view import View

Array = NDArray[np.float64]

# A keyframe is made after so much motion, or when less of the view than this lies on what the others show.
_KEYFRAME_M, _KEYFRAME_RAD, _LEAST_IN_REACH = 0.10, np.deg2rad(8.0), 0.75
# An aligned view is refused below these: it shows another place, or too little.
_LEAST_INLIERS, _LEAST_REACH = 0.5, 0.25
_MOST_SPREAD = (0.10, np.deg2rad(5.0))
# Matched features contradict a pose if at least so many agree on another one, and these are so many times as many as
# agree with it. That only a few agree is no contradiction: patterns repeat themselves.
_LEAST_MATCHES, _TIMES_MATCHES = 12, 2.0
# Below this share of agreeing matches the pose that they tell is tried as well.
_MATCHES_AGREE = 0.5
# Below this share of inliers the pose that features tell is tried as well.
_CERTAIN_INLIERS = 0.8
# How a hand or a robot may speed up from one frame to the next: m/s^2 and rad/s^2, one standard deviation.
_ACCELERATION, _TURNING = 2.0, 10.0
_PRIOR_SECONDS = (0.01, 0.2)
_TRUST = 0.1
_POSSIBLE_SIGMAS = 6.0
# So many features must agree by themselves: fewer do by chance.
_LEAST_AGREEING = 8
# After a pause this long the camera may be anywhere near; shape alone does not tell where: floors and walls are alike.
_LOOSE_S = 0.25
# The same where the IMU tells how the camera turned meanwhile.
_LOOSE_TURN_S = 0.6
# If few matched features (of so many in a view that counts, in so many views) agree with the poses of a track, depth
# and color are not of one place: the median share of those that do. Of good tracks it is 0.7 to 0.9.
_LEAST_COUNTED, _LEAST_VIEWS, _LEAST_SHARE = 30, 5, 0.3
# How long a view may be placed by the camera's velocity alone in what nothing tells.
_WEAK_S = 0.4
# After a pause this long, or so many views that could not be aligned, a track ends.
_PAUSE_S, _MOST_MISSED = 1.0, 8
_LEAST_TRACK = 5


class VisualOdometry:
    """Takes the views of one recording in order of time."""

    def __init__(self, sequence: int, odometry: BaseOdometry | None = None, imu: ImuMotion | None = None) -> None:
        """Nothing seen yet; `sequence` is the recording's number, `odometry` the robot's."""
        self.odometry = odometry
        self.imu = imu
        self.tracks: list[Track] = []
        self.missed: list[Missed] = []
        self._sequence = sequence
        self._waiting: list[View] = []
        self._told = np.zeros(6, np.bool_)  # position, rotation: by odometry or the IMU, not by the velocity alone
        self._begin()

    def _begin(self) -> None:
        self._track = Track(self._sequence, odometry=self.odometry, imu=self.imu)
        self._target: Target | None = None
        self._last: tuple[int, Array] | None = None
        self._step: tuple[float, Array] | None = None
        self._determined_ns: int | None = None
        self._share: float | None = None
        self._shares: list[float] = []

    def kept_state(self) -> dict[str, Any]:
        """All but the search tree of what is aligned to, which follows from the keyframes."""
        return {**vars(self), "_target": None}

    def take_kept_state(self, state: dict[str, Any]) -> None:
        """Be as another one was; the opposite of `kept_state`."""
        vars(self).update(state)
        self._target = recent(self._track.keyframes) if self._track.keyframes else None

    def add(self, view: View) -> None:
        """Align the next view."""
        if view.problem and not len(view.points):
            self.missed.append(Missed(view.record, view.problem))
            return
        if not self._track.keyframes:
            self._add_keyframe(view, np.eye(4), np.zeros((6, 6)))
            return
        aligned = self._aligned(view)
        if isinstance(aligned, str):
            self._miss(view, aligned)
            return
        for missed in self._waiting:
            self.missed.append(Missed(missed.record, "not aligned to the frames before"))
        self._waiting = []
        self._accept(view, aligned)

    def finish(self) -> None:
        """No view comes any more."""
        waiting, self._waiting = self._waiting, []
        self._end_track()
        if waiting:
            self._begin()
            for view in waiting:
                self.add(view)
            self.missed += [Missed(view.record, "not aligned to the frames before") for view in self._waiting]
            self._waiting = []
            self._end_track()

    def _end_track(self) -> None:
        reason = ""
        if len(self._track.frames) < _LEAST_TRACK:
            reason = "too few frames that fit each other"
        elif len(self._shares) >= _LEAST_VIEWS and float(np.median(self._shares)) < _LEAST_SHARE:
            reason = "color and depth do not show the same place"
        if not reason:
            self.tracks.append(self._track)
        else:
            self.missed += [Missed(frame.record, reason) for frame in self._track.frames]

    def _miss(self, view: View, reason: str) -> None:
        self._waiting.append(view)
        assert self._last is not None
        pause_s = 1e-9 * (view.stamp_ns - self._last[0])
        if len(self._waiting) < _MOST_MISSED and pause_s < _PAUSE_S:
            return
        waiting, self._waiting = self._waiting, []
        self._end_track()
        self._begin()
        for index, again in enumerate(waiting):
            if index + 1 == len(waiting) and not self._track.keyframes:
                self.missed.append(Missed(again.record, reason))
                continue
            self.add(again)

    def _aligned(self, view: View) -> Aligned | str:
        assert self._target is not None
        matches = matched(view, self._track.keyframes)
        prior = self._predicted(view.stamp_ns)
        # A guess of the velocity decides only what nothing else does: it would hold back a camera that speeds up.
        held = Prior(prior.T, _weighted(prior.information, np.where(self._told, 1.0, _TRUST)))
        best = align(view, self._target, prior.T, matches, held)
        told = 0
        if best.inlier_ratio < _CERTAIN_INLIERS or best.matches < _MATCHES_AGREE * len(matches.seen):
            other = pose_of(matches)
            if other is not None and is_possible(other, prior):
                told = matches.consensus(other)
                second = align(view, self._target, other, matches)
                if _score(second) > _score(best) and is_possible(second.T, prior):
                    best = second
        if 0 < best.matches < _LEAST_AGREEING:
            best = align(view, self._target, prior.T, None, held)
        count = len(matches.seen)
        self._share = matches.consensus(best.T) / count if count >= _LEAST_COUNTED else None
        return self._refusal(view, best, told, prior) or best

    def _refusal(self, view: View, aligned: Aligned, told: int, prior: Prior) -> str:
        """Why a view is not accepted where it was aligned; empty if it is. `told` matches agree on another pose."""
        if aligned.in_reach < _LEAST_REACH or aligned.inlier_ratio < _LEAST_INLIERS:
            return f"{aligned.in_reach * aligned.inlier_ratio:.0%} of its surface fits the frames before"
        if told >= max(_LEAST_MATCHES, _TIMES_MATCHES * aligned.matches):
            return "its texture contradicts its shape"
        if aligned.matches < _LEAST_MATCHES and not self._is_expected(view, aligned, prior):
            return "its shape fits the frames before, but neither texture nor motion confirms that"
        if is_determined(aligned.information):
            self._determined_ns = view.stamp_ns
            return ""
        told_information = _weighted(prior.information, self._told.astype(np.float64))
        if self._told.any() and is_determined(aligned.information + told_information):
            return ""
        if self._determined_ns is None or 1e-9 * (view.stamp_ns - self._determined_ns) > _WEAK_S:
            return "neither shape nor texture tells where it is"
        return ""

    def _is_expected(self, view: View, aligned: Aligned, prior: Prior) -> bool:
        """Whether a view is where the motion before leads; after a pause only odometry tells that.

        A gyroscope tells where a camera looks: after a short pause, a shape that determines the place then does.
        """
        assert self._last is not None
        pause_s = 1e-9 * (view.stamp_ns - self._last[0])
        is_near = pause_s <= (
            _LOOSE_TURN_S if self._told[3:].all() and is_determined(aligned.information) else _LOOSE_S
        )
        return bool(self._told.all() or is_near) and is_possible(aligned.T, prior)

    def _predicted(self, stamp_ns: int) -> Prior:
        """Where the camera is expected by odometry and the IMU, else by its last velocity, and how surely."""
        assert self._last is not None
        last_ns, T = self._last
        by_wheels = self.odometry.motion(last_ns, stamp_ns) if self.odometry is not None else None
        by_gyro = self.imu.rotation(last_ns, stamp_ns) if self.imu is not None else None
        self._told[:] = by_wheels is not None
        self._told[3:] |= by_gyro is not None
        step, sigma = by_wheels or self._by_velocity(stamp_ns, turn_is_told=by_gyro is not None)
        if by_gyro is not None and (by_wheels is None or by_gyro[1] < sigma[3]):
            step, sigma = np.array(step), np.array(sigma)
            step[:3, :3], sigma[3:] = by_gyro
        return Prior(T @ step, np.diag(sigma**-2.0))

    def _by_velocity(self, stamp_ns: int, *, turn_is_told: bool) -> tuple[Array, Array]:
        """T_last_now (4x4) at the last velocity, and its standard deviations `[6]`."""
        assert self._last is not None
        seconds = max(1e-9 * (stamp_ns - self._last[0]), 1e-3)
        step = np.eye(4)
        # Without the IMU a turn that goes on for longer leads astray, and what a place is extrapolated to with it.
        if self._step is not None and seconds < (_PAUSE_S if turn_is_told else _PRIOR_SECONDS[1]):
            times = seconds / self._step[0]
            step = se3.interpolate(np.eye(4), self._step[1], min(2.0, times))
            if turn_is_told:
                # The velocity stays in the map's axes, not in those of the camera that turned since.
                step[:3, 3] = times * self._step[1][:3, :3].T @ self._step[1][:3, 3]
        sigma = np.array([_ACCELERATION] * 3 + [_TURNING] * 3) * max(seconds, _PRIOR_SECONDS[0]) ** 2
        return step, sigma + 0.005

    def _accept(self, view: View, aligned: Aligned) -> None:
        keyframe = self._track.keyframes[-1]
        T_keyframe_camera = se3.inverse(keyframe.T) @ aligned.T
        came = Distance.of(T_keyframe_camera)
        if self._last is not None:
            seconds = max(1e-9 * (view.stamp_ns - self._last[0]), 1e-3)
            self._step = (seconds, se3.inverse(self._last[1]) @ aligned.T)
        self._last = (view.stamp_ns, aligned.T)
        if self._share is not None:
            self._shares.append(self._share)
        is_far = came.metres > _KEYFRAME_M or came.radians > _KEYFRAME_RAD or aligned.in_reach < _LEAST_IN_REACH
        if is_far and not view.problem:
            for motion in (self.odometry, self.imu):
                if motion is not None and is_determined(aligned.information):
                    motion.learn(keyframe.view.stamp_ns, view.stamp_ns, T_keyframe_camera)
            self._add_keyframe(view, aligned.T, aligned.information)
        else:
            number = len(self._track.keyframes) - 1
            self._track.frames.append(TrackedFrame(view.record, number, T_keyframe_camera))

    def _add_keyframe(self, view: View, T: Array, information: Array) -> None:
        self._track.keyframes.append(Keyframe(view, T, information))
        self._track.frames.append(TrackedFrame(view.record, len(self._track.keyframes) - 1, np.eye(4)))
        self._last = (view.stamp_ns, T)
        self._determined_ns = self._determined_ns or view.stamp_ns
        self._target = recent(self._track.keyframes)


def is_possible(T: Array, prior: Prior) -> bool:
    """Whether a camera (4x4) can have come there: repeated patterns are matched with their neighbors."""
    return bool((np.abs(pose_error(prior.T, T)) < _POSSIBLE_SIGMAS / np.sqrt(np.diag(prior.information))).all())


def _score(aligned: Aligned) -> float:
    return aligned.inlier_ratio * min(1.0, aligned.in_reach / _LEAST_IN_REACH) + 0.005 * min(aligned.matches, 60)


def _weighted(information: Array, weight: Array) -> Array:
    """An information `[6, 6]` without correlations between what has different weights `[6]`."""
    root = np.sqrt(weight)
    return np.asarray(information * np.outer(root, root))


def is_determined(information: Array) -> bool:
    """Whether a pose is known in every direction."""
    metres, radians = spread_of(information)
    return metres <= _MOST_SPREAD[0] and radians <= _MOST_SPREAD[1]
