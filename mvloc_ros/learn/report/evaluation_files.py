# SPDX-License-Identifier: Apache-2.0
"""Reads what `mvloc replay` wrote: report.json and frames.csv, which must be of one run."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.errors import MvlocError
from mvloc_ros.foreign_text import quoted
from mvloc_ros.geometry import quaternion, se3
from mvloc_ros.geometry.stamp_text import read_number
from mvloc_ros.geometry.text_file import read_text
from mvloc_ros.json_text import parse_json
from mvloc_ros.learn.report.inputs import ReportError
from mvloc_ros.limits import MOST_COORDINATE_M
from mvloc_ros.model.manifest_checks import ManifestError, Section

Array = NDArray[np.float64]

REPORT_FILE, FRAMES_FILE = "report.json", "frames.csv"
_AXES = ("x", "y", "z", "qx", "qy", "qz", "qw")
_TRUTH = [f"truth_{axis}" for axis in _AXES]
_COLUMNS = ("stamp_ns", "pose", "translation_m", "rotation_deg", *_TRUTH)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A run on N frames, in order of time.

    Attributes:
        stamps_ns: `[N]`.
        accepted: `[N]`: whether the frame got a pose.
        translation_m, rotation_deg: `[N]`, NaN without a pose or a true pose.
        truth: T_map_camera `[N, 4, 4]`, NaN where there is none.
        report: the values of report.json.
    """

    stamps_ns: NDArray[np.int64]
    accepted: NDArray[np.bool_]
    translation_m: Array
    rotation_deg: Array
    truth: Array
    report: Mapping[str, Any]

    def __len__(self) -> int:
        return len(self.stamps_ns)

    @property
    def has_truth(self) -> NDArray[np.bool_]:
        """[N]: which frames can be evaluated."""
        return np.asarray(np.isfinite(self.truth).all(axis=(1, 2)))


def read_evaluation(folder: Path) -> Evaluation:
    """The evaluation in a folder.

    Raises:
        ReportError: a file is missing or damaged, or the two are not of one run.
    """
    report = _report(folder / REPORT_FILE)
    path = folder / FRAMES_FILE
    try:
        found = _frames(read_text(path, "evaluation", ReportError), report)
        stated = Section(report)
        counts = stated.integer("frames"), stated.integer("poses")
    except ReportError:
        raise
    except (MvlocError, ValueError, csv.Error) as error:
        raise ReportError(f"{path} is no evaluation of `mvloc replay`: {error}; run it again.") from error
    if counts != (len(found), int(found.accepted.sum())):
        raise ReportError(
            f"{path} has {int(found.accepted.sum())} poses of {len(found)} frames, {REPORT_FILE} beside it says "
            f"{counts[1]} of {counts[0]}: they are of different runs; run `mvloc replay` again."
        )
    return found


def _report(path: Path) -> Mapping[str, Any]:
    text = read_text(path, "evaluation", ReportError)
    try:
        return Section.of(parse_json(text)).values
    except (ManifestError, ValueError) as error:
        raise ReportError(f"{path} is no evaluation of `mvloc replay`: {error}; run it again.") from error


def _frames(text: str, report: Mapping[str, Any]) -> Evaluation:
    """The rows of frames.csv. Raises ValueError, also as MvlocError."""
    rows = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    if missing := [name for name in _COLUMNS if name not in (rows.fieldnames or ())]:
        raise ValueError(f"it has no column {missing[0]}")
    read = [_row(row, rows.line_num) for row in rows]
    numbers = np.array([row[2] for row in read], dtype=np.float64).reshape(-1, 2)
    return Evaluation(
        stamps_ns=np.array([row[0] for row in read], dtype=np.int64),
        accepted=np.array([row[1] for row in read], dtype=bool),
        translation_m=numbers[:, 0],
        rotation_deg=numbers[:, 1],
        truth=np.array([row[3] for row in read], dtype=np.float64).reshape(-1, 4, 4),
        report=report,
    )


def _row(row: Mapping[str, str | None], line: int) -> tuple[int, bool, tuple[float, float], Array]:
    """Stamp, whether there is a pose, errors (NaN without), true pose (NaN without). Raises ValueError."""
    stamp, pose = row["stamp_ns"] or "", row["pose"]
    if not stamp.lstrip("-").isdecimal() or len(stamp) > 19 or pose not in ("0", "1"):
        raise ValueError(f"line {line} has the stamp {quoted(stamp, 40)} and the pose {quoted(pose, 40)}")
    translation, rotation, *parts = (_number(row[name], name, line) for name in _COLUMNS[2:])
    truth = np.full((4, 4), np.nan)
    if np.isfinite(parts).all():
        if np.abs(parts[:3]).max() > MOST_COORDINATE_M or not quaternion.is_unit(np.array(parts[3:])):
            raise ValueError(f"the true pose in line {line} is none")
        truth = se3.from_parts(parts[:3], quaternion.normalise(np.array(parts[3:])))
    return int(stamp), pose == "1", (translation, rotation), truth


def _number(text: str | None, name: str, line: int) -> float:
    """A number, NaN for an empty cell. Raises ValueError."""
    if not text:
        return float("nan")
    try:
        return float(read_number(text))
    except ValueError as error:
        raise ValueError(f"{name} in line {line} is {quoted(text, 40)}") from error
