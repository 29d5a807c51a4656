# SPDX-License-Identifier: Apache-2.0
"""How a localizer that knows nothing finds itself: starts at many places of a drive, and what became of them.

What counts is the first accepted pose of each start; that any accepted pose is far off counts against it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mvloc_ros.errors import MvlocError
from mvloc_ros.evaluation.matching import match
from mvloc_ros.evaluation.pauses import pause_s
from mvloc_ros.geometry import se3
from mvloc_ros.geometry.trajectory import Trajectory

WITHIN_S, WITHIN_M = 10.0, 1.0
RIGHT_M, RIGHT_DEG = 0.15, 5.0
FALSE_M, FALSE_DEG = 0.5, 15.0
_SECOND_NS = 1_000_000_000


class WakeUpError(MvlocError):
    """Wake-ups cannot be planned on a drive."""


@dataclass
class WakeUp:
    """One start.

    Attributes:
        start_ns: stamp of the frame at which it begins.
        end_ns: stamp after which it ends: it has had its time or its way.
        poses: accepted ones, {stamp: 4x4}.
        frames: that were localized, whatever came of it.
        with_odometry: those of them for which the recording told the odometry.
    """

    start_ns: int
    end_ns: int
    poses: dict[int, np.ndarray] = field(default_factory=dict)
    frames: int = 0
    with_odometry: int = 0


@dataclass(frozen=True)
class WakeUpResult:
    """What the wake-ups of one recording came to.

    Attributes:
        count: of wake-ups.
        right: those whose first accepted pose was right.
        silent: those without an accepted pose.
        times_s: from the start to the first accepted pose, of the right ones.
        accepted: accepted poses of all wake-ups.
        false_accepts: those of them that are far off.
        odometry_share: of the frames, for which the recording told the odometry.
    """

    count: int
    right: int
    silent: int
    times_s: tuple[float, ...]
    accepted: int
    false_accepts: int
    odometry_share: float

    def values(self) -> dict[str, Any]:
        """For report.json, with the limits."""
        median, p90 = self._quantiles()
        return {
            "count": self.count,
            "right": self.right,
            "right_share": self.right / self.count,
            "without_pose": self.silent,
            "time_s": {"median": median, "p90": p90} if self.times_s else None,
            "accepted_poses": self.accepted,
            "false_accepts": self.false_accepts,
            "odometry_share": self.odometry_share,
            "limits": {
                "within_s": WITHIN_S,
                "within_m": WITHIN_M,
                "right_m": RIGHT_M,
                "right_deg": RIGHT_DEG,
                "false_m": FALSE_M,
                "false_deg": FALSE_DEG,
            },
        }

    def text(self) -> str:
        """A line for the terminal."""
        median, p90 = self._quantiles()
        time = f" after {median:.1f} s (median; p90 {p90:.1f} s)" if self.times_s else ""
        blind = "" if self.odometry_share == 1.0 else f"; {self.odometry_share:.0%} of the frames had odometry"
        return (
            f"wake-ups {self.count}: {self.right} ({self.right / self.count:.1%}) with a right first pose (within "
            f"{RIGHT_M:g} m and {RIGHT_DEG:g} deg){time}, {self.silent} without a pose in {WITHIN_S:g} s and "
            f"{WITHIN_M:g} m; of {self.accepted} accepted poses {self.false_accepts} beyond {FALSE_M:g} m or "
            f"{FALSE_DEG:g} deg{blind}"
        )

    def _quantiles(self) -> tuple[float, float]:
        if not self.times_s:
            return float("nan"), float("nan")
        median, p90 = np.percentile(self.times_s, [50, 90])
        return float(median), float(p90)


def plan_wake_ups(truth: Trajectory, frames_ns: np.ndarray, count: int) -> list[WakeUp]:
    """Starts at evenly spread frames, each with the end of its time, its way or the truth, whichever comes first.

    Raises:
        WakeUpError: there is no ground truth, or fewer frames than wake-ups.
    """
    if not len(truth.stamps_ns):
        raise WakeUpError(
            "Wake-ups are evaluated by ground truth, and the recording has none: name it with --truth-topic."
        )
    ends = _ends_of_truth(truth.stamps_ns, frames_ns)
    frames_ns, ends = frames_ns[ends >= frames_ns], ends[ends >= frames_ns]
    if len(frames_ns) < count:
        raise WakeUpError(
            f"{count} wake-ups need as many frames with ground truth; the recording has {len(frames_ns)}."
        )
    steps = np.linalg.norm(np.diff(truth.poses[:, :3, 3], axis=0), axis=1)
    driven = np.concatenate([[0.0], np.cumsum(steps)])
    planned = []
    for chosen in np.arange(count) * len(frames_ns) // count:
        start = frames_ns[chosen]
        at = int(np.searchsorted(truth.stamps_ns, start))
        gone = int(np.searchsorted(driven, driven[at] + WITHIN_M, side="right"))
        by_way = int(truth.stamps_ns[gone]) if gone < len(driven) else int(truth.stamps_ns[-1])
        by_time = int(start) + round(WITHIN_S * _SECOND_NS)
        planned.append(WakeUp(int(start), min(by_way, by_time, int(ends[chosen]))))
    return planned


def _ends_of_truth(truth_ns: np.ndarray, frames_ns: np.ndarray) -> np.ndarray:
    """`[N]`: the stamp at which the ground truth around each frame ends; before the frame where there is none."""
    steps_s = np.diff(truth_ns) / _SECOND_NS
    # In a pause of the truth neither errors nor the way are known.
    breaks = np.flatnonzero(steps_s >= pause_s(float(np.median(steps_s)) if len(steps_s) else 0.0))
    begins, ends = truth_ns[[0, *(breaks + 1)]], truth_ns[[*breaks, -1]]
    run = np.searchsorted(begins, frames_ns, side="right") - 1
    return np.where(run >= 0, ends[np.maximum(run, 0)], -1)


def evaluate_wake_ups(wake_ups: list[WakeUp], truth: Trajectory, tolerance_ns: int = 0) -> WakeUpResult:
    """Compare the accepted poses with the ground truth at their stamps, within a tolerance.

    The first pose of a start must have truth, or the start could not be told right or wrong; later ones without truth
    are left out.

    Raises:
        WakeUpError: a start's first accepted pose has no ground truth.
    """
    right, silent, accepted, false, times = 0, 0, 0, 0, []
    for wake_up in wake_ups:
        estimates = Trajectory.collect(wake_up.poses)
        if not len(estimates.stamps_ns):
            silent += 1
            continue
        found = match(estimates.stamps_ns, truth.stamps_ns, tolerance_ns)
        if found[0] < 0:
            raise WakeUpError(
                f"A start's first accepted pose, at {1e-9 * estimates.stamps_ns[0]:.6f} s, has no ground truth within "
                f"{1e-9 * tolerance_ns:g} s, so that it cannot be evaluated; set --tolerance."
            )
        known = found >= 0
        poses, true = estimates.poses[known], truth.poses[found[known]]
        metres = se3.translation_error(poses, true)
        degrees = np.rad2deg(se3.rotation_error(poses, true))
        accepted += len(poses)
        false += int(np.count_nonzero((metres > FALSE_M) | (degrees > FALSE_DEG)))
        if metres[0] <= RIGHT_M and degrees[0] <= RIGHT_DEG:
            right += 1
            times.append((int(estimates.stamps_ns[0]) - wake_up.start_ns) / _SECOND_NS)
    frames = max(1, sum(wake_up.frames for wake_up in wake_ups))
    odometry = sum(wake_up.with_odometry for wake_up in wake_ups) / frames
    return WakeUpResult(len(wake_ups), right, silent, tuple(times), accepted, false, odometry)
