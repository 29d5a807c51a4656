# SPDX-License-Identifier: Apache-2.0
"""The images of traversals that have a pose, their places in the folder, and their camera."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry import se3
from mvloc_ros.geometry.trajectory import NoPose
from mvloc_ros.recordings.errors import RecordingError
from mvloc_ros.recordings.folder_writer import FrameName
from mvloc_ros.recordings.images import image_size
from mvloc_ros.recordings.numbering import frame_numbers
from mvloc_ros.recordings.pose_series import jump_text
from mvloc_ros.recordings.robotcar.camera_model import CameraModel, read_camera_model
from mvloc_ros.recordings.robotcar.layout import CAMERAS, Traversal, read_extrinsic
from mvloc_ros.recordings.robotcar.robotcar_options import RobotCarOptions, kit_folder
from mvloc_ros.recordings.robotcar.trajectories import POSE_FILES, read_absolute

Array = NDArray[np.float64]
PosedStamp = tuple[int, Array]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Frame:
    """A planned image: its place in the folder, its stamp and the camera's pose."""

    name: FrameName
    traversal: Traversal
    stamp_ns: int
    T_map_camera: Array


def make_frames(
    traversals: Sequence[Traversal], options: RobotCarOptions, left_out: Counter[str]
) -> tuple[list[Frame], CameraModel, float]:
    """All frames in the order of the traversals, the model of their camera, and their period in nanoseconds.

    Raises RecordingError where a file is missing or a traversal has no image with a pose.
    """
    posed = [_posed_images(traversal, options, left_out) for traversal in traversals]
    period = float(np.median(np.concatenate([np.diff([stamp for stamp, _ in images]) for images in posed])))
    model = _camera_model(traversals[0], posed[0][0][0], options)
    frames: list[Frame] = []
    for traversal, images in zip(traversals, posed, strict=True):
        numbers = frame_numbers([stamp for stamp, _ in images], period)
        frames += [
            Frame(FrameName(sequence_name(traversal.name), number), traversal, stamp, T @ model.T_camera_image)
            for number, (stamp, T) in zip(numbers, images, strict=True)
        ]
    return frames, model, period


def sequence_name(traversal: str) -> str:
    """The folder of a traversal's frames."""
    return f"seq-{traversal}"


def _posed_images(traversal: Traversal, options: RobotCarOptions, left_out: Counter[str]) -> list[PosedStamp]:
    """(stamp, T_map_camera) of the images that are there; the camera's own frame, x forward."""
    _, sensor, _ = CAMERAS[options.camera]
    path = traversal.file(POSE_FILES[options.poses])
    trajectory = read_absolute(path, options.good_only)
    if jumps := jump_text(str(path), trajectory, options.interpolation):
        _log.warning("%s.", jumps)
    folder = kit_folder(traversal, options.extrinsics, "extrinsics")
    T_ins_camera = se3.inverse(read_extrinsic(folder, sensor) @ read_extrinsic(folder, "ins"))
    images: list[PosedStamp] = []
    for stamp in traversal.stamps_ns(sensor).tolist()[:: options.every]:
        if not traversal.image(options.camera, stamp).is_file():
            left_out["stamps without an image file"] += 1
            continue
        T_world_ins = trajectory.sample(stamp, options.interpolation)
        if isinstance(T_world_ins, NoPose):
            left_out[f"images without a pose at their time, {T_world_ins.value}"] += 1
            continue
        images.append((stamp, T_world_ins @ T_ins_camera))
    if len(images) < 2:
        raise RecordingError(
            f"The traversal {traversal.root} has {len(images)} images of {options.camera} with a pose: download its "
            f"{options.camera} and {POSE_FILES[options.poses]} files."
        )
    return images


def _camera_model(traversal: Traversal, stamp_ns: int, options: RobotCarOptions) -> CameraModel:
    name, _, pattern = CAMERAS[options.camera]
    size = image_size(traversal.image(options.camera, stamp_ns))
    return read_camera_model(kit_folder(traversal, options.models, "models"), name, pattern, size)
