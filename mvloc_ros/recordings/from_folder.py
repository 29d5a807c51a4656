# SPDX-License-Identifier: Apache-2.0
"""A posed folder (7-Scenes, TUM RGB-D) -> a rosbag2 recording that looks like a live RGB-D camera."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from mvloc_ros.model.modalities import Sensor
from mvloc_ros.recordings import topics
from mvloc_ros.recordings.bag_writer import BagWriter, qos_profile
from mvloc_ros.recordings.errors import RecordingError
from mvloc_ros.recordings.frames import FrameRecord, PosedFolder
from mvloc_ros.recordings.images import DEPTH_INVALID, read_color, read_depth_raw, read_gray
from mvloc_ros.recordings.message_builder import MessageBuilder
from mvloc_ros.recordings.odometry_check import contradiction
from mvloc_ros.recordings.odometry_file import odometry_of

MAX_PAUSE_NS = 1_000_000_000
SPLITS = ("train", "test", "all")
_log = logging.getLogger(__name__)
_TYPES = {
    topics.TF_STATIC: topics.TF_MESSAGE,
    topics.COLOR_INFO: topics.CAMERA_INFO,
    topics.COLOR_IMAGE: topics.IMAGE,
    topics.DEPTH_INFO: topics.CAMERA_INFO,
    topics.DEPTH_IMAGE: topics.IMAGE,
    topics.GROUND_TRUTH: topics.POSE,
}


@dataclass(frozen=True)
class _Event:
    """A message to be written at a stamp. Images are read only when it is their turn."""

    stamp_ns: int
    topic: str
    build: Callable[[], Any]


def select_frames(folder: PosedFolder, split: str = "all", sequence: str | None = None) -> list[FrameRecord]:
    """The frames of a split, or of one sequence of it, in order of time."""
    if split not in SPLITS:
        raise RecordingError(f"{split!r} is not a split: choose one of {', '.join(SPLITS)}.")
    frames = list(folder.frames()) if split == "all" else list(getattr(folder, split))
    if sequence is None:
        return frames
    chosen = [frame for frame in frames if frame.sequence == sequence]
    if not chosen:
        names = ", ".join(sorted({frame.sequence for frame in frames}))
        raise RecordingError(f"{folder.root} has no sequence {sequence!r} in the split {split!r}; it has {names}.")
    return chosen


def with_lead_in(folder: PosedFolder, frames: Sequence[FrameRecord], seconds: float) -> list[FrameRecord]:
    """The frames, and those of the folder that came so many seconds before one of them, which get no true pose.

    Who follows a camera through a recording of these comes to the frames with a pose, as on a robot that drives there.
    """
    chosen = {(frame.sequence, frame.index) for frame in frames}
    stamps: dict[str, list[int]] = {}
    for frame in frames:
        stamps.setdefault(frame.sequence, []).append(frame.stamp_ns)
    sorted_stamps = {name: np.sort(np.array(of_sequence)) for name, of_sequence in stamps.items()}

    def leads(frame: FrameRecord) -> bool:
        later = sorted_stamps.get(frame.sequence, np.empty(0, np.int64))
        at = int(np.searchsorted(later, frame.stamp_ns))
        return at < len(later) and later[at] - frame.stamp_ns <= seconds * 1e9

    before = [f for f in folder.frames() if (f.sequence, f.index) not in chosen and leads(f)]
    return sorted((*frames, *(replace(frame, T_map_camera=None) for frame in before)), key=lambda f: f.stamp_ns)


def write_bag(
    folder: PosedFolder,
    frames: Sequence[FrameRecord],
    out: Path | str,
    *,
    rate_hz: float | None = None,
    keep_pauses: bool = False,
    force: bool = False,
    progress: bool = True,
) -> int:
    """Write frames as a recording and return the number of messages.

    Log time = header stamp. Colour and depth keep their own stamps; `rate_hz` stretches time about the
    first frame so that the folder's rate becomes this one, and leaves the skew between the two as it is.
    Pauses between sequences are cut to one second, since the rest of a split is often minutes away, and
    stay as they are with `keep_pauses`. Ground truth has the stamp of the image
    whose camera it is the pose of. Further sensors that the folder declares have topics, camera_info and a static
    transform of their own (`topics.sensor_image`), with the stamp of their frame. Where the folder has the robot's
    odometry and states where the camera is on the robot, both are written as transforms; the odometry of each sequence
    is in a frame of its own.
    Raises RecordingError where an image cannot be read or the recording exists.
    """
    frames = frames if keep_pauses else close_pauses(frames)
    frames = retime(frames, folder.rate_hz, rate_hz) if rate_hz is not None else frames
    with BagWriter(out, force=force) as writer:
        for topic, message_type in _TYPES.items():
            writer.add_topic(topic, message_type, qos_profile(1, latched=True) if topic == topics.TF_STATIC else None)
        for sensor in folder.sensors:
            writer.add_topic(topics.sensor_info(sensor.name), topics.CAMERA_INFO)
            writer.add_topic(topics.sensor_image(sensor.name), topics.IMAGE)
        build = MessageBuilder(writer.store)
        mount = mount_of(folder)
        odometry = [] if mount is None else _odometry_events(folder, mount, frames, build)
        if odometry:
            writer.add_topic(topics.TF, topics.TF_MESSAGE)
        events = _events(folder, frames, odometry, mount if odometry else None, build)
        for event in tqdm(events, desc=f"writing {Path(out).name}", unit=" messages", disable=not progress):
            writer.write(event.topic, event.stamp_ns, event.build())
    return len(events)


def retime(frames: Sequence[FrameRecord], true_hz: float, wanted_hz: float) -> list[FrameRecord]:
    """The frames with time stretched by true_hz / wanted_hz about the first one."""
    if not (np.isfinite(wanted_hz) and wanted_hz > 0.0):
        raise RecordingError(f"The rate must be a positive number of frames per second, not {wanted_hz}.")
    first = frames[0].stamp_ns
    return [_shifted(frame, round((frame.stamp_ns - first) * (true_hz / wanted_hz - 1.0))) for frame in frames]


def close_pauses(frames: Sequence[FrameRecord]) -> list[FrameRecord]:
    """The frames with each sequence at most MAX_PAUSE_NS after the one before; the first keeps its stamps."""
    result: list[FrameRecord] = []
    shift = 0
    ordered = sorted(frames, key=lambda frame: (frame.sequence, frame.stamp_ns))
    sequences = [list(group) for _, group in groupby(ordered, key=lambda frame: frame.sequence)]
    for sequence in sorted(sequences, key=lambda members: members[0].stamp_ns):
        if result:
            pause = sequence[0].stamp_ns + shift - result[-1].stamp_ns
            if not 0 < pause <= MAX_PAUSE_NS:
                shift += MAX_PAUSE_NS - pause
        result += [_shifted(frame, shift) for frame in sequence]
    return result


def _shifted(frame: FrameRecord, by_ns: int) -> FrameRecord:
    depth_stamp = None if frame.depth_stamp_ns is None else frame.depth_stamp_ns + by_ns
    return replace(frame, stamp_ns=frame.stamp_ns + by_ns, depth_stamp_ns=depth_stamp)


def has_odometry(folder: PosedFolder) -> bool:
    """Whether a recording of the folder has the robot's odometry and the camera's place on the robot as transforms."""
    return mount_of(folder) is not None and bool(odometry_of(folder))


def odometry_text(folder: PosedFolder) -> str:
    """What a recording of the folder has of the robot's odometry, and why it has none."""
    if not odometry_of(folder):
        return "odometry: none (no sequence has odometry.tum)"
    if mount_of(folder) is None:
        return "odometry: none (camera.json does not state T_base_camera, or joined folders state different ones)"
    return "odometry: odom to base_link in /tf, the camera on base_link in /tf_static by T_base_camera"


def mount_of(folder: PosedFolder) -> npt.NDArray[np.float64] | None:
    """T_base_camera (4x4) where the folder states it, and all that it joins state the same; None otherwise."""
    stated = [part.T_base_camera for part in folder.parts or (folder,)]
    first = stated[0]
    if first is None or any(other is None or not np.allclose(first, other, rtol=0.0, atol=1e-6) for other in stated):
        return None
    return first


def _odometry_events(
    folder: PosedFolder, T_base_camera: npt.NDArray[np.float64], frames: Sequence[FrameRecord], build: MessageBuilder
) -> list[_Event]:
    T_odom_base = odometry_of(folder)
    if problem := contradiction(folder, T_base_camera, T_odom_base):
        _log.warning("%s: %s.", folder.where, problem)
    known = ((frame.stamp_ns, T_odom_base.get((frame.sequence, frame.index))) for frame in frames)
    return [_odometry_event(stamp, T, build) for stamp, T in known if T is not None]


def _odometry_event(stamp: int, T_odom_base: npt.NDArray[np.float64], build: MessageBuilder) -> _Event:
    return _Event(stamp, topics.TF, lambda: build.odometry(stamp, T_odom_base))


def _events(
    folder: PosedFolder,
    frames: Sequence[FrameRecord],
    odometry: Sequence[_Event],
    T_base_camera: npt.NDArray[np.float64] | None,
    build: MessageBuilder,
) -> list[_Event]:
    """All messages of the recording in order of their stamps."""
    events = list(odometry)
    for frame in frames:
        if frame.color is not None:
            events += _color_events(folder, frame.color, frame.stamp_ns, build)
        depth_stamp = frame.stamp_ns if frame.depth_stamp_ns is None else frame.depth_stamp_ns
        if frame.depth is not None:
            events += _depth_events(folder, frame.depth, depth_stamp, build)
        for sensor in folder.sensors:
            if sensor.name in dict(frame.further):
                events += _sensor_events(sensor, dict(frame.further)[sensor.name], frame.stamp_ns, build)
        if frame.T_map_camera is not None:
            posed_ns = depth_stamp if folder.pose_of == "depth" else frame.stamp_ns
            events.append(_truth_event(frame.T_map_camera, posed_ns, build))
    events.sort(key=lambda event: event.stamp_ns)
    first = events[0].stamp_ns
    static = build.static_transforms(
        first,
        folder.depth_registered,
        folder.T_color_depth,
        T_base_camera,
        folder.pose_of,
        {topics.sensor_frame(sensor.name): sensor.pose for sensor in folder.sensors},
    )
    return [_Event(first, topics.TF_STATIC, lambda: static), *events]


def _color_events(folder: PosedFolder, path: Path, stamp: int, build: MessageBuilder) -> list[_Event]:
    frame = topics.COLOR_FRAME
    return [
        _Event(stamp, topics.COLOR_INFO, lambda: build.camera_info(stamp, frame, folder.color_camera)),
        _Event(stamp, topics.COLOR_IMAGE, lambda: build.color_image(stamp, frame, read_color(path))),
    ]


def _depth_events(folder: PosedFolder, path: Path, stamp: int, build: MessageBuilder) -> list[_Event]:
    frame, units = topics.DEPTH_FRAME, folder.depth_units_per_metre
    return [
        _Event(stamp, topics.DEPTH_INFO, lambda: build.camera_info(stamp, frame, folder.depth_camera)),
        _Event(stamp, topics.DEPTH_IMAGE, lambda: build.depth_image(stamp, frame, depth_millimetres(path, units))),
    ]


def _sensor_events(sensor: Sensor, path: Path, stamp: int, build: MessageBuilder) -> list[_Event]:
    frame = topics.sensor_frame(sensor.name)

    def image() -> Any:
        if sensor.kind == "depth":
            return build.depth_image(stamp, frame, depth_millimetres(path, sensor.units_per_metre))
        if sensor.kind == "gray":
            return build.gray_image(stamp, frame, read_gray(path))
        return build.color_image(stamp, frame, read_color(path))

    return [
        _Event(stamp, topics.sensor_info(sensor.name), lambda: build.camera_info(stamp, frame, sensor.camera)),
        _Event(stamp, topics.sensor_image(sensor.name), image),
    ]


def _truth_event(pose: npt.NDArray[np.float64], stamp: int, build: MessageBuilder) -> _Event:
    return _Event(stamp, topics.GROUND_TRUTH, lambda: build.pose(stamp, topics.MAP_FRAME, pose))


def depth_millimetres(path: Path, units_per_metre: float) -> npt.NDArray[np.uint16]:
    """A depth image as uint16 [H, W] millimetres; 0 where invalid or beyond what 16 bits hold."""
    raw = read_depth_raw(path)
    millimetres = np.rint(raw * (1000.0 / units_per_metre))
    millimetres[(raw == DEPTH_INVALID) | (millimetres >= DEPTH_INVALID)] = 0
    return millimetres.astype(np.uint16)
