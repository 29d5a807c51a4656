# SPDX-License-Identifier: Apache-2.0
"""The conversion itself: two passes through the recording, the first for stamps and poses, the second for images."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from mvloc_ros.geometry.motion import MotionLimits
from mvloc_ros.geometry.trajectory import Interpolation
from mvloc_ros.recordings.agreement import require_agreement
from mvloc_ros.recordings.bag_reader import BagReader, RawMessage, open_bag
from mvloc_ros.recordings.camera_file import CameraSettings
from mvloc_ros.recordings.errors import RecordingError
from mvloc_ros.recordings.folder import open_folder
from mvloc_ros.recordings.folder_writer import FolderWriter, FrameName
from mvloc_ros.recordings.pose_series import stamps_text
from mvloc_ros.replay.to_dataset.depth_report import DepthReport
from mvloc_ros.replay.to_dataset.images import ToDepthMap, cloud_to_depth_map, image_to_depth_map, write_color
from mvloc_ros.replay.to_dataset.plan import Plan, make_plan
from mvloc_ros.replay.to_dataset.poses import PoseCollector, PoseOptions, PoseSource
from mvloc_ros.replay.to_dataset.selection import CLOUD, Selection, select
from mvloc_ros.sensors.camera_check import is_distorted
from mvloc_ros.sensors.decode import DecodeError

_log = logging.getLogger(__name__)

IMAGE_UNITS, CLOUD_UNITS = 1000.0, 256.0
"""Depth units per metre: millimetres of a depth camera up to 65 m; a LIDAR needs 256 m, at 4 mm."""
LIDAR_RANGE_M = 80.0
"""What a folder of LIDAR clouds states as the range of its depth; a preset's would leave most of it out."""
LIDAR_RINGS = 128
"""An organised cloud of more rows is a depth camera's."""
IMAGE_SKEW_NS, CLOUD_SKEW_NS = 20_000_000, 60_000_000


@dataclass(frozen=True)
class DatasetOptions:
    """What a user may choose; None is found in the recording or has a default by the kind of depth.

    `depth_unit_m` are the metres of one unit of the recorded depth, 0 for REP 118's; `depth_units_per_metre` are those
    of the folder's depth images.
    """

    color: str | None = None
    depth: str | None = None
    color_info: str | None = None
    depth_info: str | None = None
    pose_of: str = "color"
    poses: PoseOptions = field(default_factory=PoseOptions)
    register: bool = False
    splat: float = 1.0
    max_skew_ns: int | None = None
    keep_unpaired: bool = False
    test_fraction: float = 0.2
    color_format: str = "png"
    depth_units_per_metre: float | None = None
    depth_unit_m: float = 0.0
    licence: str = ""


@dataclass(frozen=True)
class DatasetSummary:
    """What was written; `left_out` counts colour images by the reason, `inputs` says what cameras and depth are."""

    out: Path
    train: int
    test: int
    left_out: Counter[str]
    source: str
    inputs: tuple[str, ...] = ()
    without_pose: Mapping[str, list[int]] = field(default_factory=dict)  # reason -> stamps of these images

    def text(self) -> str:
        """Two or three lines for the terminal."""
        lines = [f"{self.out}: {self.train} training and {self.test} test frames", self.source, *self.inputs]
        for reason, count in sorted(self.left_out.items()):
            times = f" ({stamps_text(self.without_pose[reason])})" if reason in self.without_pose else ""
            lines.append(f"left out: {count} colour images {reason}{times}")
        return "\n".join(lines)


def to_dataset(
    bag: Path, out: Path, options: DatasetOptions, progress: bool = True, *, force: bool = False
) -> DatasetSummary:
    """Write a recording with images and poses as a folder in the 7-Scenes layout.

    `force` gives the folder its name where poses and depth images contradict each other, too.

    Raises:
        RecordingError: a topic is missing or ambiguous, there are no poses or wrong ones, or the folder holds something
            else.
    """
    with open_bag(bag) as reader:
        selected = select(reader, options.color, options.depth, options.color_info, options.depth_info)
        _check_options(options, selected)
        color_ns, depth_ns, collected = _first_pass(reader, selected, progress)
        posed = selected.depth if options.pose_of == "depth" and selected.depth is not None else selected.color
        poses = collected.finish(options.poses, posed.frame)
        plan = make_plan(
            color_ns,
            depth_ns,
            poses.at,
            limits=options.poses.limits,
            pose_of=options.pose_of,
            max_skew_ns=_skew(options, selected),
            keep_unpaired=options.keep_unpaired,
            test_fraction=options.test_fraction,
        )
        cameras, to_map = _cameras(options, selected, collected, plan)
        if _is_lidar(reader, selected):
            cameras = replace(cameras, max_depth_m=LIDAR_RANGE_M, depth_of_points=True)
        with FolderWriter(out, _identity(reader, options)) as writer:
            if writer.complete:
                folder = open_folder(out)
                inputs = (*_pose_lines(poses, plan, options.pose_of), *_camera_lines(selected))
                return DatasetSummary(out, len(folder.train), len(folder.test), Counter(), "complete already", inputs)
            depth_type = "" if selected.depth is None else selected.depth.type
            report = DepthReport(depth_type, options.depth_unit_m, cameras.depth_units_per_metre, len(plan.frames))
            lost = _second_pass(reader, selected, plan, cameras, to_map, writer, options.color_format, progress, report)
            source = f"poses: {poses.text()}; {_images_text(selected)}"
            summary = _finish(writer, plan, lost, cameras, source, force)
            depth_lines = _depth_lines(report, cameras.depth_of_points)
            return replace(
                summary, inputs=(*_pose_lines(poses, plan, options.pose_of), *_camera_lines(selected), *depth_lines)
            )


def _check_options(options: DatasetOptions, selected: Selection) -> None:
    if options.pose_of == "depth" and selected.depth_camera is None:
        raise RecordingError("Poses of the depth camera need a depth image topic: use --pose-of color.")
    if options.register and selected.depth_camera is None:
        raise RecordingError("Only a depth image can be registered (a cloud always is): leave --register out.")
    if options.register and options.pose_of == "depth":
        raise RecordingError("Registered depth is seen from the colour camera: use --pose-of color with --register.")
    units = options.depth_units_per_metre
    if units is not None and not 0.0 < units < np.inf:
        raise RecordingError(
            f"Depth needs a positive number of pixel values per metre, not --stored-depth-units {units}."
        )
    if not options.splat >= 1.0:
        raise RecordingError(f"A point covers at least its own pixel: --splat must be 1 or more, not {options.splat}.")


def _skew(options: DatasetOptions, selected: Selection) -> int:
    if options.max_skew_ns is not None:
        return options.max_skew_ns
    return CLOUD_SKEW_NS if selected.depth is not None and selected.depth.type == CLOUD else IMAGE_SKEW_NS


def _first_pass(
    reader: BagReader, selected: Selection, progress: bool
) -> tuple[list[int], list[int] | None, PoseCollector]:
    """Stamps of colour and depth, and all poses; no image is decoded."""
    collector = PoseCollector(reader)
    stamps: dict[str, list[int]] = {topic.name: [] for topic in (selected.color, selected.depth) if topic is not None}
    wanted = {*collector.topics(), *stamps}
    total = sum(reader.topics[name].count for name in wanted)
    for raw in tqdm(reader.raw(wanted), total=total, desc="reading poses", unit=" messages", disable=not progress):
        if raw.topic in stamps:
            stamps[raw.topic].append(reader.header_stamp(raw) or raw.stamp_ns)
        else:
            collector.take(raw)
    depth = None if selected.depth is None else stamps[selected.depth.name]
    return stamps[selected.color.name], depth, collector


def _cameras(
    options: DatasetOptions, selected: Selection, collected: PoseCollector, plan: Plan
) -> tuple[CameraSettings, ToDepthMap | None]:
    """What camera.json says, and how depth messages become depth maps."""
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
    return settings, to_map


def _is_lidar(reader: BagReader, selected: Selection) -> bool:
    """Whether depth is the clouds of a LIDAR; told from the first cloud, as that of a depth camera has more rows."""
    if selected.depth is None or selected.depth.type != CLOUD:
        return False
    first = next(reader.raw({selected.depth.name}), None)
    try:
        return first is None or _decoded(reader, first).height <= LIDAR_RINGS
    except DecodeError:
        return True


def _extrinsic(selected: Selection, collected: PoseCollector, plan: Plan, limits: MotionLimits) -> NDArray[np.float64]:
    """T_color_depth, as it is at the first frame that has it."""
    assert selected.depth is not None
    color, depth = selected.color.frame, selected.depth.frame
    if color == depth:
        return np.eye(4)
    for frame in plan.frames:
        T = collected.tree.lookup(color, depth, frame.color_ns, Interpolation(1_000_000_000, limits))
        if T is not None:
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


def _second_pass(
    reader: BagReader,
    selected: Selection,
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
    wanted = {topic.name for topic in (selected.color, selected.depth) if topic is not None}
    total = sum(reader.topics[name].count for name in wanted)
    lost: dict[FrameName, str] = {}
    for raw in tqdm(reader.raw(wanted), total=total, desc=f"writing {writer.out.name}", unit=" images",
                    disable=not progress):  # fmt: skip
        is_color = raw.topic == selected.color.name
        stamp = reader.header_stamp(raw) or raw.stamp_ns
        name = (color_frames if is_color else depth_frames).pop(stamp, None)
        if name is None or (writer.has_color(name) if is_color else writer.has_depth(name)):
            continue
        try:
            message = _decoded(reader, raw)
            if is_color:
                write_color(writer, name, message, selected.color_camera, color_format)
            elif to_map is not None:
                metres = to_map(message)
                writer.write_depth(name, metres, cameras.depth_units_per_metre)
                report.add(message, metres)
        except DecodeError as error:
            lost[name] = str(error)
    return lost


def _decoded(reader: BagReader, raw: RawMessage) -> Any:
    """The message; one that is damaged costs its frame, as an image that is damaged does."""
    try:
        return reader.decode(raw)
    except RecordingError as error:
        raise DecodeError(str(error)) from error


def _finish(
    writer: FolderWriter, plan: Plan, lost: dict[FrameName, str], cameras: CameraSettings, source: str, force: bool
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
    if lost:
        _log.warning("%d frames left out, whose images cannot be read: %s", len(lost), next(iter(lost.values())))
    for name in lost:
        writer.remove(name)
    for frame in written:
        writer.write_pose(frame.name, frame.T_map_camera)
    present = {frame.name.sequence for frame in written}
    train_names, test_names = ([name for name in names if name in present] for names in (plan.train, plan.test))
    writer.finish(
        cameras, train_names, test_names, lambda folder: require_agreement(open_folder(folder), force, writer.out)
    )
    left_out = plan.left_out + Counter({"that cannot be read": len(lost)})
    return DatasetSummary(writer.out, len(train), len(written) - len(train), left_out, source,
                          without_pose=plan.without_pose)  # fmt: skip


def _images_text(selected: Selection) -> str:
    if selected.depth is None:
        return f"colour: {selected.color.name}; no depth topic"
    return f"colour: {selected.color.name}; depth: {selected.depth.name}"


def _pose_lines(poses: PoseSource, plan: Plan, pose_of: str) -> list[str]:
    """How fast the camera moved by the poses, on which clock, and what is to be known of them."""
    steps, options = plan.steps, poses.options
    lines = []
    if len(steps.seconds):
        speed = float(np.max(steps.distance_m / steps.seconds))
        turn = float(np.degrees(np.max(steps.angle_rad / steps.seconds)))
        lines.append(
            f"motion from frame to frame: at most {float(np.max(steps.distance_m)):.3f} m, {speed:.2f} m/s and "
            f"{turn:.0f} deg/s"
        )
    lines.append(
        f"poses are interpolated at the header stamps of the {'depth' if pose_of == 'depth' else 'colour'} images, "
        f"across at most {options.max_gap_ns / 1e6:g} ms, {options.limits.text()}"
    )
    for remark in poses.lines():
        _log.warning("%s.", remark)
        lines.append(f"note: {remark}")
    return lines


def _camera_lines(selected: Selection) -> list[str]:
    """Which cameras were taken, and what is to be known of them; what needs attention is logged as a warning too."""
    infos = {"colour": selected.color_info}
    if selected.depth_info is not None:
        infos["depth"] = selected.depth_info
    lines = []
    for kind, info in infos.items():
        lines.append(f"{kind} camera: {info.text()}")
        if kind == "depth" and info is selected.color_info:
            continue  # the remarks on it are told
        remarks = list(info.remarks)
        if is_distorted(info.model):
            remarks.append(
                f"the {kind} images are not rectified ({info.model.distortion_text}) and are stored as they came: "
                "record the rectified topic, or let the node read this very topic"
            )
        for remark in remarks:
            _log.warning("%s.", remark)
        lines += [f"note: {remark}" for remark in remarks]
    return lines


def _depth_lines(report: DepthReport, is_lidar: bool) -> list[str]:
    text, problem = report.lines(is_lidar)
    if problem:
        _log.warning("%s.", problem)
    return [text, *([f"note: {problem}"] if problem else [])] if text else []


def _identity(reader: BagReader, options: DatasetOptions) -> dict[str, Any]:
    """What tells two recordings, or two ways to convert one, apart."""
    chosen = asdict(options)
    T = options.poses.T_pose_camera
    chosen["poses"]["T_pose_camera"] = None if T is None else T.tolist()
    if options.poses.limits == MotionLimits():
        del chosen["poses"]["limits"]  # as in folders from before there was the choice
    if not options.depth_unit_m:
        del chosen["depth_unit_m"]  # as in folders from before there was the choice
    return {
        "recording": reader.path.name,
        "start_ns": reader.start_ns,
        "end_ns": reader.end_ns,
        "messages": reader.message_count,
        "options": chosen,
    }
