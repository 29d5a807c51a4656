# SPDX-License-Identifier: Apache-2.0
"""The files of a traversal, and the transforms that RobotCar writes as x, y, z, roll, pitch, yaw."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mvloc_ros.foreign_text import quoted, shown
from mvloc_ros.geometry.motion_limits import MotionLimits
from mvloc_ros.geometry.stamp_text import LAST_NS
from mvloc_ros.geometry.text_file import read_text
from mvloc_ros.recordings.errors import RecordingError

Array = NDArray[np.float64]

# Camera folder -> (camera model, extrinsics and stamps, Bayer pattern).
CAMERAS = {
    "stereo/left": ("stereo_wide_left", "stereo", "gbrg"),
    "stereo/centre": ("stereo_narrow_left", "stereo", "gbrg"),
    "stereo/right": ("stereo_wide_right", "stereo", "gbrg"),
    "mono_left": ("mono_left", "mono_left", "rggb"),
    "mono_right": ("mono_right", "mono_right", "rggb"),
    "mono_rear": ("mono_rear", "mono_rear", "rggb"),
}
LIDARS = ("lms_front", "lms_rear", "ldmrs", "velodyne_left", "velodyne_right")
MICROSECOND_NS = 1000
CAR_LIMITS = MotionLimits(60.0, math.radians(180.0))
"""The fastest motion of a car that is interpolated."""


@dataclass(frozen=True)
class Traversal:
    """One drive; its folder is named by the time at which it began, e.g. 2014-06-26-08-53-56."""

    root: Path

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.root.resolve().name

    def stamps_ns(self, sensor: str) -> NDArray[np.int64]:
        """The stamps in `SENSOR.timestamps`, increasing.

        Raises RecordingError where the file is missing or has a line that does not begin with a number.
        """
        path = self.file(f"{sensor}.timestamps")
        stamps: list[int] = []
        for number, line in enumerate(read_text(path, "list", RecordingError).splitlines(), start=1):
            try:
                stamps += [read_stamp(field) // MICROSECOND_NS for field in line.split()[:1]]
            except ValueError:
                raise RecordingError(
                    f"{path} is not a list of `timestamp chunk` (microseconds): its line {number} is {quoted(line)}."
                ) from None
        if not stamps:
            raise RecordingError(f"{path} contains no stamps: download the traversal's {sensor} files.")
        return np.unique(np.array(stamps, dtype=np.int64)) * MICROSECOND_NS

    def file(self, name: str) -> Path:
        """A file of the traversal. Raises RecordingError where it is missing."""
        path = self.root / name
        if not path.is_file():
            raise RecordingError(f"The traversal {self.root} has no {name}: download it, or name another folder.")
        return path

    def image(self, camera: str, stamp_ns: int) -> Path:
        """The path of an image."""
        return self.root / camera / f"{stamp_ns // MICROSECOND_NS}.png"


def read_stamp(text: str) -> int:
    """A stamp in nanoseconds of one in whole microseconds. Raises ValueError where it is no number, or no time."""
    stamp_ns = int(text) * MICROSECOND_NS
    if not 0 <= stamp_ns <= LAST_NS:
        raise ValueError(f"{shown(text, 40)} is not a time in microseconds")
    return stamp_ns


def open_traversal(root: Path) -> Traversal:
    """A traversal's folder. Raises RecordingError where it is none."""
    if not root.is_dir():
        raise RecordingError(f"The traversal {root} does not exist or is not a folder: check the path.")
    return Traversal(root)


def transforms(xyzrpy: ArrayLike) -> Array:
    """Transforms `[..., 4, 4]` of `[..., 6]`: metres, then radians; R = Rz(yaw) Ry(pitch) Rx(roll)."""
    values = np.asarray(xyzrpy, dtype=np.float64)
    roll, pitch, yaw = (values[..., i] for i in (3, 4, 5))
    T = np.zeros((*values.shape[:-1], 4, 4))
    T[..., :3, :3] = _about(2, yaw) @ _about(1, pitch) @ _about(0, roll)
    T[..., :3, 3] = values[..., :3]
    T[..., 3, 3] = 1.0
    return T


def _about(axis: int, angle: Array) -> Array:
    """Rotations about one axis."""
    i, j = (axis + 1) % 3, (axis + 2) % 3
    rotation = np.zeros((*angle.shape, 3, 3))
    rotation[..., axis, axis] = 1.0
    rotation[..., i, i] = rotation[..., j, j] = np.cos(angle)
    rotation[..., i, j] = -np.sin(angle)
    rotation[..., j, i] = np.sin(angle)
    return rotation


def read_extrinsic(folder: Path, sensor: str) -> Array:
    """The 4x4 transform in `extrinsics/SENSOR.txt`: six numbers.

    Of a LIDAR and the INS it maps the sensor's coordinates into the vehicle's, of a camera the vehicle's into
    the camera's. Raises RecordingError where the file is missing or has other content.
    """
    path = folder / f"{sensor}.txt"
    try:
        values = [float(field) for field in read_text(path).split()]
    except ValueError as error:
        reason = str(error).rstrip(".")
        raise RecordingError(
            f"The extrinsics {path} cannot be read ({reason}): give the folder of the data set's kit with --extrinsics."
        ) from error
    if len(values) != 6 or not np.isfinite(values).all():
        raise RecordingError(f"{path} must contain six numbers, x y z roll pitch yaw.")
    return transforms(values)
