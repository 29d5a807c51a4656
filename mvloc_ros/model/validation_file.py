# SPDX-License-Identifier: Apache-2.0
"""The network's poses of the frames that were held out of its training: `validation.csv` of a bundle.

These are the poses of the network that had not seen them. One that was refitted to all frames afterwards has on them
a fraction of its errors elsewhere, so they cannot be computed again from the bundle's network.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.errors import MvlocError
from mvloc_ros.file_reader import ReadError, read_file
from mvloc_ros.foreign_text import quoted
from mvloc_ros.geometry import quaternion, se3
from mvloc_ros.geometry.stamp_text import read_number
from mvloc_ros.limits import MOST_COORDINATE_M, MOST_TEXT_BYTES

VALIDATION_FILE = "validation.csv"
MODALITIES = ("both", "color", "depth")
_HEADER = ("modalities", "sequence", "stamp_ns", "x", "y", "z", "qx", "qy", "qz", "qw")


class ValidationFileError(MvlocError):
    """`validation.csv` is damaged."""


@dataclass(frozen=True, eq=False)
class ValidationPoses:
    """Poses of N held-out frames, in order of the sequences and of time.

    Attributes:
        sequences, stamps_ns: which frames they are.
        poses: one of `MODALITIES`, which the network was given -> `[N, 4, 4]`, NaN where the frame lacks it. Only what
            the network can do.
    """

    sequences: tuple[str, ...]
    stamps_ns: NDArray[np.int64]
    poses: Mapping[str, NDArray[np.float64]]

    def to_text(self) -> str:
        """The content of the file; numbers to the micrometre."""
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(_HEADER)
        for modalities, poses in self.poses.items():
            for sequence, stamp, pose in zip(self.sequences, self.stamps_ns, poses, strict=True):
                if np.isfinite(pose).all():
                    position, orientation = se3.to_parts(pose)
                    numbers = (*(f"{v:.6f}" for v in position), *(f"{v:.8f}" for v in orientation))
                    writer.writerow([modalities, sequence, int(stamp), *numbers])
        return stream.getvalue()


def read_validation(path: Path) -> ValidationPoses:
    """The inverse of `ValidationPoses.to_text`.

    Raises:
        ValidationFileError: the file is not what `mvloc export` writes, or no regular file of its folder.
    """
    found: dict[str, dict[tuple[str, int], NDArray[np.float64]]] = {}
    try:
        text = read_file(path, MOST_TEXT_BYTES, within=path.parent).decode("utf-8")
        rows = csv.reader(io.StringIO(text, newline=""), strict=True)
        if tuple(next(rows, ())) != _HEADER:
            raise ValueError("its header is not the expected one")
        for row in rows:
            modalities, frame, pose = _parse_row(row, rows.line_num)
            if frame in found.setdefault(modalities, {}):
                raise ValueError(f"line {rows.line_num} repeats a frame")
            found[modalities][frame] = pose
    except (ReadError, ValueError, csv.Error) as error:
        reason = error.strerror if isinstance(error, ReadError) else error
        raise ValidationFileError(f"Cannot read {path}: {reason}; export the bundle again.") from error
    frames = sorted({frame for poses in found.values() for frame in poses})
    lacking = np.full((4, 4), np.nan)
    return ValidationPoses(
        sequences=tuple(sequence for sequence, _ in frames),
        stamps_ns=np.array([stamp for _, stamp in frames], dtype=np.int64),
        poses={name: np.array([poses.get(frame, lacking) for frame in frames]) for name, poses in found.items()},
    )


def _parse_row(row: list[str], line: int) -> tuple[str, tuple[str, int], NDArray[np.float64]]:
    """The modalities, the frame and its pose. Raises ValueError."""
    if len(row) != len(_HEADER):
        raise ValueError(f"line {line} has {len(row)} columns instead of {len(_HEADER)}")
    modalities, sequence, stamp, *texts = row
    if modalities not in MODALITIES:
        raise ValueError(f"line {line} has the modality {quoted(modalities, 40)}")
    if not re.fullmatch(r"-?[0-9]{1,19}", stamp) or not -(2**63) <= int(stamp) < 2**63:
        raise ValueError(f"the stamp in line {line} is {quoted(stamp, 40)}, not a stamp in nanoseconds")
    try:
        numbers = np.array([float(read_number(text)) for text in texts])
    except ValueError as error:
        raise ValueError(f"line {line} is not a pose: {str(error)[:80]}") from error
    if np.abs(numbers[:3]).max() > MOST_COORDINATE_M:
        raise ValueError(f"line {line} has a position beyond {MOST_COORDINATE_M:g} m")
    if not quaternion.is_unit(numbers[3:]):
        raise ValueError(f"the quaternion in line {line} does not have length 1")
    return modalities, (sequence, int(stamp)), se3.from_parts(numbers[:3], quaternion.normalise(numbers[3:]))
