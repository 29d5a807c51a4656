# SPDX-License-Identifier: Apache-2.0
"""Where the camera may be while no pose is accepted: a small set of poses with weights, carried along odometry.

In a building places look alike. One frame that fits the map at one pose may fit it at another as well, and the pose
that the frame was registered to need not be the only one, nor the right one. So each frame's distinct registered poses
are kept as hypotheses, and what the following frames say for and against each of them is added up.

A hypothesis has the logarithm of its odds against "none of these", which is one of the possibilities and has weight
as well. A frame adds to it what its score says relative to the threshold, at most `_AT_MOST`, since frames of nearly
the same view repeat each other's errors. For the same reason a frame whose score is below the threshold counts only if
the camera has moved. By what a frame says less for one hypothesis than for the best one, these two move apart, but for
`_SLACK`: the light alone makes such differences. One that a frame does not find loses `_MISSED`.

Another light lowers the scores of all places alike, so that the right one is below the threshold and still far above
the others. A frame's best pose so tells more the further it is above the other places that the frame was registered to.

One that appears late has not been compared in the frames before. It begins as if it had been there, `_LATE` below the
best: where it fits as well as that, nothing is decided before further frames have told them apart.

An accepted pose is a hypothesis as well, with the odds that it had, and odometry carries it on. Frames that fit another
place must refute it first: places that look alike are common in a building, and a camera that is carried away, or an
odometry that slips, is not. Against it one that appears late begins with nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry import se3
from mvloc_ros.localization.motion import MotionModel, Moved
from mvloc_ros.localization.pose import Pose

Array = NDArray[np.float64]

MOST = 8
"""Hypotheses that are kept."""
_FOLLOWED, _WORTH = 3, 4.0
"""Those of them, the likeliest ones, that a frame is registered from; and by how much log-odds less than the best."""
CLEAR = math.log(10.0)
"""By so much (natural logarithm of odds) the best one must be above every other one to stand clear of them."""
CONVINCING = 8.0
"""From here on (natural logarithm of odds) a hypothesis is convincing by what many frames have said together."""
# Poses this near to each other are of one place.
_SAME_M, _SAME_RAD = 0.3, np.radians(8.0)
# What a score at the threshold tells, and the limits of what any tells. Chosen with the numbers below on drives through
# two buildings, so that right places are found and their copies are not (docs/refinement.md).
_AT_THRESHOLD, _LEAST, _MOST_OF_FRAME = 1.5, -3.0, 3.5
_AT_MOST, _SLACK, _LATE, _MISSED = 1.5, 0.7, 1.0, 1.0
# By how much (log-odds) a frame's best pose is above the other places that it was registered to: from the first on that
# tells more than the score does, up to so much at the second. Of fewer other places nothing is concluded.
_STANDS_OUT, _MOST_OF_DISTINCTION, _OTHERS = (1.0, 3.0), 1.0, 2
# From less far away a view is the same.
_VIEW_M, _VIEW_RAD = 0.02, np.radians(1.0)
# The log-odds never leave these limits: what was certain for long can be refuted soon. Below the least it is dropped.
_DROPPED, _CERTAIN = -3.0, 12.0


@dataclass(frozen=True, eq=False)
class Candidate:
    """A pose that one frame was registered to.

    Attributes:
        pose: of the camera.
        log_odds: of the score of its place, minus those of the threshold (natural logarithm).
        is_ruled_out: a rule rejects it whatever its score, so that it can speak against a hypothesis only.
        distinction: what it tells besides that the frame fits no other place nearly as well.
    """

    pose: Pose
    log_odds: float
    is_ruled_out: bool = False
    distinction: float = 0.0

    @property
    def evidence(self) -> float:
        """What the frame says for this pose; see the module."""
        told = min(max(self.log_odds + self.distinction + _AT_THRESHOLD, _LEAST), _MOST_OF_FRAME)
        return min(told, 0.0) if self.is_ruled_out else told

    def among(self, others: Sequence[Candidate]) -> Candidate:
        """With what it tells that the frame was registered to other places as well, and fits them so much less."""
        if self.is_ruled_out or len(others) < _OTHERS:
            return self
        first, second = _STANDS_OUT
        margin = self.log_odds - max(one.log_odds for one in others)
        share = min(max((margin - first) / (second - first), 0.0), 1.0)
        return replace(self, distinction=_MOST_OF_DISTINCTION * share)


@dataclass(frozen=True, eq=False)
class Hypothesis:
    """A pose that the camera may have.

    Attributes:
        pose: of the camera, as it was registered last.
        T_odom_camera: in odometry's frame at that stamp, 4x4; None without.
        log_odds: natural logarithm of the odds against "none of these".
        seen_ns: stamp of the last frame that spoke for it.
        frames: how many did.
        is_accepted: it is the place of the pose that was accepted last.
    """

    pose: Pose
    T_odom_camera: Array | None
    log_odds: float
    seen_ns: int
    frames: int = 1
    is_accepted: bool = False


@dataclass(frozen=True, eq=False)
class Search:
    """What the frames so far leave open.

    Attributes:
        possible: poses of the hypotheses that the next frame is to be registered from, the likeliest first.
        frames: that have been searched for the camera's place; each one is to look elsewhere, too.
        for_expected: by how much log-odds the place of the accepted pose is above all others; 0 where none is accepted.
    """

    possible: tuple[Pose, ...] = ()
    frames: int = 0
    for_expected: float = 0.0


class Hypotheses:
    """A bounded set of them. Not safe to share between threads."""

    def __init__(self, motion: MotionModel) -> None:
        """Nothing is known yet; `motion` carries the poses from frame to frame."""
        self._motion = motion
        self._alive: tuple[Hypothesis, ...] = ()
        self._frames = 0

    def forget(self) -> None:
        """Begin again."""
        self._alive, self._frames = (), 0

    @property
    def alive(self) -> tuple[Hypothesis, ...]:
        """The likeliest first."""
        return self._alive

    @property
    def weights(self) -> Array:
        """`[1 + N]`: of "none of these", and of each one in `alive`; they sum to 1."""
        odds = np.exp(np.array([0.0, *(one.log_odds for one in self._alive)]))
        return np.asarray(odds / odds.sum())

    def search(self, stamp_ns: int, T_odom_camera: Array | None) -> Search:
        """Where a frame is to be looked for."""
        others = [one for one in self._alive if not one.is_accepted]
        near_best = [one for one in others if one.log_odds > others[0].log_odds - _WORTH][:_FOLLOWED]
        carried = (self._moved(one, stamp_ns, T_odom_camera).carry(one.pose, stamp_ns) for one in near_best)
        return Search(tuple(carried), self._frames, self._for_accepted())

    def settle(self, pose: Pose, T_odom_camera: Array | None) -> None:
        """Take a pose as accepted: what speaks for its place is kept, the other places are forgotten."""
        there = (one for one in self._alive if _same(pose, one.pose, self._moved(one, pose.stamp_ns, T_odom_camera)))
        log_odds = max((one.log_odds for one in there), default=0.0)
        self._alive = (Hypothesis(pose, T_odom_camera, log_odds, pose.stamp_ns, is_accepted=True),)
        self._frames = 0

    def observe(self, candidates: Sequence[Candidate], stamp_ns: int, T_odom_camera: Array | None) -> None:
        """Take what one frame says: the poses that it was registered to, in any order."""
        self._frames += 1
        seen = _compared(distinct(candidates))
        best = max((one.evidence for one in seen), default=0.0)
        told = [(one, min(best, _AT_MOST) - max(0.0, best - one.evidence - _SLACK)) for one in seen]
        kept = []
        for one in self._alive:
            moved = self._moved(one, stamp_ns, T_odom_camera)
            found = next((i for i, (other, _) in enumerate(told) if _same(other.pose, one.pose, moved)), None)
            if found is None:
                kept.append(replace(one, log_odds=one.log_odds - _MISSED))
                continue
            candidate, evidence = told.pop(found)
            kept.append(_after(one, candidate, evidence, T_odom_camera))
        late = max((one.log_odds for one in kept if not one.is_accepted), default=0.0) - _LATE
        for candidate, evidence in told:
            if candidate.evidence > 0.0:
                level = max(0.0, late - min(best, _AT_MOST)) + evidence
                kept.append(Hypothesis(candidate.pose, T_odom_camera, level, stamp_ns))
        self._alive = self._pruned(_below_certain(kept), stamp_ns, T_odom_camera)

    def rivals_of(self, pose: Pose) -> int | None:
        """How many others are not clearly less likely than the one at a pose; None where there is none at it."""
        mine = self.at(pose)
        if mine is None:
            return None
        return sum(other is not mine and other.log_odds > mine.log_odds - CLEAR for other in self._alive)

    def is_convincing(self, pose: Pose, frames: int) -> bool:
        """Whether at least so many frames have together said enough for the one at a pose, and against all others."""
        mine = self.at(pose)
        enough = mine is not None and mine.log_odds >= CONVINCING and mine.frames >= frames
        return enough and not self.rivals_of(pose)

    def at(self, pose: Pose) -> Hypothesis | None:
        """The one that the frame of a pose spoke for with it."""
        seen = (one for one in self._alive if one.seen_ns == pose.stamp_ns)
        return next((one for one in seen if same_place(one.pose.T, pose.T)), None)

    def _for_accepted(self) -> float:
        accepted = next((one.log_odds for one in self._alive if one.is_accepted), 0.0)
        return accepted - max((one.log_odds for one in self._alive if not one.is_accepted), default=0.0)

    def _moved(self, one: Hypothesis, stamp_ns: int, T_odom_camera: Array | None) -> Moved:
        return self._motion.between(one.pose.stamp_ns, one.T_odom_camera, stamp_ns, T_odom_camera)

    def _pruned(
        self, found: Iterable[Hypothesis], stamp_ns: int, T_odom_camera: Array | None
    ) -> tuple[Hypothesis, ...]:
        """The likeliest ones; of those that are at one place by now, one, the accepted one if it is among them."""
        kept: list[tuple[Hypothesis, Array]] = []
        for one in sorted(found, key=lambda one: (not one.is_accepted, -one.log_odds)):
            T = one.pose.T @ self._moved(one, stamp_ns, T_odom_camera).T_then_now
            if one.log_odds > _DROPPED and not any(same_place(T, other) for _, other in kept):
                kept.append((one, T))
        return tuple(sorted((one for one, _ in kept), key=lambda one: -one.log_odds)[:MOST])


def distinct(candidates: Iterable[Candidate]) -> list[Candidate]:
    """The ones of different places, what speaks most for first."""
    kept: list[Candidate] = []
    for one in sorted(candidates, key=lambda one: (-one.evidence, -one.log_odds, *one.pose.T.ravel())):
        if not any(same_place(one.pose.T, other.pose.T) for other in kept):
            kept.append(one)
    return kept


def _compared(seen: list[Candidate]) -> list[Candidate]:
    """The poses of one frame, at distinct places, with what the best one tells by standing out from the others."""
    if not seen:
        return seen
    best = max(range(len(seen)), key=lambda i: seen[i].log_odds)
    return [one if i != best else one.among(seen[:i] + seen[i + 1 :]) for i, one in enumerate(seen)]


def same_place(A: Array, B: Array, metres: float = _SAME_M, radians: float = _SAME_RAD) -> bool:
    """Whether two poses (4x4) are of one place."""
    return float(se3.translation_error(A, B)) <= metres and float(se3.rotation_error(A, B)) <= radians


def _after(one: Hypothesis, found: Candidate, evidence: float, T_odom_camera: Array | None) -> Hypothesis:
    log_odds = one.log_odds + evidence
    if found.evidence <= 0.0:
        return replace(one, log_odds=log_odds)  # a registration that nothing speaks for may have slid away
    is_same_view = same_place(found.pose.T, one.pose.T, _VIEW_M, _VIEW_RAD)
    if found.log_odds < 0.0 and is_same_view and not one.is_accepted:
        return replace(one, log_odds=min(one.log_odds, log_odds), seen_ns=found.pose.stamp_ns)
    return Hypothesis(found.pose, T_odom_camera, log_odds, found.pose.stamp_ns, one.frames + 1, one.is_accepted)


def _below_certain(found: Sequence[Hypothesis]) -> list[Hypothesis]:
    """With at most the log-odds of what is certain; by what the accepted one is above that, all are lowered.

    So others do not gain on it by being told as much as it is.
    """
    above = max((one.log_odds - _CERTAIN for one in found if one.is_accepted), default=0.0)
    return [replace(one, log_odds=min(one.log_odds - max(0.0, above), _CERTAIN)) for one in found]


def _same(now: Pose, then: Pose, moved: Moved) -> bool:
    T = then.T @ moved.T_then_now
    return same_place(now.T, T, _SAME_M + moved.position_spread, _SAME_RAD + moved.rotation_spread)
