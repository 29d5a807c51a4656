# SPDX-License-Identifier: Apache-2.0
"""Files of an IMU beside the images of a sequence.

`imu.csv`: a header that names columns and units, then a sample a line. An accelerometer and a gyroscope with stamps of
their own have lines of their own, with the other columns empty. A comment may hold the rotation to the camera:

    # R_camera_imu 0 -1 0 0 0 -1 1 0 0
    stamp_s,gyro_x_rad_s,gyro_y_rad_s,gyro_z_rad_s,accel_x_m_s2,accel_y_m_s2,accel_z_m_s2
    1305031098.603848000,0.012,-0.003,0.101,0.21,0.05,9.79

`image_times.csv`: the number of each frame and its time by the same clock, for layouts that only count frames.
`accelerometer.txt` of a TUM RGB-D recording: `timestamp ax ay az`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.foreign_text import quoted
from mvloc_ros.geometry import se3
from mvloc_ros.geometry.stamp_text import SECOND_NS, read_number, to_nanoseconds
from mvloc_ros.geometry.text_file import read_text
from mvloc_ros.recordings.errors import RecordingError
from mvloc_ros.recordings.imu.samples import Imu, Readings, checked_accelerations, checked_rates
from mvloc_ros.storage import write_file

Array = NDArray[np.float64]

IMU_FILE, TIMES_FILE, ACCELEROMETER_FILE = "imu.csv", "image_times.csv", "accelerometer.txt"
GYRO_COLUMNS = ("gyro_x_rad_s", "gyro_y_rad_s", "gyro_z_rad_s")
ACCEL_COLUMNS = ("accel_x_m_s2", "accel_y_m_s2", "accel_z_m_s2")
_STAMP = "stamp_s"
_ROTATION = "R_camera_imu"
_TIMES_COLUMNS = ("frame", "stamp_s")


def write_imu(path: Path, imu: Imu, comments: Sequence[str] = ()) -> None:
    """Write `imu.csv` whole or not at all. Raises StorageError where that fails."""
    lines = [f"# {comment}" for comment in comments]
    if imu.R_camera_imu is not None:
        lines.append(f"# {_ROTATION} " + " ".join(f"{value:.9f}" for value in imu.R_camera_imu.ravel()))
    lines.append(",".join((_STAMP, *GYRO_COLUMNS, *ACCEL_COLUMNS)))
    rows: dict[int, list[str]] = {}
    for place, part in enumerate((imu.rates, imu.accelerations)):
        if part is not None:
            for stamp, value in zip(part.stamps_ns.tolist(), part.values.tolist(), strict=True):
                row = rows.setdefault(stamp, [""] * 6)
                row[3 * place : 3 * place + 3] = [repr(number) for number in value]
    lines += [",".join((_seconds(stamp), *rows[stamp])) for stamp in sorted(rows)]
    write_file(path, "\n".join(lines) + "\n", durable=False)


def write_image_times(path: Path, times: Mapping[int, int]) -> None:
    """Write `image_times.csv` of {number of a frame: nanoseconds}. Raises StorageError where that fails."""
    lines = [",".join(_TIMES_COLUMNS), *(f"{index},{_seconds(stamp)}" for index, stamp in sorted(times.items()))]
    write_file(path, "\n".join(lines) + "\n", durable=False)


def read_imu(path: Path) -> Imu:
    """Read `imu.csv`.

    Raises:
        RecordingError: it is no such file, or has a line that is not a sample. Values that cannot be used are left out,
            with a remark.
    """
    names: list[str] = []
    R: Array | None = None
    stamps, rows = list[str](), list[list[float]]()
    lines = map(str.strip, read_text(path, "IMU file", RecordingError).splitlines())
    for number, line in enumerate(lines, start=1):
        if line.startswith("#"):
            R = _rotation(line, path, number) if line[1:].split()[:1] == [_ROTATION] else R
        elif line and not names:
            names = _columns(line, path, number)
        elif line:
            stamp, row = _row(line, names, path, number)
            stamps.append(stamp)
            rows.append(row)
    times, values = _stamps(stamps, path), np.array(rows, dtype=np.float64).reshape(-1, 6)
    parts, remarks = list[Readings | None](), list[str]()
    for first, check in ((0, checked_rates), (3, checked_accelerations)):
        mine = ~np.isnan(values[:, first : first + 3]).all(axis=1)
        part, more = check(times[mine], values[mine, first : first + 3])
        parts.append(part)
        remarks += more
    return Imu(parts[0], parts[1], R, source=path.name, remarks=tuple(remarks))


def read_accelerometer(path: Path) -> Imu:
    """Read `accelerometer.txt` of a TUM RGB-D recording. Raises RecordingError as `read_imu`."""
    stamps, rows = list[str](), list[list[float]]()
    for number, line in enumerate(read_text(path, "accelerometer file", RecordingError).splitlines(), start=1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) != 4:
            raise RecordingError(
                f"Line {number} of {path} has {len(words)} columns, not `timestamp ax ay az`: correct or remove the "
                "file."
            )
        stamps.append(words[0])
        rows.append([_number(word, path, number) for word in words[1:]])
    values = np.array(rows, dtype=np.float64).reshape(-1, 3)
    part, remarks = checked_accelerations(_stamps(stamps, path), values)
    return Imu(None, part, source=path.name, remarks=remarks)


def read_image_times(path: Path) -> dict[int, int]:
    """{Number of a frame: nanoseconds} of `image_times.csv`.

    Raises:
        RecordingError: it is no such file, or the times do not increase with the numbers.
    """
    numbers, stamps = list[int](), list[str]()
    for number, line in enumerate(read_text(path, "file of image times", RecordingError).splitlines(), start=1):
        words = [word.strip() for word in line.split(",")]
        if not line.strip() or line.startswith("#") or tuple(words) == _TIMES_COLUMNS:
            continue
        if len(words) != 2 or not words[0].isdecimal():
            raise RecordingError(
                f"Line {number} of {path} is {quoted(line)}, not the number of a frame and its time in seconds: "
                "correct or remove the file."
            )
        numbers.append(int(words[0][:18]))
        stamps.append(words[1])
    found = dict(zip(numbers, _stamps(stamps, path).tolist(), strict=True))
    ordered = [found[index] for index in sorted(found)]
    if any(b <= a for a, b in pairwise(ordered)):
        raise RecordingError(f"The times in {path} do not increase with the frames: correct or remove the file.")
    return found


def _columns(line: str, path: Path, number: int) -> list[str]:
    names = [name.strip() for name in line.split(",")]
    known = {_STAMP, *GYRO_COLUMNS, *ACCEL_COLUMNS}
    groups = [all(name in names for name in group) for group in (GYRO_COLUMNS, ACCEL_COLUMNS)]
    is_whole = set(names) <= known and len(set(names)) == len(names) and len(names) == 1 + 3 * sum(groups)
    if not is_whole or _STAMP not in names or not any(groups):
        raise RecordingError(
            f"Line {number} of {path} is {quoted(line)}: its first line must name the columns {_STAMP}, "
            f"{', '.join(GYRO_COLUMNS)} and {', '.join(ACCEL_COLUMNS)}, or one of the two sensors; convert other units."
        )
    return names


def _row(line: str, names: list[str], path: Path, number: int) -> tuple[str, list[float]]:
    words = [word.strip() for word in line.split(",")]
    if len(words) != len(names):
        raise RecordingError(
            f"Line {number} of {path} has {len(words)} columns and its header {len(names)}: correct or remove the file."
        )
    given = dict(zip(names, words, strict=True))
    values = [
        _number(word, path, number) if (word := given.get(name, "")) else float("nan")
        for name in (*GYRO_COLUMNS, *ACCEL_COLUMNS)
    ]
    return given[_STAMP], values


def _number(word: str, path: Path, number: int) -> float:
    try:
        value = float(word)
        return float("inf") if np.isnan(value) else value  # NaN stands for an empty column
    except ValueError:
        raise RecordingError(
            f"Line {number} of {path} has {quoted(word)} in the place of a number: correct or remove the file."
        ) from None


def _rotation(line: str, path: Path, number: int) -> Array:
    words = line[1:].split()[1:]
    values = np.array([_number(word, path, number) for word in words])
    T = np.eye(4)
    if values.shape == (9,):
        T[:3, :3] = values.reshape(3, 3)
    if values.shape != (9,) or not se3.is_rigid(T, 1e-3):
        raise RecordingError(
            f"Line {number} of {path} has no rotation matrix behind {_ROTATION}: give its nine numbers row by row, or "
            "remove the line, then the rotation is estimated."
        )
    return se3.project_to_so3(T[:3, :3])


def _stamps(words: Sequence[str], path: Path) -> NDArray[np.int64]:
    try:
        return np.array(to_nanoseconds([read_number(word) for word in words])[0], dtype=np.int64)
    except ValueError as problem:
        raise RecordingError(f"The times in {path} cannot be used: {problem}.") from problem


def _seconds(stamp_ns: int) -> str:
    seconds, rest = divmod(stamp_ns, SECOND_NS)
    return f"{seconds}.{rest:09d}"
