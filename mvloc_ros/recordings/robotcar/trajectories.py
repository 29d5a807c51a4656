# SPDX-License-Identifier: Apache-2.0
"""INS, RTK and visual odometry of a traversal.

Absolute poses are of the INS in north, east, down (UTM metres). The poses of visual odometry are relative, of
the vehicle.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.foreign_text import quoted
from mvloc_ros.geometry import se3
from mvloc_ros.geometry.text_file import read_text
from mvloc_ros.geometry.trajectory import Interpolation, NoPose, Trajectory
from mvloc_ros.recordings.errors import RecordingError
from mvloc_ros.recordings.robotcar.layout import MICROSECOND_NS, read_stamp, transforms

Array = NDArray[np.float64]

POSE_FILES = {"ins": "gps/ins.csv", "rtk": "gps/rtk.csv"}
ODOMETRY_FILE = "vo/vo.csv"
_ABSOLUTE = ("timestamp", "northing", "easting", "down", "roll", "pitch", "yaw")
_RELATIVE = ("source_timestamp", "destination_timestamp", "x", "y", "z", "roll", "pitch", "yaw")
_GOOD = "INS_SOLUTION_GOOD"


def read_absolute(path: Path, good_only: bool = False) -> Trajectory:
    """T_world_ins over time, of `ins.csv` or `rtk.csv`, whose columns are found by their names.

    `good_only` leaves out what the INS itself does not call a good solution. Raises RecordingError where the
    file has no pose or a line that is damaged.
    """
    extra = ("ins_status",) if good_only else ()
    rows = [row for row in _read(path, (*_ABSOLUTE, *extra)) if not good_only or row[-1] == _GOOD]
    poses = {int(row[0]) * MICROSECOND_NS: [float(value) for value in row[1:7]] for row in rows}
    if not poses:
        raise RecordingError(f"{path} contains no pose{' with ' + _GOOD if good_only else ''}.")
    if not np.isfinite(list(poses.values())).all():
        raise RecordingError(f"{path} has a pose that is not finite: delete its line.")
    return Trajectory.collect({stamp: transforms(values) for stamp, values in poses.items()})


@dataclass(frozen=True)
class Odometry:
    """Visual odometry: segments of unbroken motion, each in the frame of its own beginning."""

    segments: tuple[Trajectory, ...]

    def at(self, stamp_ns: int, how: Interpolation) -> tuple[int, Array] | None:
        """Which segment a stamp lies in, and T_segment_vehicle there; None outside of all."""
        for number, segment in enumerate(self.segments):
            if segment.stamps_ns[0] <= stamp_ns <= segment.stamps_ns[-1]:
                T = segment.sample(stamp_ns, how)
                return None if isinstance(T, NoPose) else (number, T)
        return None


def read_odometry(path: Path) -> Odometry:
    """Chain the relative poses of `vo.csv`: each line maps the source's coordinates into the destination's.

    A line that continues no earlier one begins a new segment. Raises RecordingError where the file has no motion
    or a line that is damaged.
    """
    segments: list[dict[int, Array]] = []
    for row in _read(path, _RELATIVE):
        source, destination = (int(value) * MICROSECOND_NS for value in row[:2])
        T_destination_source = transforms([float(value) for value in row[2:]])
        if not np.isfinite(T_destination_source).all():
            raise RecordingError(f"{path} has a motion that is not finite: delete its line.")
        current = segments[-1] if segments else {}
        if destination in current:
            current[source] = current[destination] @ T_destination_source
        elif source in current:
            current[destination] = current[source] @ se3.inverse(T_destination_source)
        else:
            segments.append({destination: np.eye(4), source: T_destination_source})
    if not segments:
        raise RecordingError(f"{path} contains no motion.")
    return Odometry(tuple(map(Trajectory.collect, segments)))


def _read(path: Path, columns: Sequence[str]) -> list[list[str]]:
    """The named columns of a CSV file with a header line; all but the status are checked to be numbers."""
    try:
        text = read_text(path, "table", RecordingError)
        reader = csv.DictReader(io.StringIO(text, newline=""), skipinitialspace=True)
        missing = [name for name in columns if name not in (reader.fieldnames or ())]
        if missing:
            raise RecordingError(f"{path} has no column {missing[0]!r}: it is not RobotCar's file of that name.")
        rows = [[row[name] or "" for name in columns] for row in reader]
    except csv.Error as error:
        raise RecordingError(f"{path} cannot be read ({error}).") from error
    for number, row in enumerate(rows, start=2):
        try:
            for value, name in zip(row, columns, strict=True):
                if name.endswith("timestamp"):
                    read_stamp(value)
                elif name != "ins_status":
                    float(value)
        except ValueError:
            raise RecordingError(f"Line {number} of {path} is damaged ({quoted(','.join(row))}): delete it.") from None
    return rows
