# SPDX-License-Identifier: Apache-2.0
"""Poses over time: interpolation at a stamp, and the TUM trajectory format.

The format is one line a pose, `t x y z qx qy qz qw`, t in seconds, `#` before comments
(the TUM RGB-D benchmark); evo and most SLAM tools read it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry import quaternion, se3
from mvloc_ros.geometry.pose_text import parse_trajectory
from mvloc_ros.geometry.text_file import read_text


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

    def __len__(self) -> int:
        return len(self.stamps_ns)

    def at(self, stamp_ns: int, max_gap_ns: int) -> NDArray[np.float64] | None:
        """The pose at a stamp, interpolated; None outside, or inside a gap wider than `max_gap_ns`."""
        after = int(np.searchsorted(self.stamps_ns, stamp_ns))
        if after < len(self) and self.stamps_ns[after] == stamp_ns:
            return self.poses[after].copy()
        if after in (0, len(self)):
            return None
        start, end = int(self.stamps_ns[after - 1]), int(self.stamps_ns[after])
        if end - start > max_gap_ns:
            return None
        return se3.interpolate(self.poses[after - 1], self.poses[after], (stamp_ns - start) / (end - start))


def write_tum(path: Path | str, trajectory: Trajectory) -> None:
    """Write a trajectory whole or not at all (a temporary file takes the name at the end)."""
    path = Path(path)
    position, orientation = se3.to_parts(trajectory.poses)
    lines = ["# timestamp tx ty tz qx qy qz qw"]
    for stamp, p, q in zip(trajectory.stamps_ns, position, orientation, strict=True):
        seconds, nanoseconds = divmod(int(stamp), 1_000_000_000)
        values = " ".join(f"{value:.9f}" for value in (*p, *q))
        lines.append(f"{seconds}.{nanoseconds:09d} {values}")
    temporary = path.with_name(path.name + ".part")
    temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    os.replace(temporary, path)


def read_tum(path: Path | str, bad_lines: list[int] | None = None) -> Trajectory:
    """Read a trajectory in one of the forms of `pose_text`.

    Lines out of order are sorted, later ones of equal stamps dropped.

    With `bad_lines`, the numbers of lines that are no pose (text, NaN, no unit quaternion) are added there and the
    rest is read.

    Raises:
        MvlocError: the file is missing or of another form (`pose_text`), holds no pose, or, without `bad_lines`, has a
            line that is none.
    """
    path = Path(path)
    stamps, values = parse_trajectory(read_text(path, "trajectory"), path, bad_lines)
    order = np.unique(stamps, return_index=True)[1]
    poses = se3.from_parts(values[order, :3], quaternion.normalise(values[order, 3:]))
    return Trajectory(stamps[order], poses)
