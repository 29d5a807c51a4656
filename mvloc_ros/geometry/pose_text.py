# SPDX-License-Identifier: Apache-2.0
"""Text of trajectories, of this project and of others -> stamps and numbers.

Read are TUM's eight columns (`t x y z qx qy qz qw`), the same with a node's number behind (rtabmap's poses_format 11),
both also separated by commas or semicolons where a header names the columns, and KITTI's twelve (a 3x4 matrix a line;
rtabmap's poses_format 0 too), whose times are in `times.txt` in the same folder, or which have none. Other orders of
columns would be misread and are refused.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mvloc_ros.errors import MvlocError
from mvloc_ros.foreign_text import quoted
from mvloc_ros.geometry import quaternion, se3
from mvloc_ros.geometry.stamp_text import read_number, to_nanoseconds
from mvloc_ros.geometry.text_file import read_text
from mvloc_ros.limits import MOST_COORDINATE_M

FORM = "t x y z qx qy qz qw"
KITTI_NUMBERS = 12
KITTI_TIMES = "times.txt"
_ROTATION_TOLERANCE = 0.05
"""Largest deviation of R R^T from the identity that is taken for rounding and not for a wrong file."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class PoseText:
    """The poses of a file, in its order.

    Attributes:
        columns: 8 (TUM's), 9 (the same with a node's number) or 12 (KITTI's matrix).
        stamps_ns: int64 `[N]`; None where the file has no times.
        values: x y z qx qy qz qw `[N, 7]`: metres, and quaternions of length 1 but for rounding.
    """

    columns: int
    stamps_ns: NDArray[np.int64] | None
    values: NDArray[np.float64]


def parse_trajectory(
    text: str, path: Path, bad_lines: list[int] | None
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Stamps and values as `PoseText` has them, of a file that must have times.

    Raises:
        MvlocError: as `parse_poses`, or there are no times.
    """
    found = parse_poses(text, path, bad_lines)
    if found.stamps_ns is None:
        raise MvlocError(
            f"{path} has KITTI's form, {KITTI_NUMBERS} numbers a line without a time: put their times in seconds, "
            f"one a line, into {path.with_name(KITTI_TIMES)}, or export it as TUM (`{FORM}`)."
        )
    return found.stamps_ns, found.values


def parse_poses(text: str, path: Path, bad_lines: list[int] | None = None, *, by_distance: bool = False) -> PoseText:
    """Poses in one of the forms that are read.

    With `bad_lines`, the numbers of lines that are no pose are added there and the rest is read. `by_distance`: as for
    `stamp_text.to_nanoseconds`.

    Raises:
        MvlocError: there is no pose, the columns are of another form or order, the stamps of no one unit, or, without
            `bad_lines`, a line is no pose. The sentence shows the line and the form that is expected.
    """
    named, columns = False, 0
    stamps: list[Decimal] = []
    rows: list[list[float]] = []
    first_problem = ""
    for number, line in enumerate(text.splitlines(), start=1):
        content, _, comment = line.partition("#")
        if not content.strip():
            named |= not rows and _names_columns(comment, number, path)
            continue
        if not rows and _names_columns(content, number, path):
            named = True
            continue
        try:
            fields = _fields(content, named)
            kitti = not rows and len(fields) == KITTI_NUMBERS
            stamp, values = (Decimal(0), []) if kitti else _pose(fields)
        except ValueError as problem:
            if bad_lines is None:
                raise MvlocError(
                    f"Line {number} of {path} is not `{FORM}` ({problem}): {quoted(line)}; correct or delete it."
                ) from None
            bad_lines.append(number)
            first_problem = first_problem or f": line {number} is not `{FORM}` ({problem}): {quoted(line)}"
            continue
        if kitti:
            return _parse_kitti(text, path)
        columns = columns or len(fields)
        stamps.append(stamp)
        rows.append(values)
    if not rows:
        raise MvlocError(f"The trajectory {path} contains no pose{first_problem or f' (`{FORM}` a line)'}.")
    return PoseText(columns, stamps_of(stamps, path, by_distance=by_distance), np.array(rows))


def stamps_of(stamps: Sequence[Decimal], path: Path, *, by_distance: bool = False) -> NDArray[np.int64]:
    """Stamps of a file in nanoseconds; warns where they are clearly in another unit than seconds.

    Raises:
        MvlocError: they are not all in one unit.
    """
    try:
        found, unit = to_nanoseconds(stamps, by_distance=by_distance)
    except ValueError as problem:
        raise MvlocError(f"{path} needs stamps in seconds: {problem}.") from None
    if unit != "seconds":
        _log.warning(
            "%s: stamps are read as %s, since %s seconds would not be a plausible time.", path, unit, stamps[0]
        )
    return np.array(found, dtype=np.int64)


def _names_columns(line: str, number: int, path: Path) -> bool:
    """Whether a comment or header names the columns; MvlocError where it names another order than `FORM`."""
    words = [word for word in re.split(r"[\s,;]+", re.sub(r"[\[(].*?[\])]", "", line).lower()) if word]
    found = [next((i for i, word in enumerate(words) if re.fullmatch(rf"q(\w*_)?{axis}", word)), -1) for axis in "xw"]
    if -1 in found:
        return False
    if found[0] < 4 or found[1] - found[0] != 3:
        raise MvlocError(
            f"Line {number} of {path} names its columns in another order than `{FORM}`: {quoted(line)}; write them "
            "in this order."
        )
    return True


def _fields(content: str, named: bool) -> list[str]:
    """The columns of a line. Raises ValueError where they are ambiguous."""
    words = content.split()
    if "," not in content and ";" not in content:
        return words
    separator = ";" if ";" in content else ","
    spaced = len(words) >= 8 and not any(word.endswith(",") for word in words)
    if ("," in content and ";" in content) or (spaced and separator == ","):
        raise ValueError("it has decimal commas; write decimal points")
    if not named:
        raise ValueError("no header names these columns; write them with spaces, or `#t,x,y,z,qx,qy,qz,qw` above")
    fields = [field.strip() for field in content.split(separator)]
    return fields[:-1] if not fields[-1] else fields


def _pose(fields: Sequence[str]) -> tuple[Decimal, list[float]]:
    """Stamp and seven numbers of a line's columns. Raises ValueError."""
    if len(fields) not in (8, 9) or (len(fields) == 9 and not fields[8].isdecimal()):
        raise ValueError(
            f"it has {len(fields)} columns" + (", the last of which is not a node number" if len(fields) == 9 else "")
        )
    stamp, values = read_number(fields[0]), [float(read_number(field)) for field in fields[1:8]]
    if not quaternion.is_unit(values[3:]):
        raise ValueError(f"its quaternion's norm is {float(np.linalg.norm(values[3:])):.3g} and not 1")
    _require_position(values[:3])
    return stamp, values


def _require_position(position: ArrayLike) -> None:
    if np.abs(position).max() > MOST_COORDINATE_M:
        raise ValueError(f"its position is beyond {MOST_COORDINATE_M:g} m")


def _parse_kitti(text: str, path: Path) -> PoseText:
    poses = []
    for number, line in enumerate(text.splitlines(), start=1):
        if line.partition("#")[0].strip():
            try:
                poses.append(matrix_of(line.partition("#")[0].split()))
            except ValueError as problem:
                raise MvlocError(
                    f"Line {number} of {path} is not KITTI's {KITTI_NUMBERS} numbers ({problem}): {quoted(line)}."
                ) from None
    return PoseText(KITTI_NUMBERS, _kitti_times(path, len(poses)), np.hstack(se3.to_parts(np.array(poses))))


def _kitti_times(path: Path, count: int) -> NDArray[np.int64] | None:
    """The times beside a file of KITTI's form; None where there are none."""
    times = path.with_name(KITTI_TIMES)
    if not times.is_file():
        return None
    text = read_text(times, "list of times")
    try:
        stamps = [read_number(field) for field in text.split()]
    except ValueError as problem:
        raise MvlocError(f"{times} is not a list of times in seconds, one a line ({problem}).") from None
    if len(stamps) != count:
        raise MvlocError(f"{times} has {len(stamps)} times, but {path} has {count} poses: the numbers must be equal.")
    _log.warning("%s: KITTI's form, with the times of %s.", path, times)
    return stamps_of(stamps, times)


def matrix_of(fields: Sequence[str]) -> NDArray[np.float64]:
    """The 4x4 transform, its rotation on SO(3), of 16 numbers or of KITTI's 12. Raises ValueError."""
    if any("," in field for field in fields):
        raise ValueError("it has commas; write spaces, and decimal points")
    values = [float(read_number(field)) for field in fields]
    if len(values) == KITTI_NUMBERS:
        values += [0.0, 0.0, 0.0, 1.0]
    if len(values) != 16:
        raise ValueError(f"it has {len(values)} numbers")
    pose = np.array(values).reshape(4, 4)
    if not se3.is_rigid(pose, tolerance=_ROTATION_TOLERANCE):
        raise ValueError("its numbers are not a rigid transform")
    _require_position(pose[:3, 3])
    pose[:3, :3] = se3.project_to_so3(pose[:3, :3])
    pose[3] = (0.0, 0.0, 0.0, 1.0)
    return pose
