# SPDX-License-Identifier: Apache-2.0
"""The summary of a conversion: what was written, and what was assumed of poses, clocks, cameras and depth."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mvloc_ros.frontend.camera_check import is_distorted
from mvloc_ros.recordings.bag_reader import BagReader
from mvloc_ros.recordings.pose_series import stamps_text
from mvloc_ros.recordings.recorded_camera import RecordedCamera
from mvloc_ros.recordings.time_base import TopicStamps
from mvloc_ros.recordings.to_dataset.depth_report import DepthReport
from mvloc_ros.recordings.to_dataset.frame_plan import Plan
from mvloc_ros.recordings.to_dataset.pose_source import PoseSource
from mvloc_ros.recordings.to_dataset.topic_selection import ImageTopic, Selection
from mvloc_ros.recordings.trajectory_file import up_note

_log = logging.getLogger(__name__)


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
    posed: bool = True  # without poses there is no split, and all frames count as `train`

    def text(self) -> str:
        """Two or three lines for the terminal."""
        frames = f"{self.train} training and {self.test} test frames" if self.posed else f"{self.train} frames"
        lines = [f"{self.out}: {frames}", self.source, *self.inputs]
        for reason, count in sorted(self.left_out.items()):
            times = f" ({stamps_text(self.without_pose[reason])})" if reason in self.without_pose else ""
            lines.append(f"left out: {count} colour images {reason}{times}")
        return "\n".join(lines)


def images_text(selected: Selection) -> str:
    """Which topics the images are of."""
    if selected.depth is None:
        return f"colour: {selected.color.name}; no depth topic"
    return f"colour: {selected.color.name}; depth: {selected.depth.name}"


def pose_lines(poses: PoseSource, plan: Plan, stamps: Mapping[str, TopicStamps], posed: ImageTopic) -> list[str]:
    """The camera's speed by the poses, their clock, and remarks on them."""
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
        f"poses are interpolated at the {stamps[posed.name].clock_text()} of {posed.name}, "
        f"across at most {options.max_gap_ns / 1e6:g} ms, {options.limits.text()}"
    )
    lines += stamp_lines(stamps)
    if poses.options.trajectory is not None:
        lines += poses.about
        posed_frames = [frame.T_map_camera for frame in plan.frames if frame.T_map_camera is not None]
        if note := up_note(np.stack(posed_frames)):
            lines.append(f"note: {note}")
    for remark in poses.lines():
        _log.warning("%s.", remark)
        lines.append(f"note: {remark}")
    return lines


def stamp_lines(stamps: Mapping[str, TopicStamps]) -> list[str]:
    """Remarks on the stamps of the images, which are logged as warnings too."""
    remarks = [remark for topic in stamps.values() if (remark := topic.remark())]
    for remark in remarks:
        _log.warning("%s.", remark)
    return [f"note: {remark}" for remark in remarks]


def camera_lines(selected: Selection) -> list[str]:
    """Which cameras were used, and remarks on them, which are logged as warnings too."""
    infos = {"colour": selected.color_info}
    if selected.depth_info is not None:
        infos["depth"] = selected.depth_info
    lines = []
    for kind, info in infos.items():
        lines.append(f"{kind} camera: {info.text()}")
        if kind == "depth" and info is selected.color_info:
            continue  # its remarks were listed
        lines += camera_remarks(kind, info)
    return lines


def camera_remarks(kind: str, info: RecordedCamera) -> list[str]:
    """Remarks on a camera, which are logged as warnings too; `kind` is what its images are called."""
    remarks = list(info.remarks)
    if is_distorted(info.model):
        remarks.append(
            f"the {kind} images are not rectified ({info.model.distortion_text}) and are stored as they came: "
            "record the rectified topic, or let the node read this very topic"
        )
    for remark in remarks:
        _log.warning("%s.", remark)
    return [f"note: {remark}" for remark in remarks]


def depth_lines(report: DepthReport, is_lidar: bool) -> list[str]:
    """Unit and median of depth, and what cannot be right; the latter is logged as a warning too."""
    text, problem = report.lines(is_lidar)
    if problem:
        _log.warning("%s.", problem)
    return [text, *([f"note: {problem}"] if problem else [])] if text else []


def damage_lines(reader: BagReader) -> list[str]:
    """What the recording lacks of the messages that it names; logged as a warning too."""
    for note in reader.damage_notes():
        _log.warning("%s.", note)
    return [f"note: {note}" for note in reader.damage_notes()]
