# SPDX-License-Identifier: Apache-2.0
"""The poses of one frame in a recording, by their stamps; poses of two publishers are refused."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry.motion_limits import alternation, differ, difference_text
from mvloc_ros.geometry.stamp_text import SECOND_NS
from mvloc_ros.geometry.trajectory import Interpolation, Trajectory
from mvloc_ros.recordings.errors import RecordingError

Array = NDArray[np.float64]

_CONFLICTS, _CONFLICT_SHARE = 3, 0.1
"""From this many stamps, and this share of them, with two different poses on there are two publishers."""
_LISTED = 3


@dataclass
class PoseSeries:
    """4x4 poses by stamp in nanoseconds; of equal stamps the first counts."""

    poses: dict[int, Array] = field(default_factory=dict)
    conflicts: dict[int, str] = field(default_factory=dict)  # stamp -> how far its second pose is from the first

    def add(self, stamp_ns: int, T: Array) -> None:
        """Take one pose."""
        first = self.poses.setdefault(stamp_ns, T)
        if first is not T and differ(first, T):
            self.conflicts.setdefault(stamp_ns, difference_text(first, T))

    def trajectory(self, what: str, remedy: str) -> Trajectory:
        """The poses in order of time; `what` they are and what to do begin and end the sentence of an error.

        Raises RecordingError where two publishers with different poses take turns or use the same stamps.
        """
        if len(self.conflicts) >= max(_CONFLICTS, _CONFLICT_SHARE * len(self.poses)):
            raise RecordingError(
                f"{what} has two different poses at {len(self.conflicts)} of {len(self.poses)} stamps, the first "
                f"{next(iter(self.conflicts.values()))} apart at {stamp_text(next(iter(self.conflicts)))}: two "
                f"publishers contradict each other; {remedy}."
            )
        trajectory = Trajectory.collect(self.poses)
        apart = alternation(trajectory.stamps_ns, trajectory.poses)
        if apart is not None:
            raise RecordingError(
                f"{what} alternates between two poses {apart[0]:.3f} m and {math.degrees(apart[1]):.1f} deg apart: two "
                f"publishers contradict each other; {remedy}."
            )
        return trajectory


def stamp_text(stamp_ns: int) -> str:
    """A stamp in seconds, cut to milliseconds."""
    seconds, rest = divmod(stamp_ns, SECOND_NS)
    return f"{seconds}.{rest // 1_000_000:03d} s"


def stamps_text(stamps_ns: list[int]) -> str:
    """The first few of some stamps."""
    listed = ", ".join(stamp_text(stamp) for stamp in stamps_ns[:_LISTED])
    return f"at {listed}" + (", ..." if len(stamps_ns) > _LISTED else "")


def jump_text(what: str, trajectory: Trajectory, how: Interpolation) -> str:
    """The steps of a trajectory that exceed the limits, with their times; empty where there are none."""
    jumps = trajectory.jumps(how)
    if not len(jumps):
        return ""
    steps = trajectory.steps
    largest = jumps[np.argmax(steps.distance_m[jumps])]
    count = f"{len(jumps)} steps exceed" if len(jumps) > 1 else "1 step exceeds"
    return (
        f"{what}: {count} {how.limits.text()}, {stamps_text([int(trajectory.stamps_ns[i]) for i in jumps])}; the "
        f"farthest is {steps.distance_m[largest]:.3f} m and {math.degrees(steps.angle_rad[largest]):.1f} deg in "
        f"{steps.seconds[largest]:.3f} s"
    )
