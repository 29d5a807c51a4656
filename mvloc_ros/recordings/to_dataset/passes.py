# SPDX-License-Identifier: Apache-2.0
"""The two passes through a recording: the first for stamps, transforms and poses, the second for images."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tqdm import tqdm

from mvloc_ros.frontend.decode import DecodeError
from mvloc_ros.recordings.bag_reader import BagReader, RawMessage
from mvloc_ros.recordings.errors import RecordingError
from mvloc_ros.recordings.folder_writer import FolderWriter, FrameName
from mvloc_ros.recordings.frames import CameraSettings
from mvloc_ros.recordings.time_base import TopicStamps
from mvloc_ros.recordings.to_dataset.depth_report import DepthReport
from mvloc_ros.recordings.to_dataset.frame_plan import Plan
from mvloc_ros.recordings.to_dataset.image_conversion import ToDepthMap, decoded, write_color
from mvloc_ros.recordings.to_dataset.imu_source import ImuCollector
from mvloc_ros.recordings.to_dataset.pose_source import PoseCollector
from mvloc_ros.recordings.to_dataset.sensor_images import SensorImages
from mvloc_ros.recordings.to_dataset.topic_selection import Selection

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Lost:
    """What cannot be read, and why: frames, and images of further sensors, by sensor and frame, without their frame."""

    frames: dict[FrameName, str]
    images: dict[tuple[str, FrameName], str]

    def left(self, images: SensorImages) -> list[FrameName]:
        """The frames that have the image of a sensor."""
        name = images.sensor.name
        return [
            frame for frame in images.frames.values() if frame not in self.frames and (name, frame) not in self.images
        ]


def first_pass(
    reader: BagReader, selected: Selection, progress: bool, imu: ImuCollector | None = None
) -> tuple[dict[str, TopicStamps], PoseCollector]:
    """Stamps of the images by topic, all poses, and what `imu` collects; no image is decoded."""
    collector = PoseCollector(reader)
    stamps = {topic.name: TopicStamps(topic.name) for topic in selected.topics}
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
    sensors: Sequence[SensorImages] = (),
) -> Lost:
    """Write all images; what cannot be read, and why."""
    color_frames = {frame.color_ns: frame.name for frame in plan.frames}
    depth_frames = {frame.depth_ns: frame.name for frame in plan.frames if frame.depth_ns is not None}
    total = sum(reader.topics[name].count for name in stamps)
    of_sensors = {images.source.topic.name: (images, dict(images.frames)) for images in sensors}
    lost, lost_images = dict[FrameName, str](), dict[tuple[str, FrameName], str]()
    for raw in tqdm(reader.raw(set(stamps)), total=total, desc=f"writing {writer.out.name}", unit=" images",
                    disable=not progress):  # fmt: skip
        stamp = raw.stamp_ns if stamps[raw.topic].by_receipt else reader.header_stamp(raw)
        if raw.topic in of_sensors:
            images, left = of_sensors[raw.topic]
            if problem := _write_sensor(reader, raw, images, left.pop(stamp, None), writer):
                lost_images[images.sensor.name, problem[0]] = problem[1]
            continue
        is_color = raw.topic == selected.color.name
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
    return Lost(lost, lost_images)


def _write_sensor(
    reader: BagReader, raw: RawMessage, images: SensorImages, name: FrameName | None, writer: FolderWriter
) -> tuple[FrameName, str] | None:
    """Write an image of a further sensor, unless it is of no frame or there already; why it cannot be read."""
    if name is None or images.has(writer, name):
        return None
    try:
        images.write(writer, name, decoded(reader, raw))
    except DecodeError as error:
        return name, str(error)
    return None


def require_sensors(writer: FolderWriter, sensors: Sequence[SensorImages], lost: Lost) -> None:
    """Say how many images of further sensors cannot be read, and why: their frames are without them.

    Raises RecordingError where a sensor has none left, which a folder may not declare then.
    """
    for images in sensors:
        name = images.sensor.name
        reasons = [reason for (sensor, _), reason in lost.images.items() if sensor == name]
        if not lost.left(images):
            writer.discard()
            why = next(iter((*reasons, *lost.frames.values())))
            raise RecordingError(f"{writer.out} would have no image of the sensor {name}: {why}")
        if reasons:
            _log.warning("%d images of %s left out, which cannot be read: %s", len(reasons), name, reasons[0])


def remove_lost(writer: FolderWriter, lost: Mapping[FrameName, str]) -> None:
    """Take the frames whose images cannot be read out of the folder, and say how many and why."""
    if lost:
        _log.warning("%d frames left out, whose images cannot be read: %s", len(lost), next(iter(lost.values())))
    for name in lost:
        writer.remove(name)
