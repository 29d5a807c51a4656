# SPDX-License-Identifier: Apache-2.0
"""Sensors besides color and depth: where they sit, which of their images are in which frame, how these are stored."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.foreign_text import shown
from mvloc_ros.frontend.synchronizer import Synchronizer
from mvloc_ros.geometry.motion_limits import MotionLimits
from mvloc_ros.geometry.trajectory import Interpolation, NoPose
from mvloc_ros.model.manifest_checks import ManifestError
from mvloc_ros.model.modalities import Sensor
from mvloc_ros.recordings.errors import RecordingError
from mvloc_ros.recordings.folder_writer import FolderWriter, FrameName
from mvloc_ros.recordings.time_base import TopicStamps
from mvloc_ros.recordings.to_dataset.dataset_options import DatasetOptions
from mvloc_ros.recordings.to_dataset.depth_report import DepthReport
from mvloc_ros.recordings.to_dataset.frame_plan import Plan, PlannedFrame
from mvloc_ros.recordings.to_dataset.image_conversion import image_to_depth_map, write_color
from mvloc_ros.recordings.to_dataset.topic_selection import Selection, SensorTopic
from mvloc_ros.recordings.transforms import TransformTree, frame_name

UNITS_PER_METRE = 1000.0
"""Of stored depth: millimetres, up to 65 m."""
_STATIC = Interpolation(1_000_000_000, MotionLimits())
"""Of transforms that never change no sample is interpolated."""


@dataclass(frozen=True, eq=False)
class SensorImages:
    """One sensor of a folder that is written, and its images.

    Attributes:
        sensor: what camera.json says of it.
        source: the topic that it is read from.
        frames: stamp of an image -> name of the frame that it is in.
        skews_ns: of these images, the stamp minus that of the frame.
        placed: how it is known where it sits, in words.
        report: of the depth that is written; None of another kind.
        write: stores a message as the image of a frame; raises DecodeError where it cannot be read.
    """

    sensor: Sensor
    source: SensorTopic
    frames: Mapping[int, FrameName]
    skews_ns: tuple[int, ...]
    placed: str
    report: DepthReport | None
    write: Callable[[FolderWriter, FrameName, Any], None]

    def has(self, writer: FolderWriter, name: FrameName) -> bool:
        """Whether the image of a frame was written."""
        is_depth = self.sensor.kind == "depth"
        return (writer.has_depth if is_depth else writer.has_color)(name, self.sensor.name)


def sensors_of(
    options: DatasetOptions, selected: Selection, tree: TransformTree, plan: Plan, stamps: Mapping[str, TopicStamps]
) -> tuple[SensorImages, ...]:
    """The further sensors of a conversion, in the order in which they are named.

    Args:
        options: of the conversion.
        selected: the topics.
        tree: the recording's transforms.
        plan: the frames.
        stamps: of the images, by topic.

    Raises:
        RecordingError: where a sensor sits is not recorded, or no frame has an image of it.
    """
    frames = {_stamp_of(frame, options.pose_of): frame.name for frame in plan.frames}
    found = []
    for source in selected.sensors:
        choice = source.choice
        T, placed = _place_of(source, selected.color.frame, tree)
        try:
            sensor = Sensor(choice.name, source.kind, source.info.model.camera, tuple(float(x) for x in T.ravel()))
            if source.kind == "depth":
                sensor = replace(sensor, units_per_metre=options.depth_units_per_metre or UNITS_PER_METRE)
        except ManifestError as error:
            raise RecordingError(f"The sensor {choice.name} of {source.topic.name} cannot be used: {error}.") from error
        of_images, tolerance_ns = stamps[source.topic.name].values(), options.image_skew_ns
        pairs = partners(frames, of_images, tolerance_ns)
        if not pairs:
            raise RecordingError(_no_partner(source, frames, of_images, tolerance_ns))
        report = _report_of(sensor, source, len(pairs))
        found.append(
            SensorImages(
                sensor,
                source,
                {image: frames[frame] for frame, image in pairs.items()},
                tuple(image - frame for frame, image in pairs.items()),
                placed,
                report,
                _writer_of(sensor, source, report, options.color_format),
            )
        )
    return tuple(found)


def partners(frames_ns: Iterable[int], images_ns: Iterable[int], tolerance_ns: int) -> dict[int, int]:
    """Stamp of a frame -> that of its image: as the node finds them, with all images in the order of their stamps."""
    pairs: dict[int, int] = {}

    def take(frame_ns: int, _frame: object, image_ns: int, _image: object) -> None:
        pairs[frame_ns] = image_ns

    frames, images = set(frames_ns), set(images_ns)
    # Whatever comes, nothing is pushed out: a recording can wait.
    synchronizer = Synchronizer(tolerance_ns, take, max(1, len(frames), len(images)))
    for stamp in sorted(frames | images):
        if stamp in frames:
            synchronizer.add_color(stamp, None)
        if stamp in images:
            synchronizer.add_depth(stamp, None)
    while synchronizer.settle():
        pass
    return dict(sorted(pairs.items()))


def _stamp_of(frame: PlannedFrame, pose_of: str) -> int:
    """As in the node: that of the camera whose pose the frames have."""
    return frame.depth_ns if pose_of == "depth" and frame.depth_ns is not None else frame.color_ns


def _place_of(source: SensorTopic, color_frame: str, tree: TransformTree) -> tuple[NDArray[np.float64], str]:
    """T_reference_sensor 4x4, and how it is known. Raises RecordingError where it is not."""
    name, frame = source.choice.name, source.topic.frame
    option = f"--sensor-extrinsic {name} X Y Z QX QY QZ QW"
    if source.choice.T_reference_sensor is not None:
        return np.array(source.choice.T_reference_sensor).reshape(4, 4), "--sensor-extrinsic"
    if frame and frame_name(frame) == frame_name(color_frame):
        return np.eye(4), f"its images are of the frame of the color images, {shown(frame)}"
    if not (frame and color_frame and tree.connects(color_frame, frame)):
        raise RecordingError(
            f"The recording's transforms do not tell where the sensor {name} sits: none lead from {frame!r}, the frame "
            f"of {source.topic.name}, to {color_frame!r}; record /tf_static too, or give it with {option}."
        )
    if moving := tree.motions(color_frame, frame):
        raise RecordingError(
            f"The sensor {name} moves against the color camera ({', '.join(moving)} changes): a sensor of a folder has "
            f"one place; leave it out, or give its place with {option}."
        )
    T = tree.sample(color_frame, frame, 0, _STATIC)
    assert not isinstance(T, NoPose), "what never changes has a value at any time"
    return T, "the recording's transforms"


def _no_partner(source: SensorTopic, frames: Iterable[int], images: Sequence[int], tolerance_ns: int) -> str:
    """That no image of a sensor is in a frame, with how near the nearest comes."""
    frames_ns, images_ns = np.array(sorted(frames), dtype=np.int64), np.array(sorted(images), dtype=np.int64)
    gap = ""
    if len(images_ns):
        at = np.clip(np.searchsorted(frames_ns, images_ns), 1, max(len(frames_ns) - 1, 1))
        nearest = np.minimum(np.abs(images_ns - frames_ns[at - 1]), np.abs(images_ns - frames_ns[at % len(frames_ns)]))
        gap = f" (the nearest is {nearest.min() / 1e6:.1f} ms away)"
    return (
        f"No image of the sensor {source.choice.name} on {source.topic.name} is within {tolerance_ns / 1e6:g} ms of a "
        f"frame{gap}: widen --max-skew, check that both have stamps of one clock, or leave the sensor out."
    )


def _report_of(sensor: Sensor, source: SensorTopic, images: int) -> DepthReport | None:
    if sensor.kind != "depth":
        return None
    return DepthReport(source.topic.type, 0.0, sensor.units_per_metre, images, sensor.name)


def _writer_of(
    sensor: Sensor, source: SensorTopic, report: DepthReport | None, suffix: str
) -> Callable[[FolderWriter, FrameName, Any], None]:
    if sensor.kind != "depth" or report is None:
        is_gray = sensor.kind == "gray"

        def write(writer: FolderWriter, name: FrameName, message: Any) -> None:
            write_color(writer, name, message, sensor.camera, suffix, sensor.name, is_gray=is_gray)

        return write
    to_map = image_to_depth_map(source.topic.type, sensor.camera, None, 0.0, sensor.name)

    def write_metres(writer: FolderWriter, name: FrameName, message: Any) -> None:
        metres = to_map(message)
        writer.write_depth(name, metres, sensor.units_per_metre, sensor.name)
        report.add(message, metres)

    return write_metres
