# SPDX-License-Identifier: Apache-2.0
"""Poses of a recording from a file that another system wrote (`--trajectory`)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry.text_file import read_text
from mvloc_ros.geometry.trajectory import NoPose
from mvloc_ros.recordings.errors import RecordingError
from mvloc_ros.recordings.to_dataset.pose_source import PoseCollector, PoseOptions, PoseSource
from mvloc_ros.recordings.topics import BASE_FRAME
from mvloc_ros.recordings.trajectory_file import (
    AXES,
    TrajectoryFile,
    TrajectoryOptions,
    alternatives,
    read_trajectory_file,
    unknown_frame,
)
from mvloc_ros.recordings.trajectory_times import in_time
from mvloc_ros.recordings.transforms import TransformTree, frame_name

Array = NDArray[np.float64]


def check_trajectory_options(options: PoseOptions, map_frame: str) -> None:
    """Refuse what names another source of poses than the file, whose map frame's name is nowhere used."""
    if options.trajectory is None:
        return
    given = {
        "--poses": options.source is not None,
        "--map-frame": options.map_frame != map_frame,
        "--pose-frame": options.pose_frame is not None,
    }
    if names := [name for name, is_given in given.items() if is_given]:
        remedy = "; say what they are of with --trajectory-frame" if names[0] == "--pose-frame" else ""
        raise RecordingError(f"--trajectory gives the poses, so {names[0]} has no meaning: remove it{remedy}.")
    if options.T_pose_camera is not None and options.trajectory.frame is not None:
        raise RecordingError("--extrinsic gives the camera in the frame of the trajectory: omit --trajectory-frame.")


def trajectory_source(
    collected: PoseCollector, options: PoseOptions, camera_frame: str, images: Mapping[str, Sequence[int]]
) -> PoseSource:
    """The poses of a file as those of a camera.

    Args:
        collected: the recording's transforms.
        options: with a trajectory.
        camera_frame: of the camera that is posed.
        images: as for `in_time`.

    Raises:
        MvlocError: the file cannot be read, its poses have other times than the images, or its frame is not known.
    """
    assert options.trajectory is not None
    file = read_trajectory_file(options.trajectory)
    trajectory, association = in_time(file, images, options.interpolation)
    tree, first_ns = collected.tree, next(iter(images.values()))[0]
    frames = dict(AXES)
    if BASE_FRAME in tree.frames() and tree.connects(BASE_FRAME, camera_frame):
        frames[BASE_FRAME] = _camera_in(tree, BASE_FRAME, camera_frame, first_ns, options)
    frame = options.trajectory.frame or _usual(file, frames)
    about, few = ((), (association.text(),)) if association.few else ((association.text(),), ())
    source = PoseSource(file.options.path.name, trajectory, "", "", camera_frame, tree, options, few, about=about)
    if options.T_pose_camera is not None:
        others = alternatives(options.T_pose_camera, frames)
        text = f"{file.options.path} with --extrinsic"
        return replace(source, frame="of --extrinsic", described=text, alternatives=others)
    if frame not in frames:
        if frame_name(frame) not in tree.frames():
            known = ", ".join(tree.frames())
            raise unknown_frame(frame, f" nor a frame of the recording ({known or 'it has none'})")
        tree.check(frame, camera_frame)
        frames[frame] = _camera_in(tree, frame, camera_frame, first_ns, options)
    source = replace(source, described=file.text(frame), alternatives=alternatives(frames[frame], frames))
    if frame in AXES:
        fixed = replace(options, T_pose_camera=AXES[frame])
        return replace(source, frame=frame, options=fixed)
    return replace(source, frame=frame_name(frame))


def trajectory_identity(options: TrajectoryOptions) -> dict[str, Any]:
    """What distinguishes two trajectories: the content of the file, not its name."""
    text = read_text(options.path, "trajectory")
    return {"sha256": hashlib.sha256(text.encode()).hexdigest(), "format": options.format, "frame": options.frame}


def _usual(file: TrajectoryFile, frames: Mapping[str, Array]) -> str:
    """The frame of a system's habit; rtabmap's is the robot's, if the recording says where the camera is on it."""
    return BASE_FRAME if file.system == "rtabmap" and BASE_FRAME in frames else file.usual_frame


def _camera_in(tree: TransformTree, frame: str, camera_frame: str, stamp_ns: int, options: PoseOptions) -> Array:
    T = tree.sample(frame, camera_frame, stamp_ns, options.interpolation)
    if isinstance(T, NoPose):
        raise RecordingError(
            f"The transform from {camera_frame!r} to {frame!r} has no value at the first image: record /tf_static "
            "too, or give it with --extrinsic."
        )
    return T
