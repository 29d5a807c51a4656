# SPDX-License-Identifier: Apache-2.0
"""A folder of posed frames whose images are links to those of a folder without poses."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry.motion_limits import MotionLimits
from mvloc_ros.geometry.trajectory import Interpolation, NoPose
from mvloc_ros.recordings.agreement import require_agreement
from mvloc_ros.recordings.camera_file import CAMERA_FILE, camera_file_content
from mvloc_ros.recordings.errors import RecordingError
from mvloc_ros.recordings.folder import open_folder
from mvloc_ros.recordings.folder_writer import pose_text
from mvloc_ros.recordings.frames import BareFolder, BareSequence, FrameRecord
from mvloc_ros.recordings.numbering import frame_numbers
from mvloc_ros.recordings.odometry_file import sampled, write_odometry
from mvloc_ros.recordings.trajectory_file import (
    AXES,
    TrajectoryOptions,
    alternatives,
    read_trajectory_file,
    unknown_frame,
    up_note,
)
from mvloc_ros.recordings.trajectory_times import in_time
from mvloc_ros.storage import StorageError, replace_folder, staging_folder, write_file

Array = NDArray[np.float64]
Poses: TypeAlias = Mapping[tuple[str, int], Array]
"""T_map_camera by sequence and number of a frame."""
MAX_GAP_NS = 200_000_000


def pose_by_trajectory(
    folder: BareFolder,
    options: TrajectoryOptions,
    out: Path,
    *,
    extrinsic: Array | None = None,
    how: Interpolation | None = None,
    force: bool = False,
) -> list[str]:
    """Write a posed folder of a folder without poses and a trajectory; lines that say what was assumed.

    Args:
        folder: the images.
        options: the trajectory.
        out: the new folder, replaced.
        extrinsic: the camera in the frame of the trajectory, instead of one of the words for it.
        how: what may be interpolated.
        force: go on where poses and depth contradict each other.

    Raises:
        MvlocError: the trajectory cannot be read, is of other times, of an unknown frame, or contradicts the depth.
    """
    file = read_trajectory_file(options)
    frames = sorted((f for sequence in folder.sequences for f in sequence.frames), key=lambda f: f.stamp_ns)
    stamps = {(f.sequence, f.index): _posed_ns(folder, f) for f in frames}
    how = how or Interpolation(MAX_GAP_NS, MotionLimits())
    trajectory, association = in_time(file, {"frames": sorted(set(stamps.values()))}, how)
    frame = options.frame or file.usual_frame
    if extrinsic is None and frame not in AXES:
        raise unknown_frame(frame, ", and a folder of images has no other frames (give the camera with --extrinsic)")
    T_frame_camera = AXES[frame] if extrinsic is None else extrinsic
    sampled = {name: trajectory.sample(stamp, how) for name, stamp in stamps.items()}
    poses = {name: T @ T_frame_camera for name, T in sampled.items() if not isinstance(T, NoPose)}
    others = alternatives(T_frame_camera, AXES)
    write_posed_links(folder, poses, out, lambda staging: require_agreement(open_folder(staging), force, out, others))
    described = file.text(frame) if extrinsic is None else f"{options.path} with --extrinsic"
    note = up_note(np.array(list(poses.values())))
    return [f"poses: {described}", association.text(), *([f"note: {note}"] if note else [])]


def write_posed_links(
    folder: BareFolder, poses: Poses, out: Path, approve: Callable[[Path], None] | None = None
) -> None:
    """Write the frames that have a pose as a folder in the 7-Scenes layout, whole or not at all.

    Raises:
        RecordingError: no frame has a pose, or `approve` refuses the folder.
        StorageError: it cannot be written.
    """
    if not poses:
        raise RecordingError(f"No frame of {folder.root} has a pose.")
    try:
        with staging_folder(out) as staging:
            for sequence in folder.sequences:
                _write_sequence(folder, sequence, poses, staging)
            content = json.dumps(camera_file_content(folder), indent=1)
            write_file(staging / CAMERA_FILE, content + "\n", durable=False)
            if approve is not None:
                approve(staging)
            replace_folder(staging, out)
    except StorageError:
        raise
    except OSError as error:
        raise StorageError(out, error) from error


def _write_sequence(folder: BareFolder, sequence: BareSequence, poses: Poses, staging: Path) -> None:
    numbers = [frame.index for frame in sequence.frames]
    if folder.layout != "7scenes":  # there the number is the time
        numbers = frame_numbers([frame.stamp_ns for frame in sequence.frames], 1e9 / folder.rate_hz)
    name = sequence.name
    if not name.startswith("seq-"):
        name = f"seq-{1 + folder.sequences.index(sequence):02d}"
    numbered = list(zip(numbers, sequence.frames, strict=True))
    for number, frame in numbered:
        T = poses.get((frame.sequence, frame.index))
        if T is None:
            continue
        stem = staging / name / f"frame-{number:06d}"
        stem.parent.mkdir(exist_ok=True)
        for kind, image in frame.images().items():
            os.symlink(image.resolve(), f"{stem}.{kind}{image.suffix}")
        write_file(f"{stem}.pose.txt", pose_text(T), durable=False)
    if sequence.odometry is not None and (staging / name).is_dir():
        sampled_at = ((number, sampled(sequence.odometry, frame.stamp_ns)) for number, frame in numbered)
        write_odometry(staging / name, {n: T for n, T in sampled_at if T is not None}, folder.rate_hz)


def _posed_ns(folder: BareFolder, frame: FrameRecord) -> int:
    of_depth = folder.pose_of == "depth" and frame.depth_stamp_ns is not None
    return frame.depth_stamp_ns if of_depth and frame.depth_stamp_ns is not None else frame.stamp_ns
