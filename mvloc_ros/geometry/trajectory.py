# SPDX-License-Identifier: Apache-2.0
"""Poses over time: interpolation at a stamp, and the TUM trajectory format.

The format is one line a pose, `t x y z qx qy qz qw`, t in seconds, `#` before comments
(the TUM RGB-D benchmark); evo and most SLAM tools read it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry import quaternion, se3
from mvloc_ros.geometry.motion_limits import MotionLimits, Steps
from mvloc_ros.geometry.pose_text import parse_trajectory
from mvloc_ros.geometry.text_file import read_text
from mvloc_ros.storage import write_file


class NoPose(Enum):
    """Why a trajectory has no pose at a stamp; the value completes "no pose: ..."."""

    OUTSIDE = "before the first or after the last pose"
    GAP = "between two poses that are too far apart in time"
    JUMP = "between two poses that no motion within the limits connects"
    ISOLATED = "at a pose that no motion within the limits connects to its neighbours"


@dataclass(frozen=True)
class Interpolation:
    """What may be interpolated: at most this time in nanoseconds, and only motion within the limits."""

    max_gap_ns: int
    limits: MotionLimits = field(default_factory=MotionLimits)


@dataclass(frozen=True)
class Trajectory:
    """Stamps in nanoseconds, int64 `[N]`, strictly increasing, and transforms, float64 `[N, 4, 4]`."""

    stamps_ns: NDArray[np.int64]
    poses: NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.stamps_ns.shape != (len(self.poses),) or self.poses.shape[1:] != (4, 4):
            raise ValueError(
                f"A trajectory needs N stamps and N 4x4 poses, not {self.stamps_ns.shape} and {self.poses.shape}."
            )
        if np.any(np.diff(self.stamps_ns) <= 0):
            raise ValueError("The stamps of a trajectory must increase.")

    @staticmethod
    def collect(poses: Mapping[int, NDArray[np.float64]]) -> Trajectory:
        """From {stamp: 4x4}, in any order; of none, a trajectory of none."""
        stamps = np.array(sorted(poses), dtype=np.int64)
        return Trajectory(stamps, np.array([poses[int(stamp)] for stamp in stamps], dtype=np.float64).reshape(-1, 4, 4))

    def __len__(self) -> int:
        return len(self.stamps_ns)

    @cached_property
    def steps(self) -> Steps:
        """From each pose to the next."""
        return Steps.between(self.stamps_ns, self.poses)

    def jumps(self, how: Interpolation) -> NDArray[np.int64]:
        """Indices of the poses after which the next one, within the gap, is out of reach of the limits."""
        near = np.diff(self.stamps_ns) <= how.max_gap_ns
        return np.flatnonzero(near & self.steps.impossible(how.limits))

    def sample(self, stamp_ns: int, how: Interpolation) -> NDArray[np.float64] | NoPose:
        """The pose at a stamp, interpolated, or why there is none.

        No pose is made up between two that no motion within the limits connects, and a single pose that is out
        of reach of its neighbours is not used.
        """
        after = int(np.searchsorted(self.stamps_ns, stamp_ns))
        if after < len(self) and self.stamps_ns[after] == stamp_ns:
            return NoPose.ISOLATED if self._isolated(after, how) else self.poses[after].copy()
        if after in (0, len(self)):
            return NoPose.OUTSIDE
        start, end = int(self.stamps_ns[after - 1]), int(self.stamps_ns[after])
        if end - start > how.max_gap_ns:
            return NoPose.GAP
        if self._is_jump(after - 1, how):
            return NoPose.JUMP
        return se3.interpolate(self.poses[after - 1], self.poses[after], (stamp_ns - start) / (end - start))

    def _isolated(self, index: int, how: Interpolation) -> bool:
        """Whether there are poses near in time, and all of them are out of reach."""
        steps = [i for i in (index - 1, index) if 0 <= i < len(self) - 1]
        near = [i for i in steps if self.stamps_ns[i + 1] - self.stamps_ns[i] <= how.max_gap_ns]
        return bool(near) and all(self._is_jump(i, how) for i in near)

    def _is_jump(self, index: int, how: Interpolation) -> bool:
        step = slice(index, index + 1)
        seconds, distance, angle = self.steps.seconds, self.steps.distance_m, self.steps.angle_rad
        return bool(how.limits.impossible(seconds[step], distance[step], angle[step])[0])


def write_tum(path: Path | str, trajectory: Trajectory, comments: Sequence[str] = ()) -> None:
    """Write a trajectory whole or not at all, after lines of comment; raises StorageError where that fails."""
    position, orientation = se3.to_parts(trajectory.poses)
    lines = [*(f"# {comment}" for comment in comments), "# timestamp tx ty tz qx qy qz qw"]
    for stamp, p, q in zip(trajectory.stamps_ns, position, orientation, strict=True):
        seconds, nanoseconds = divmod(int(stamp), 1_000_000_000)
        values = " ".join(f"{value:.9f}" for value in (*p, *q))
        lines.append(f"{seconds}.{nanoseconds:09d} {values}")
    write_file(path, "\n".join(lines) + "\n")


def read_tum(path: Path | str, bad_lines: list[int] | None = None) -> Trajectory:
    """Read a trajectory in one of the forms of `pose_text`.

    Lines out of order are sorted, later ones of equal stamps dropped.

    With `bad_lines`, the numbers of lines that are no pose (text, NaN, no unit quaternion) are added there and the
    rest is read.

    Raises:
        MvlocError: the file is missing or of another form (`pose_text`), contains no pose, or, without `bad_lines`, has
            a line that is not a pose.
    """
    path = Path(path)
    stamps, values = parse_trajectory(read_text(path, "trajectory"), path, bad_lines)
    order = np.unique(stamps, return_index=True)[1]
    poses = se3.from_parts(values[order, :3], quaternion.normalise(values[order, 3:]))
    return Trajectory(stamps[order], poses)
