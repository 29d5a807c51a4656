# SPDX-License-Identifier: Apache-2.0
"""Writes what was found: a folder of posed frames whose images are those of the recordings."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.foreign_text import shown
from mvloc_ros.geometry.trajectory import Trajectory, write_tum
from mvloc_ros.posing.errors import PosingError
from mvloc_ros.recordings.camera_file import CAMERA_FILE, camera_file_content
from mvloc_ros.recordings.frames import CameraSettings, FrameRecord
from mvloc_ros.recordings.held_out_file import HELD_OUT_FILE, Stretch, held_out_text
from mvloc_ros.recordings.odometry_file import sampled, write_odometry
from mvloc_ros.storage import StorageError, replace_folder, staging_folder, write_file

Array = NDArray[np.float64]

POSING_FILE = "posing.json"


@dataclass(frozen=True, eq=False)
class PosedFrame:
    """A frame with its pose (4x4) and the covariance `[6, 6]` of that, in ROS order and the map's axes."""

    record: FrameRecord
    T_map_camera: Array
    covariance: Array


def require_usable(out: Path, folders: Sequence[Path] = ()) -> None:
    """Refuse a folder that holds anything but poses found earlier, or one of the recordings.

    Raises:
        PosingError: as said.
        StorageError: it cannot be looked at.
    """
    target = out.expanduser().resolve()
    for folder in (path.resolve() for path in folders):
        if target in (folder, *folder.parents):
            raise PosingError(
                f"{shown(str(out), 200)} is the recording {shown(str(folder), 200)} or has it inside, and would be "
                "replaced; choose another folder for --out."
            )
    try:
        is_other = target.exists() and not (target / POSING_FILE).is_file()
        if is_other and target.is_dir():
            is_other = next(target.iterdir(), None) is not None
    except OSError as error:
        raise StorageError(out, error) from error
    if is_other:
        raise PosingError(f"{shown(str(out), 200)} exists and is not from `mvloc pose`; choose another one.")


def write_posed(
    out: Path,
    cameras: CameraSettings,
    sequences: Mapping[str, Sequence[PosedFrame]],
    content: Mapping[str, Any],
    held_out: Sequence[Stretch] = (),
    odometry: Mapping[str, Trajectory] | None = None,
) -> None:
    """Write the folder whole or not at all; images are linked where the disk allows, else copied.

    Args:
        out: the folder; an earlier one is replaced.
        cameras: of all recordings.
        sequences: the frames of each sequence.
        content: of posing.json.
        held_out: frames for tests; without any, who reads the folder splits it.
        odometry: T_odom_base of sequences, at stamps of the frames' clock, to be kept beside the images.

    Raises:
        PosingError: the folder holds something else.
        StorageError: it cannot be written.
    """
    require_usable(out)
    with staging_folder(out) as folder:
        try:
            for name, frames in sequences.items():
                _write_sequence(folder, name, frames)
                if odometry is not None and name in odometry:
                    _write_odometry(folder / name, frames, odometry[name], cameras.rate_hz)
            write_file(folder / CAMERA_FILE, json.dumps(camera_file_content(cameras), indent=1) + "\n", durable=False)
            if held_out:
                write_file(folder / HELD_OUT_FILE, held_out_text(held_out), durable=False)
            write_file(folder / POSING_FILE, json.dumps(content, indent=1) + "\n", durable=False)
            replace_folder(folder, out)
        except StorageError:
            raise
        except OSError as error:
            raise StorageError(out, error) from error


def _write_sequence(folder: Path, name: str, frames: Sequence[PosedFrame]) -> None:
    (folder / name).mkdir()
    poses, lines = {}, ["# timestamp, then the upper triangle of the covariance: x y z, rotation about x y z"]
    for frame in frames:
        record = frame.record
        stem = folder / name / f"frame-{record.index:06d}"
        for kind, source in record.images().items():
            _link(source, stem.with_name(f"{stem.name}.{kind}{source.suffix}"))
        rows = "\n".join("\t".join(repr(float(value)) for value in row) for row in frame.T_map_camera)
        write_file(stem.with_name(f"{stem.name}.pose.txt"), rows + "\n", durable=False)
        poses[record.stamp_ns] = frame.T_map_camera
        seconds, rest = divmod(record.stamp_ns, 1_000_000_000)
        upper = " ".join(f"{value:.6g}" for value in frame.covariance[np.triu_indices(6)])
        lines.append(f"{seconds}.{rest:09d} {upper}")
    write_tum(folder / f"trajectory-{name}.tum", Trajectory.collect(poses))
    write_file(folder / f"covariances-{name}.txt", "\n".join(lines) + "\n", durable=False)


def _write_odometry(folder: Path, frames: Sequence[PosedFrame], odometry: Trajectory, rate_hz: float) -> None:
    found = {frame.record.index: sampled(odometry, frame.record.stamp_ns) for frame in frames}
    write_odometry(folder, {index: T for index, T in found.items() if T is not None}, rate_hz)


def _link(source: Path, path: Path) -> None:
    real = source.resolve()
    try:
        os.link(real, path)
    except OSError:  # another disk, or one without links
        shutil.copyfile(real, path)
