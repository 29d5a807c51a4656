# SPDX-License-Identifier: Apache-2.0
"""What the summary of a conversion says of sensors besides color and depth, and of topics that may be of such ones."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from mvloc_ros.foreign_text import shown
from mvloc_ros.geometry import se3
from mvloc_ros.limits import MOST_LOG_CHARACTERS
from mvloc_ros.recordings.to_dataset.frame_plan import Plan
from mvloc_ros.recordings.to_dataset.passes import Lost
from mvloc_ros.recordings.to_dataset.sensor_images import SensorImages
from mvloc_ros.recordings.to_dataset.summary import camera_remarks, depth_lines
from mvloc_ros.recordings.to_dataset.topic_selection import Selection

_NOTHING = Lost({}, {})


def sensor_lines(sensors: Sequence[SensorImages], plan: Plan, lost: Lost = _NOTHING) -> list[str]:
    """Of each sensor its kind, place and topic, how many frames have its image, its skew, its camera and its depth."""
    lines = []
    frames = sum(frame.name not in lost.frames for frame in plan.frames)
    for images in sensors:
        sensor, source = images.sensor, images.source
        count, skew_ms = len(lost.left(images)), float(np.median(images.skews_ns)) / 1e6
        lines.append(
            f"sensor {sensor.name}: {sensor.kind} {sensor.camera.width}x{sensor.camera.height} of "
            f"{source.topic.name}, in {count} of {frames} frames ({frames - count} without), "
            f"median skew {skew_ms:+.1f} ms"
        )
        lines.append(f"{sensor.name} place: {_place_text(images)}, by {images.placed}")
        lines += [f"{sensor.name} camera: {source.info.text()}", *camera_remarks(sensor.name, source.info)]
        lines += [] if images.report is None else depth_lines(images.report, False)
    return lines


def other_lines(selected: Selection) -> list[str]:
    """That the recording has images on topics that are not used."""
    if not selected.others:
        return []
    named = ", ".join(f"{name} ({kind})" for name, kind in selected.others.items())
    text = shown(named, MOST_LOG_CHARACTERS)
    return [f"note: the recording also has images on {text}: --sensor NAME:=TOPIC takes those of further cameras"]


def _place_text(images: SensorImages) -> str:
    """Meters along the axes of the color camera, and the angle about an axis of length 1."""
    T = images.sensor.pose
    turn = se3.rotation_vector(T[:3, :3])
    angle = float(np.linalg.norm(turn))
    position = ", ".join(f"{value:.3f}" for value in T[:3, 3])
    axis = "" if angle < 1e-9 else f" about ({', '.join(f'{value:.2f}' for value in turn / angle)})"
    return f"x, y, z {position} m in the color camera, turned by {math.degrees(angle):.2f} deg{axis}"
