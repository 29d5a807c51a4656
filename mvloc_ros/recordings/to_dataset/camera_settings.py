# SPDX-License-Identifier: Apache-2.0
"""The cameras of a conversion: what camera.json says, and how depth messages become depth maps."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.frontend.decode import DecodeError
from mvloc_ros.geometry.motion_limits import MotionLimits
from mvloc_ros.geometry.trajectory import Interpolation, NoPose
from mvloc_ros.recordings.bag_reader import BagReader
from mvloc_ros.recordings.errors import RecordingError
from mvloc_ros.recordings.frames import CameraSettings
from mvloc_ros.recordings.to_dataset.dataset_options import DatasetOptions
from mvloc_ros.recordings.to_dataset.frame_plan import Plan
from mvloc_ros.recordings.to_dataset.image_conversion import ToDepthMap, cloud_to_depth_map, decoded, image_to_depth_map
from mvloc_ros.recordings.to_dataset.pose_source import PoseCollector
from mvloc_ros.recordings.to_dataset.topic_selection import CLOUD, Selection

IMAGE_UNITS, CLOUD_UNITS = 1000.0, 256.0
"""Depth units per metre: millimetres of a depth camera up to 65 m; a LIDAR needs 256 m, at 4 mm."""
LIDAR_RANGE_M = 80.0
"""What a folder of LIDAR clouds states as the range of its depth; a preset's would leave most of it out."""
LIDAR_RINGS = 128
"""An organised cloud of more rows is a depth camera's."""


def cameras_of(
    reader: BagReader, options: DatasetOptions, selected: Selection, collected: PoseCollector, plan: Plan
) -> tuple[CameraSettings, ToDepthMap | None]:
    """What camera.json says, and how depth messages become depth maps in metres; None without depth.

    Raises RecordingError where the way from the depth to the colour camera is needed and not recorded.
    """
    color, depth, depth_camera = selected.color_camera, selected.depth, selected.depth_camera
    limits = options.poses.limits
    cloud = depth is not None and depth.type == CLOUD
    units = options.depth_units_per_metre or (CLOUD_UNITS if cloud else IMAGE_UNITS)
    to_map: ToDepthMap | None = None
    registered, raw_extrinsic = True, None
    if depth is not None and depth_camera is None:
        to_map = cloud_to_depth_map(
            color, _extrinsic(selected, collected, plan, limits), options.splat, options.depth_unit_m
        )
    elif depth is not None and depth_camera is not None:
        register = (color, _extrinsic(selected, collected, plan, limits)) if options.register else None
        to_map = image_to_depth_map(depth.type, depth_camera, register, options.depth_unit_m)
        registered = options.register or _corresponds(selected, collected, plan, limits)
        if not registered and collected.tree.connects(selected.color.frame, depth.frame):
            raw_extrinsic = _extrinsic(selected, collected, plan, limits)
    settings = CameraSettings(
        color_camera=color,
        depth_camera=color if depth_camera is None or options.register else depth_camera,
        depth_units_per_metre=units,
        depth_registered=registered,
        pose_of=options.pose_of,
        rate_hz=plan.rate_hz,
        licence=options.licence,
        T_color_depth=raw_extrinsic,
    )
    if _is_lidar(reader, selected):
        settings = replace(settings, max_depth_m=LIDAR_RANGE_M, depth_of_points=True)
    return settings, to_map


def _is_lidar(reader: BagReader, selected: Selection) -> bool:
    """Whether depth is the clouds of a LIDAR, by the first cloud: that of a depth camera has more rows."""
    if selected.depth is None or selected.depth.type != CLOUD:
        return False
    first = next(reader.raw({selected.depth.name}), None)
    try:
        return first is None or decoded(reader, first).height <= LIDAR_RINGS
    except DecodeError:
        return True


def _extrinsic(selected: Selection, collected: PoseCollector, plan: Plan, limits: MotionLimits) -> NDArray[np.float64]:
    """T_color_depth, as it is at the first frame that has it."""
    assert selected.depth is not None
    color, depth = selected.color.frame, selected.depth.frame
    if color == depth:
        return np.eye(4)
    for frame in plan.frames:
        T = collected.tree.sample(color, depth, frame.color_ns, Interpolation(1_000_000_000, limits))
        if not isinstance(T, NoPose):
            return T
    raise RecordingError(f"The transform from {depth!r} to {color!r} has no value at any image: record /tf_static too.")


def _corresponds(selected: Selection, collected: PoseCollector, plan: Plan, limits: MotionLimits) -> bool:
    """Whether pixels of depth and colour already look in the same directions from the same place."""
    assert selected.depth is not None
    assert selected.depth_camera is not None
    same_place = selected.color.frame == selected.depth.frame or (
        collected.tree.connects(selected.color.frame, selected.depth.frame)
        and np.allclose(_extrinsic(selected, collected, plan, limits), np.eye(4), atol=1e-6)
    )
    color = asdict(selected.color_camera.scaled_to(selected.depth_camera.width, selected.depth_camera.height))
    return same_place and np.allclose(list(color.values()), list(asdict(selected.depth_camera).values()), atol=0.51)
