# SPDX-License-Identifier: Apache-2.0
"""A folder without poses (`--poses none`): images, camera.json, and odometry and IMU where the recording has them."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from mvloc_ros.recordings.bag_reader import BagReader
from mvloc_ros.recordings.errors import RecordingError
from mvloc_ros.recordings.folder_writer import FolderWriter, FrameName
from mvloc_ros.recordings.imu.imu_file import IMU_FILE, TIMES_FILE, write_image_times, write_imu
from mvloc_ros.recordings.time_base import TopicStamps
from mvloc_ros.recordings.to_dataset.camera_settings import cameras_of
from mvloc_ros.recordings.to_dataset.dataset_options import DatasetOptions
from mvloc_ros.recordings.to_dataset.depth_report import DepthReport
from mvloc_ros.recordings.to_dataset.frame_plan import BARE_SEQUENCE, Plan, PlannedFrame, make_bare_plan
from mvloc_ros.recordings.to_dataset.imu_source import ImuCollector, ImuSource
from mvloc_ros.recordings.to_dataset.odometry_source import find_odometry
from mvloc_ros.recordings.to_dataset.passes import remove_lost, require_sensors, second_pass
from mvloc_ros.recordings.to_dataset.pose_source import PoseCollector
from mvloc_ros.recordings.to_dataset.sensor_images import sensors_of
from mvloc_ros.recordings.to_dataset.sensor_summary import other_lines, sensor_lines
from mvloc_ros.recordings.to_dataset.summary import (
    DatasetSummary,
    camera_lines,
    damage_lines,
    depth_lines,
    images_text,
    stamp_lines,
)
from mvloc_ros.recordings.to_dataset.topic_selection import Selection

_log = logging.getLogger(__name__)


def write_bare_folder(
    reader: BagReader,
    options: DatasetOptions,
    selected: Selection,
    stamps: Mapping[str, TopicStamps],
    collected: PoseCollector,
    imu: ImuCollector,
    folder: FolderWriter,
    max_skew_ns: int,
    progress: bool,
) -> DatasetSummary:
    """Write the images of a recording without poses, `seq-01/odometry.tum`, and `seq-01/imu.csv`.

    Raises:
        RecordingError: no two images make frames, or the folder holds something else.
    """
    plan = make_bare_plan(
        stamps[selected.color.name].values(),
        None if selected.depth is None else stamps[selected.depth.name].values(),
        max_skew_ns=max_skew_ns,
        keep_unpaired=options.keep_unpaired,
    )
    cameras, to_map = cameras_of(reader, options, selected, collected, plan)
    camera = selected.depth if options.pose_of == "depth" and selected.depth is not None else selected.color
    odometry = find_odometry(collected, options.poses, camera.frame)
    sensors = sensors_of(options, selected, collected.tree, plan, stamps)
    cameras = replace(
        cameras,
        T_base_camera=odometry.mount([frame.color_ns for frame in plan.frames]),
        sensors=tuple(images.sensor for images in sensors),
    )
    inertial = imu.finish(collected.tree, camera.frame, [frame.color_ns for frame in plan.frames])
    about = (*damage_lines(reader), *stamp_lines(stamps), *camera_lines(selected))
    source = f"poses: none were read; {images_text(selected)}"
    with folder as writer:
        if writer.complete:
            count = len({path.name[:12] for path in (writer.out / BARE_SEQUENCE).glob("frame-*")})
            about = (odometry.text(), *inertial.lines(), *about, *sensor_lines(sensors, plan), *other_lines(selected))
            return DatasetSummary(writer.out, count, 0, Counter(), "complete already", about, posed=False)
        depth_type = "" if selected.depth is None else selected.depth.type
        report = DepthReport(depth_type, options.depth_unit_m, cameras.depth_units_per_metre, len(plan.frames))
        without = second_pass(
            reader, selected, stamps, plan, cameras, to_map, writer, options.color_format, progress, report, sensors
        )
        lost = without.frames
        written = _without(writer, plan, lost)
        require_sensors(writer, sensors, without)
        numbers = {frame.color_ns: frame.name.index for frame in written}
        found = odometry.write(writer.partial / BARE_SEQUENCE, numbers, plan.rate_hz)
        _write_imu(writer.partial / BARE_SEQUENCE, inertial, written)
        inputs = (
            odometry.text(found, len(written)),
            *odometry.lines(),
            *inertial.lines(),
            *about,
            *depth_lines(report, cameras.depth_of_points),
            *sensor_lines(sensors, plan, without),
            *other_lines(selected),
        )
        writer.finish(cameras, (), ())
    left_out = plan.left_out + Counter({"that cannot be read": len(lost)})
    return DatasetSummary(writer.out, len(written), 0, left_out, source, inputs, posed=False)


def _without(writer: FolderWriter, plan: Plan, lost: Mapping[FrameName, str]) -> list[PlannedFrame]:
    """The frames that could be read; the others are removed. Raises RecordingError where none is left."""
    written = [frame for frame in plan.frames if frame.name not in lost]
    if not written:
        writer.discard()
        raise RecordingError(
            f"{writer.out} would have no frame, since none of {len(plan.frames)} can be read: "
            f"{next(iter(lost.values()))}"
        )
    remove_lost(writer, lost)
    return written


def _write_imu(folder: Path, inertial: ImuSource, frames: list[PlannedFrame]) -> None:
    """The samples with their own times, and those of the frames, whose numbers count time in whole periods only."""
    if inertial.imu is None:
        return
    write_imu(folder / IMU_FILE, inertial.imu, inertial.comments)
    write_image_times(folder / TIMES_FILE, {frame.name.index: frame.color_ns for frame in frames})
