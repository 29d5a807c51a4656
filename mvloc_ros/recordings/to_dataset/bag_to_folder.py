# SPDX-License-Identifier: Apache-2.0
"""The conversion itself: two passes through the recording, the first for stamps and poses, the second for images."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from mvloc_ros.geometry.motion_limits import MotionLimits
from mvloc_ros.recordings.agreement import require_agreement
from mvloc_ros.recordings.agreement.explanations import Explanation
from mvloc_ros.recordings.bag_reader import BagReader, open_bag
from mvloc_ros.recordings.errors import RecordingError
from mvloc_ros.recordings.folder import open_folder
from mvloc_ros.recordings.folder_writer import FolderWriter, FrameName
from mvloc_ros.recordings.frames import CameraSettings
from mvloc_ros.recordings.time_base import TopicStamps
from mvloc_ros.recordings.to_dataset.camera_settings import cameras_of
from mvloc_ros.recordings.to_dataset.dataset_options import DatasetOptions
from mvloc_ros.recordings.to_dataset.depth_report import DepthReport
from mvloc_ros.recordings.to_dataset.frame_plan import Plan, make_plan, pair_images
from mvloc_ros.recordings.to_dataset.imu_source import ImuCollector
from mvloc_ros.recordings.to_dataset.odometry_source import OdometrySource, find_odometry
from mvloc_ros.recordings.to_dataset.passes import first_pass, remove_lost, require_sensors, second_pass
from mvloc_ros.recordings.to_dataset.pose_source import NO_POSES, PoseOptions
from mvloc_ros.recordings.to_dataset.sensor_images import sensors_of
from mvloc_ros.recordings.to_dataset.sensor_summary import other_lines, sensor_lines
from mvloc_ros.recordings.to_dataset.summary import (
    DatasetSummary,
    camera_lines,
    damage_lines,
    depth_lines,
    images_text,
    pose_lines,
)
from mvloc_ros.recordings.to_dataset.topic_selection import CLOUD, Selection, select
from mvloc_ros.recordings.to_dataset.trajectory_source import (
    check_trajectory_options,
    trajectory_identity,
    trajectory_source,
)
from mvloc_ros.recordings.to_dataset.without_poses import write_bare_folder

_log = logging.getLogger(__name__)

CLOUD_SKEW_NS = 60_000_000


def to_dataset(
    bag: Path,
    out: Path,
    options: DatasetOptions,
    progress: bool = True,
    *,
    force: bool = False,
    allow_damage: bool = False,
) -> DatasetSummary:
    """Write a recording with images and poses as a folder in the 7-Scenes layout; without poses where that is chosen.

    `force` gives the folder its name where poses and depth images contradict each other, too. `allow_damage` reads what
    is left of a damaged recording.

    Raises:
        RecordingError: a topic is missing or ambiguous, there are no poses or wrong ones, or the folder holds something
            else.
    """
    with open_bag(bag, allow_damage=allow_damage) as reader:
        named = options.color, options.depth, options.color_info, options.depth_info
        selected = select(reader, *named, options.sensors)
        _check_options(options, selected)
        imu = ImuCollector(reader, options.imu_topic) if options.poses.source == NO_POSES else None
        stamps, collected = first_pass(reader, selected, progress, imu)
        if imu is not None:
            writer = FolderWriter(out, _identity(reader, options))
            skew_ns = _skew(options, selected)
            return write_bare_folder(reader, options, selected, stamps, collected, imu, writer, skew_ns, progress)
        depth_ns = None if selected.depth is None else stamps[selected.depth.name].values()
        posed = selected.depth if options.pose_of == "depth" and selected.depth is not None else selected.color
        if options.poses.trajectory is None:
            poses = collected.finish(options.poses, posed.frame)
        else:
            images = _images(options, selected, stamps)
            poses = trajectory_source(collected, options.poses, posed.frame, images)
        plan = make_plan(
            stamps[selected.color.name].values(),
            depth_ns,
            poses.at,
            limits=options.poses.limits,
            pose_of=options.pose_of,
            max_skew_ns=_skew(options, selected),
            keep_unpaired=options.keep_unpaired,
            test_fraction=options.test_fraction,
        )
        cameras, to_map = cameras_of(reader, options, selected, collected, plan)
        odometry = find_odometry(collected, options.poses, posed.frame).without(poses)
        sensors = sensors_of(options, selected, collected.tree, plan, stamps)
        cameras = replace(
            cameras,
            T_base_camera=odometry.mount([frame.color_ns for frame in plan.frames]),
            sensors=tuple(images.sensor for images in sensors),
        )
        with FolderWriter(out, _identity(reader, options)) as writer:
            if writer.complete:
                folder = open_folder(out)
                inputs = (
                    *damage_lines(reader),
                    *pose_lines(poses, plan, stamps, posed),
                    odometry.text(),
                    *camera_lines(selected),
                    *sensor_lines(sensors, plan),
                    *other_lines(selected),
                )
                return DatasetSummary(out, len(folder.train), len(folder.test), Counter(), "complete already", inputs)
            depth_type = "" if selected.depth is None else selected.depth.type
            report = DepthReport(depth_type, options.depth_unit_m, cameras.depth_units_per_metre, len(plan.frames))
            without = second_pass(
                reader, selected, stamps, plan, cameras, to_map, writer, options.color_format, progress, report, sensors
            )
            lost = without.frames
            source = f"poses: {poses.text()}; {images_text(selected)}"
            inputs = (
                *damage_lines(reader),
                *pose_lines(poses, plan, stamps, posed),
                odometry.text(_write_odometry(writer, plan, odometry, lost), len(plan.frames) - len(lost)),
                *odometry.lines(),
                *camera_lines(selected),
                *depth_lines(report, cameras.depth_of_points),
                *sensor_lines(sensors, plan, without),
                *other_lines(selected),
            )
            try:
                require_sensors(writer, sensors, without)
                summary = _finish(writer, plan, lost, cameras, source, poses.alternatives, force)
                return replace(summary, inputs=inputs)
            except RecordingError:
                for line in (source, *inputs):  # the assumptions are most useful where something is wrong
                    _log.info("%s.", line)
                raise


def _write_odometry(writer: FolderWriter, plan: Plan, odometry: OdometrySource, lost: Mapping[FrameName, str]) -> int:
    """The odometry beside the images of each sequence; how many frames have it."""
    numbers: dict[str, dict[int, int]] = {}
    for frame in plan.frames:
        if frame.name not in lost:
            numbers.setdefault(frame.name.sequence, {})[frame.color_ns] = frame.name.index
    return sum(odometry.write(writer.partial / name, found, plan.rate_hz) for name, found in numbers.items())


def _check_options(options: DatasetOptions, selected: Selection) -> None:
    if options.pose_of == "depth" and selected.depth_camera is None:
        raise RecordingError("Poses of the depth camera need a depth image topic: use --pose-of color.")
    if options.register and selected.depth_camera is None:
        raise RecordingError("Only a depth image can be registered (a cloud always is): omit --register.")
    if options.register and options.pose_of == "depth":
        raise RecordingError("Registered depth is seen from the colour camera: use --pose-of color with --register.")
    check_trajectory_options(options.poses, PoseOptions.map_frame)
    if options.poses.source == NO_POSES:
        _check_bare(options)
    units = options.depth_units_per_metre
    if units is not None and not 0.0 < units < np.inf:
        raise RecordingError(
            f"Depth needs a positive number of pixel values per metre, not --stored-depth-units {units}."
        )
    if not options.splat >= 1.0:
        raise RecordingError(f"A point covers at least its own pixel: --splat must be 1 or more, not {options.splat}.")


def _check_bare(options: DatasetOptions) -> None:
    """Refuse what only has a meaning for a folder with poses."""
    defaults, poses = DatasetOptions(), options.poses
    given = {
        "--pose-frame": poses.pose_frame is not None,
        "--extrinsic": poses.T_pose_camera is not None,
        "--map-frame": poses.map_frame != defaults.poses.map_frame,
        "--test-fraction": options.test_fraction != defaults.test_fraction,
    }
    if names := [name for name, is_given in given.items() if is_given]:
        raise RecordingError(f"--poses none writes a folder without poses, so {names[0]} has no meaning: remove it.")


def _skew(options: DatasetOptions, selected: Selection) -> int:
    is_cloud = selected.depth is not None and selected.depth.type == CLOUD
    return CLOUD_SKEW_NS if is_cloud and options.max_skew_ns is None else options.image_skew_ns


def _images(options: DatasetOptions, selected: Selection, stamps: Mapping[str, TopicStamps]) -> dict[str, list[int]]:
    """The images that a trajectory may be of, and their stamps: first of frames, by the camera that is posed."""
    color_ns = stamps[selected.color.name].values()
    if selected.depth is None:
        return {"colour images": sorted(set(color_ns))}
    depth_ns = stamps[selected.depth.name].values()
    pairs, _ = pair_images(
        color_ns, depth_ns, max_skew_ns=_skew(options, selected), keep_unpaired=options.keep_unpaired
    )
    of_depth = options.pose_of == "depth"
    frames = [depth if of_depth and depth is not None else color for color, depth in pairs]
    if not frames:
        raise RecordingError("No colour image has a depth image near it in time: widen --max-skew.")
    every = depth_ns if of_depth else color_ns
    return {"frames": sorted(set(frames)), f"{'depth' if of_depth else 'colour'} images": sorted(set(every))}


def _finish(
    writer: FolderWriter,
    plan: Plan,
    lost: dict[FrameName, str],
    cameras: CameraSettings,
    source: str,
    alternatives: Sequence[Explanation],
    force: bool,
) -> DatasetSummary:
    """Write the poses and give the folder its name, if training and test have frames and the poses fit the depth."""
    written = [frame for frame in plan.frames if frame.name not in lost]
    train = [frame for frame in written if frame.name.sequence in plan.train]
    if not train or len(train) == len(written):
        writer.discard()
        raise RecordingError(
            f"{writer.out} would have no training or no test frame, since {len(lost)} of {len(plan.frames)} frames "
            f"cannot be read: {next(iter(lost.values()))}"
        )
    remove_lost(writer, lost)
    for frame in written:
        assert frame.T_map_camera is not None
        writer.write_pose(frame.name, frame.T_map_camera)
    present = {frame.name.sequence for frame in written}
    train_names, test_names = ([name for name in names if name in present] for names in (plan.train, plan.test))
    writer.finish(
        cameras,
        train_names,
        test_names,
        lambda folder: require_agreement(open_folder(folder), force, writer.out, alternatives),
    )
    left_out = plan.left_out + Counter({"that cannot be read": len(lost)})
    return DatasetSummary(writer.out, len(train), len(written) - len(train), left_out, source,
                          without_pose=plan.without_pose)  # fmt: skip


def _identity(reader: BagReader, options: DatasetOptions) -> dict[str, Any]:
    """What distinguishes two recordings, or two conversions of one."""
    chosen = asdict(options)
    del chosen["poses"]["map_alone"]  # which source is taken, and no other one
    if options.poses.trajectory is None:
        del chosen["poses"]["trajectory"]  # as in folders from before there was the choice
    else:
        chosen["poses"]["trajectory"] = trajectory_identity(options.poses.trajectory)
    T = options.poses.T_pose_camera
    chosen["poses"]["T_pose_camera"] = None if T is None else T.tolist()
    if options.poses.limits == MotionLimits():
        del chosen["poses"]["limits"]  # as in folders from before there was the choice
    if options.imu_topic is None:
        del chosen["imu_topic"]  # as in folders from before there was the choice
    if not options.sensors:
        del chosen["sensors"]  # as in folders from before there was the choice
    if not options.depth_unit_m:
        del chosen["depth_unit_m"]  # as in folders from before there was the choice
    return {
        "recording": reader.path.name,
        "start_ns": reader.start_ns,
        "end_ns": reader.end_ns,
        "messages": reader.message_count,
        "options": chosen,
    }
