# SPDX-License-Identifier: Apache-2.0
"""Where the network put the frames that were held out of its training: `validation.csv` of a bundle.

These are the answers of the network that had not seen them. One that was refitted to all frames afterwards errs on
them by a fraction of what it errs elsewhere, so they cannot be made again from the bundle's network.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.errors import MvlocError
from mvloc_ros.geometry import se3

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
        ValidationFileError: the file is not what `mvloc export` writes.
    """
    found: dict[str, dict[tuple[str, int], NDArray[np.float64]]] = {}
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            rows = csv.reader(stream)
            if tuple(next(rows, ())) != _HEADER:
                raise ValueError("its first line is another one")
            for modalities, sequence, stamp, *numbers in rows:
                if modalities not in MODALITIES:
                    raise ValueError(f"a row is of {modalities!r}")
                x, y, z, *orientation = (float(number) for number in numbers)
                pose = se3.from_parts(np.array([x, y, z]), np.array(orientation))
                found.setdefault(modalities, {})[sequence, int(stamp)] = pose
    except (OSError, ValueError) as error:
        raise ValidationFileError(f"Cannot read {path}: {error}; export the bundle again.") from error
    frames = sorted({frame for poses in found.values() for frame in poses})
    lacking = np.full((4, 4), np.nan)
    return ValidationPoses(
        sequences=tuple(sequence for sequence, _ in frames),
        stamps_ns=np.array([stamp for _, stamp in frames], dtype=np.int64),
        poses={name: np.array([poses.get(frame, lacking) for frame in frames]) for name, poses in found.items()},
    )
