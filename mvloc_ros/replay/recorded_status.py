# SPDX-License-Identifier: Apache-2.0
"""What the recorded status messages tell of each frame, and of those frames that no status tells of."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from mvloc_ros.evaluation.matching import match
from mvloc_ros.replay.outcomes import (
    ACCEPTED,
    BUSY,
    FAILED,
    INVALID,
    NOT_RECEIVED,
    NOT_RECORDED,
    REJECTED,
    UNKNOWN,
    UNPAIRED,
    WORDS,
    Outcome,
    group_reasons,
)
from mvloc_ros.replay.run import Stamps, header_stamp
from mvloc_ros.replay.sensor_figures import alone_note, experts, images_note, shares_of

STATES = ("INITIALISING", "TRACKING", "DEGRADED", "LOST", "STARVED")
"""By the value of LocalizationStatus.state."""
_DEGRADED = STATES[2]
_DROPPED = (UNPAIRED, BUSY, INVALID, FAILED)
_TOLD = (ACCEPTED, REJECTED, FAILED, NOT_RECORDED)
_FRAMES_DONE = ("published", "rejected", "dropped_failed")
_OF_SENSOR = {"received": "sensors_received", "used": "sensors_in_frames", "invalid": "sensors_dropped_invalid"}
"""What is counted of a further sensor -> the array of the status that has it."""
_ALONE = "without_pair"


class RecordedStatuses:
    """The statuses of one recording, in the order in which they came.

    Counters run from the node's activation: they begin again where it is activated again, and what a node had counted
    before the recording began is not of the recording.
    """

    def __init__(self, received_field: str = "color_received") -> None:
        """Take which counter tells how many of the frames' images the node received."""
        self._received = received_field
        self.last: Any | None = None
        self.totals: Counter[str] = Counter()
        self.began_earlier = False
        self._idle: Counter[str] = Counter()
        self._outcomes: dict[int, Outcome] = {}
        self._totals_at: dict[int, Counter[str]] = {}

    def take(self, message: Any) -> None:
        """One decoded LocalizationStatus."""
        self._count(message)
        self.last = message
        if _is_of_a_frame(message):
            stamp = header_stamp(message)
            self._outcomes[stamp] = _outcome(message)
            self._totals_at[stamp] = self.totals.copy()
        elif message.reason:
            self._idle[message.reason] += 1

    @property
    def stamps_ns(self) -> Stamps:
        """Stamps of the frames that statuses tell of."""
        return np.array(sorted(self._outcomes), dtype=np.int64)

    @property
    def sensors(self) -> tuple[str, ...]:
        """The model's sensors besides color and depth; empty too where the recording is of a node that did not tell."""
        return () if self.last is None else _sensors(self.last)

    @property
    def accepted(self) -> int:
        """Statuses of a published pose."""
        return sum(outcome.kind == ACCEPTED for outcome in self._outcomes.values())

    def notes(self, outcomes: Mapping[int, Outcome]) -> tuple[str, ...]:
        """For the reader of the report: what is not counted, which poses the node called less than good, and what it
        said while frames did not get to it.
        """
        notes = []
        if any(outcome.kind not in _TOLD for outcome in outcomes.values()):
            notes = [f"while it processed nothing the node said: {reason}" for reason, _ in self._idle.most_common(2)]
        degraded = [outcome for outcome in outcomes.values() if (outcome.kind, outcome.state) == (ACCEPTED, _DEGRADED)]
        for group in group_reasons(Outcome(_DEGRADED, outcome.remark or WORDS[REJECTED]) for outcome in degraded):
            notes.append(f"{group.frames} of {self.accepted} poses were published as {group.text()}")
        notes += self._sensor_notes()
        if self.began_earlier:
            notes.append("the node was active before the recording began: drops are counted from its first status on")
        return tuple(notes)

    def _sensor_notes(self) -> list[str]:
        notes = []
        for name in self.sensors:
            received, used, invalid = (self.totals[f"{kind} of {name}"] for kind in _OF_SENSOR)
            notes.append(images_note(name, used, received, invalid, ""))
        return [*notes, alone_note(self.totals[_ALONE])] if self.totals[_ALONE] else notes

    def _count(self, message: Any) -> None:
        now, before = _counters(message, self._received), Counter[str]()
        if self.last is not None:
            before = _counters(self.last, self._received)
            if any(now[name] < before[name] for name in now):  # activated again
                before = Counter()
        elif sum(getattr(message, name, 0) for name in _FRAMES_DONE) > 1:
            self.began_earlier = True
            before = now
        self.totals.update({name: now[name] - before[name] for name in now})

    def drops(self, frames: int) -> dict[str, int]:
        """What the node counted, by cause, and how many of the frames' images never reached it."""
        rejected = {REJECTED: self.totals[REJECTED]} if self.totals[REJECTED] else {}
        counts = {cause: self.totals[cause] for cause in _DROPPED} | rejected
        if self.began_earlier:  # which frames of the recording it received then is not known
            return counts
        return {**counts, NOT_RECEIVED: max(0, frames - self.totals["received"])}

    def outcomes(self, frames_ns: Stamps, poses_ns: Stamps, tolerance_ns: int, sent: int) -> dict[int, Outcome]:
        """Stamp of the frame -> its outcome, for every frame.

        Args:
            frames_ns: of the frames.
            poses_ns: of the recorded poses.
            tolerance_ns: largest difference of the stamps of a frame and what is told of it.
            sent: how many images of the camera whose pose the model gives were sent.
        """
        stamps = self.stamps_ns
        told, with_pose = match(frames_ns, stamps, tolerance_ns), match(frames_ns, poses_ns, tolerance_ns) >= 0
        causes = self._unexplained(sent, int(np.sum((told < 0) & ~with_pose)))
        result: dict[int, Outcome] = {}
        silent: list[int] = []
        for i, frame in enumerate(map(int, frames_ns)):
            if told[i] >= 0:
                stamp = int(stamps[told[i]])
                result[frame] = _checked(self._outcomes[stamp], bool(with_pose[i]))
                _explain(result, silent, causes, self._not_yet_counted(stamp))
                silent = []
            elif with_pose[i]:
                result[frame] = Outcome.without_words(ACCEPTED)  # its status was lost
            else:
                silent.append(frame)
        _explain(result, silent, causes, set())
        return result

    def _unexplained(self, frames: int, silent: int) -> Counter[str]:
        """How many of the frames that no status tells of each cause can explain, at most; the rest is unknown."""
        left = Counter({} if self.last is None else self.drops(frames))
        for kind in (REJECTED, FAILED):
            left[kind] -= sum(outcome.kind == kind for outcome in self._outcomes.values())
        left = +left
        left[UNKNOWN] = max(0, silent - left.total())
        return left

    def _not_yet_counted(self, stamp: int) -> set[str]:
        """The causes of no frame before that of `stamp`: what hindered an earlier one had been counted by then."""
        counted = self._totals_at[stamp]
        return {cause for cause in (*_DROPPED, REJECTED) if not counted[cause]}


def _explain(result: dict[int, Outcome], silent: list[int], causes: Counter[str], excluded: set[str]) -> None:
    """Give frames that no status tells of the only cause that there may be, or say between which it is open."""
    if not silent:
        return
    kinds = sorted(kind for kind, count in causes.items() if count > 0 and kind not in excluded) or [UNKNOWN]
    if len(kinds) == 1:
        outcome = Outcome.without_words(kinds[0])
        causes[kinds[0]] -= len(silent)
    else:
        outcome = Outcome(" or ".join(kinds), f"the node's counters do not tell which: {_alternatives(kinds)}")
    result.update(dict.fromkeys(silent, outcome))


def _alternatives(kinds: list[str]) -> str:
    return ", or ".join(WORDS[kind] for kind in kinds)


def _checked(outcome: Outcome, has_pose: bool) -> Outcome:
    if outcome.kind == ACCEPTED and not has_pose:
        return Outcome(NOT_RECORDED, WORDS[NOT_RECORDED], outcome.remark, outcome.state, outcome.score, outcome.refined)
    return outcome


def _is_of_a_frame(status: Any) -> bool:
    """Whether it is of a frame, and not of silence: nothing was decoded then."""
    return bool(status.pose_valid or status.decode_ms > 0.0 or status.inference_ms > 0.0)


def _outcome(status: Any) -> Outcome:
    # A frame that failed has no time of inference, one whose pose was rejected has.
    kind = ACCEPTED if status.pose_valid else REJECTED if status.inference_ms > 0.0 else FAILED
    reason, remark = ("", status.reason) if status.pose_valid else _split(status, kind)
    verified = hasattr(status, "score")  # a recording brings its own definitions, and an older one lacks these
    return Outcome(
        kind,
        reason or Outcome.without_words(kind).reason,
        remark,
        STATES[status.state] if status.state < len(STATES) else "",
        float(status.score) if verified and kind != FAILED else float("nan"),
        bool(status.refined) if verified and kind != FAILED else None,
        shares=_shares(status) if kind == ACCEPTED else {},
        skews_s=_skews(status),
    )


def _sensors(status: Any) -> tuple[str, ...]:
    """Names of further sensors; a recording brings its own definitions, and an older one lacks these fields."""
    return tuple(getattr(status, "sensors", ()))


def _shares(status: Any) -> dict[str, float]:
    sensors = _sensors(status)
    shares = (status.prior_share, status.color_share, status.depth_share, *getattr(status, "sensor_shares", ()))
    return shares_of(sensors, shares) if len(shares) == len(experts(sensors)) else {}


def _skews(status: Any) -> dict[str, float]:
    skews = zip(_sensors(status), getattr(status, "sensor_skews", ()), strict=False)
    return {name: float(skew) for name, skew in skews if math.isfinite(skew)}


def _split(status: Any, kind: str) -> tuple[str, str]:
    """Reason of the rejection and what else is said of the frame; a status has them in one text, the reason first."""
    rejection = getattr(status, "last_rejection", "")
    if kind == REJECTED and rejection and status.reason.startswith(rejection):
        return rejection, status.reason[len(rejection) :].removeprefix("; ")
    return status.reason, ""


def _counters(status: Any, received_field: str) -> Counter[str]:
    counts = Counter({cause: int(getattr(status, f"dropped_{cause}")) for cause in _DROPPED})
    counts[REJECTED] = int(getattr(status, "rejected", 0))
    counts["received"] = int(getattr(status, received_field))
    counts[_ALONE] = int(getattr(status, _ALONE, 0))
    for kind, array in _OF_SENSOR.items():
        for name, count in zip(_sensors(status), getattr(status, array, ()), strict=False):
            counts[f"{kind} of {name}"] = int(count)
    return counts
