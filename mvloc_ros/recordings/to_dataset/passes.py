# SPDX-License-Identifier: Apache-2.0
"""The two passes through a recording: the first for stamps, transforms and poses, the second for images."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from tqdm import tqdm

from mvloc_ros.frontend.decode import DecodeError
from mvloc_ros.recordings.bag_reader import BagReader
from mvloc_ros.recordings.folder_writer import FolderWriter, FrameName
from mvloc_ros.recordings.frames import CameraSettings
from mvloc_ros.recordings.time_base import TopicStamps
from mvloc_ros.recordings.to_dataset.depth_report import DepthReport
from mvloc_ros.recordings.to_dataset.frame_plan import Plan
from mvloc_ros.recordings.to_dataset.image_conversion import ToDepthMap, decoded, write_color
from mvloc_ros.recordings.to_dataset.imu_source import ImuCollector
from mvloc_ros.recordings.to_dataset.pose_source import PoseCollector
from mvloc_ros.recordings.to_dataset.topic_selection import Selection

_log = logging.getLogger(__name__)


def first_pass(
    reader: BagReader, selected: Selection, progress: bool, imu: ImuCollector | None = None
) -> tuple[dict[str, TopicStamps], PoseCollector]:
    """Stamps of colour and depth by topic, all poses, and what `imu` collects; no image is decoded."""
    collector = PoseCollector(reader)
    names = [topic.name for topic in (selected.color, selected.depth) if topic is not None]
    stamps = {name: TopicStamps(name) for name in names}
    of_imu = set(imu.topics()) if imu is not None else set()
    wanted = {*collector.topics(), *stamps, *of_imu}
    total = sum(reader.topics[name].count for name in wanted)
    for raw in tqdm(reader.raw(wanted), total=total, desc="reading poses", unit=" messages", disable=not progress):
        if raw.topic in stamps:
            stamps[raw.topic].add(reader.header_stamp(raw), raw.stamp_ns)
        elif imu is not None and raw.topic in of_imu:
            imu.take(raw)
        else:
            collector.take(raw)
    return stamps, collector


def second_pass(
    reader: BagReader,
    selected: Selection,
    stamps: Mapping[str, TopicStamps],
    plan: Plan,
    cameras: CameraSettings,
    to_map: ToDepthMap | None,
    writer: FolderWriter,
    color_format: str,
    progress: bool,
    report: DepthReport,
) -> dict[FrameName, str]:
    """Write all images; the frames whose images cannot be read, and why."""
    color_frames = {frame.color_ns: frame.name for frame in plan.frames}
    depth_frames = {frame.depth_ns: frame.name for frame in plan.frames if frame.depth_ns is not None}
    total = sum(reader.topics[name].count for name in stamps)
    lost: dict[FrameName, str] = {}
    for raw in tqdm(reader.raw(set(stamps)), total=total, desc=f"writing {writer.out.name}", unit=" images",
                    disable=not progress):  # fmt: skip
        is_color = raw.topic == selected.color.name
        stamp = raw.stamp_ns if stamps[raw.topic].by_receipt else reader.header_stamp(raw)
        name = (color_frames if is_color else depth_frames).pop(stamp, None)
        if name is None or (writer.has_color(name) if is_color else writer.has_depth(name)):
            continue
        try:
            message = decoded(reader, raw)
            if is_color:
                write_color(writer, name, message, selected.color_camera, color_format)
            elif to_map is not None:
                metres = to_map(message)
                writer.write_depth(name, metres, cameras.depth_units_per_metre)
                report.add(message, metres)
        except DecodeError as error:
            lost[name] = str(error)
    return lost


def remove_lost(writer: FolderWriter, lost: Mapping[FrameName, str]) -> None:
    """Take the frames whose images cannot be read out of the folder, and say how many and why."""
    if lost:
        _log.warning("%d frames left out, whose images cannot be read: %s", len(lost), next(iter(lost.values())))
    for name in lost:
        writer.remove(name)
