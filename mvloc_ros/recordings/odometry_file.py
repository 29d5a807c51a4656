# SPDX-License-Identifier: Apache-2.0
"""`odometry.tum` beside the images of a sequence: the pose of the robot's base in the frame of its odometry.

In the 7-Scenes layout its times count from the sequence's first number, as those of the frames do; in the TUM RGB-D
layout they are of the clock of the images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry.motion_limits import MotionLimits
from mvloc_ros.geometry.trajectory import Interpolation, Trajectory, read_tum, write_tum
from mvloc_ros.recordings.frames import PosedFolder
from mvloc_ros.recordings.seven_scenes import counted_stamp

Array = NDArray[np.float64]

ODOMETRY_FILE = "odometry.tum"
_GAPS = Interpolation(500_000_000, MotionLimits())


def read_odometry(folder: Path, start_ns: int = 0) -> Trajectory | None:
    """T_odom_base of a sequence, its times after `start_ns`; None where the folder has none."""
    path = folder / ODOMETRY_FILE
    if not path.is_file():
        return None
    read = read_tum(path)
    return Trajectory(read.stamps_ns + start_ns, read.poses)


def write_odometry(
    folder: Path, T_odom_base: Mapping[int, Array], rate_hz: float, comments: Sequence[str] = ()
) -> None:
    """Write the poses of the base (4x4) by the number of the frame, with the times that the numbers count."""
    poses = {counted_stamp(0, number, rate_hz): T for number, T in T_odom_base.items()}
    write_tum(folder / ODOMETRY_FILE, Trajectory.collect(poses), comments)


def sampled(odometry: Trajectory, stamp_ns: int) -> Array | None:
    """T_odom_base at a stamp, interpolated; None where the odometry has a gap there."""
    T = odometry.sample(stamp_ns, _GAPS)
    return T if isinstance(T, np.ndarray) else None


def odometry_of(folder: PosedFolder) -> dict[tuple[str, int], Array]:
    """T_odom_base of the frames of a folder, by sequence and number, for those that have it."""
    in_folder = cache(read_odometry)
    found: dict[tuple[str, int], Array] = {}
    for part in folder.parts or (folder,):
        for frame in part.frames():
            image = frame.color or frame.depth
            if image is None:
                continue
            # The images of a sequence are in its folder, or (TUM RGB-D) in one for each camera.
            odometry, stamp_ns = in_folder(image.parent), counted_stamp(0, frame.index, part.rate_hz)
            if odometry is None:
                odometry, stamp_ns = in_folder(image.parent.parent), frame.stamp_ns
            T = None if odometry is None else sampled(odometry, stamp_ns)
            if T is not None:
                found[frame.sequence, frame.index] = T
    return found
