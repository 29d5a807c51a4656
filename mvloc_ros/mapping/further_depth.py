# SPDX-License-Identifier: Apache-2.0
"""The depth sensors besides the pair, as maps are built with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry import se3
from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.localization.color_evidence import PAIR_COLOR
from mvloc_ros.localization.depth_points import CORRECTION_SHAPE, DepthCamera
from mvloc_ros.localization.sensor_rig import within
from mvloc_ros.model.modalities import Sensor

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class DepthEye:
    """A depth sensor, and the color camera that shows what it measures.

    Attributes:
        name: of the sensor.
        depth: what makes points of its images; its distortion is not estimated.
        units_per_metre: value of a pixel at one meter.
        T_reference_sensor: 4x4, maps its coordinates into the color camera of the pair.
        color_name: of the color camera that is nearest to it: from there nothing hides what it measures.
        color: intrinsics of that.
        T_color_sensor: 4x4, maps the sensor's coordinates into that.
    """

    name: str
    depth: DepthCamera
    units_per_metre: float
    T_reference_sensor: Array
    color_name: str
    color: PinholeCamera
    T_color_sensor: Array


def eyes_of(sensors: Sequence[Sensor], color: PinholeCamera, near_m: float, far_m: float) -> tuple[DepthEye, ...]:
    """The depth sensors among those besides the pair.

    Args:
        sensors: all of them.
        color: the color camera of the pair.
        near_m: what is nearer is not mapped.
        far_m: what is further away is not.
    """
    cameras = {PAIR_COLOR: (color, np.eye(4))}
    cameras |= {sensor.name: (sensor.camera, sensor.pose) for sensor in sensors if sensor.kind == "color"}
    eyes = []
    for sensor in sensors:
        if sensor.kind != "depth":
            continue
        T = sensor.pose
        name, (camera, pose) = min(cameras.items(), key=lambda item, T=T: _apart(item[1][1], T))  # type: ignore[misc]
        reach = within(sensor.depth_min_m, sensor.depth_max_m, near_m, far_m)
        depth = DepthCamera(sensor.camera, *reach, np.zeros(CORRECTION_SHAPE, np.float32))
        eyes.append(DepthEye(sensor.name, depth, sensor.units_per_metre, T, name, camera, se3.inverse(pose) @ T))
    return tuple(eyes)


def _apart(A: Array, B: Array) -> float:
    """How little two cameras see of the same: a radian counts as a meter."""
    return float(se3.translation_error(A, B)) + float(se3.rotation_error(A, B))
