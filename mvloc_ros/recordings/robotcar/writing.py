# SPDX-License-Identifier: Apache-2.0
"""Images and depth maps of frames -> the files of the folder."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from mvloc_ros.geometry import se3
from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.geometry.projection import project_cylindrical, project_pinhole
from mvloc_ros.recordings.errors import RecordingError
from mvloc_ros.recordings.folder_writer import FolderWriter, FrameName
from mvloc_ros.recordings.robotcar.camera_model import CameraModel
from mvloc_ros.recordings.robotcar.layout import CAMERAS, Traversal, read_extrinsic
from mvloc_ros.recordings.robotcar.posed_images import Frame
from mvloc_ros.recordings.robotcar.robotcar_options import RobotCarOptions, kit_folder
from mvloc_ros.recordings.robotcar.scan_depth import ScanAccumulator, depth_map
from mvloc_ros.recordings.robotcar.trajectories import ODOMETRY_FILE, read_odometry

Array = NDArray[np.float64]

_log = logging.getLogger(__name__)

DEPTH_UNITS = 256.0
"""Depth pixel values per metre: 256 m at 4 mm."""
SPARSE = 0.001
"""Below this mean share of pixels with depth the user is warned."""


def write_images(
    writer: FolderWriter,
    frames: Sequence[Frame],
    model: CameraModel,
    camera: PinholeCamera,
    options: RobotCarOptions,
    left_out: Counter[str],
    progress: bool,
) -> tuple[dict[FrameName, str], float | None]:
    """Write what is missing; returns the frames that cannot be read, and the mean share of pixels with depth."""
    lost: dict[FrameName, str] = {}
    coverages: list[float] = []
    accumulators: list[ScanAccumulator] = []
    T_image_vehicle = np.eye(4)
    project = _projection(camera, options)
    for i, frame in enumerate(tqdm(frames, desc=f"writing {writer.out.name}", unit=" frames", disable=not progress)):
        if i == 0 or frame.traversal != frames[i - 1].traversal:
            _count_scans(accumulators, left_out)
            accumulators, T_image_vehicle = _accumulators(frame.traversal, model, options)
        try:
            if not writer.has_color(frame.name):
                rgb = model.read(frame.traversal.image(options.camera, frame.stamp_ns))
                writer.write_color(frame.name, _resized(rgb, camera))
        except RecordingError as error:
            lost[frame.name] = str(error)
            continue
        if accumulators and not writer.has_depth(frame.name):
            depth = depth_map(accumulators, frame.stamp_ns, options.window, T_image_vehicle, project)
            coverages.append(float(np.mean(depth > 0)))
            if coverages[-1]:
                writer.write_depth(frame.name, depth, DEPTH_UNITS)
            else:
                left_out["depth maps without a point"] += 1
    _count_scans(accumulators, left_out)
    for name in lost:
        writer.remove(name)
    coverage = float(np.mean(coverages)) if coverages else None
    if coverage is not None and coverage < SPARSE:
        _log.warning(
            "Only %.3f %% of the pixels have depth: a 2D LIDAR that scans a plane across the road measures what is "
            "ahead of a camera only later; use --window-after, or a Velodyne or LD-MRS.",
            100 * coverage,
        )
    return lost, coverage


def _accumulators(
    traversal: Traversal, model: CameraModel, options: RobotCarOptions
) -> tuple[list[ScanAccumulator], Array]:
    """The LIDARs of a traversal, and T_image_vehicle."""
    folder = kit_folder(traversal, options.extrinsics, "extrinsics")
    _, sensor, _ = CAMERAS[options.camera]
    T_image_vehicle = se3.inverse(model.T_camera_image) @ read_extrinsic(folder, sensor)
    if not options.lidars:
        return [], T_image_vehicle
    odometry = read_odometry(traversal.file(ODOMETRY_FILE))
    accumulators = [
        ScanAccumulator(traversal, lidar, read_extrinsic(folder, lidar), odometry, options.interpolation)
        for lidar in options.lidars
    ]
    return accumulators, T_image_vehicle


def _count_scans(accumulators: list[ScanAccumulator], left_out: Counter[str]) -> None:
    for accumulator in accumulators:
        left_out[f"scans of {accumulator.sensor} that are damaged"] += accumulator.damaged
        left_out[f"scans of {accumulator.sensor} without visual odometry at their time"] += accumulator.without_motion


def _projection(camera: PinholeCamera, options: RobotCarOptions) -> Callable[[Array], NDArray[np.float32]]:
    if options.panorama is None:
        return lambda points: project_pinhole(points, camera, options.splat)
    panorama = replace(options.panorama, width=camera.width, height=camera.height)
    return lambda points: project_cylindrical(points, panorama, options.splat)


def _resized(rgb: NDArray[np.uint8], camera: PinholeCamera) -> NDArray[np.uint8]:
    if rgb.shape[:2] == (camera.height, camera.width):
        return rgb
    return np.asarray(cv2.resize(rgb, (camera.width, camera.height), interpolation=cv2.INTER_AREA), dtype=np.uint8)
