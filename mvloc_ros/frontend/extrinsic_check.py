# SPDX-License-Identifier: Apache-2.0
"""Do the further sensors sit where they sat when the model was trained? By the robot's transforms, where these tell."""

from __future__ import annotations

import numpy as np

from mvloc_ros.foreign_text import shown
from mvloc_ros.geometry import se3
from mvloc_ros.geometry.transform_lookup import TransformLookup
from mvloc_ros.model.modalities import Sensor

_DISTANCE_M, _ANGLE_DEG = 0.02, 2.0


def extrinsic_problem(
    sensor: Sensor, color_frame: str, sensor_frame: str, transforms: TransformLookup, stamp_ns: int
) -> str:
    """A sentence where TF puts a sensor elsewhere than the model's training; empty where not, or TF does not tell.

    Args:
        sensor: as the model was trained with it.
        color_frame: optical frame of the pair's color camera.
        sensor_frame: that of the sensor.
        transforms: the robot's.
        stamp_ns: the time to ask for.
    """
    if not color_frame or not sensor_frame or color_frame == sensor_frame:
        return ""
    T = transforms.lookup(color_frame, sensor_frame, stamp_ns, wait=False).T
    if T is None:
        return ""
    away_m = float(np.linalg.norm(T[:3, 3] - sensor.pose[:3, 3]))
    turned_deg = float(np.rad2deg(se3.rotation_error(T[None], sensor.pose[None])[0]))
    if away_m <= _DISTANCE_M and turned_deg <= _ANGLE_DEG:
        return ""
    return (
        f"TF puts {shown(sensor_frame)} {100 * away_m:.1f} cm and {turned_deg:.1f} degrees from where the sensor "
        f"{sensor.name} was in training, as seen from {shown(color_frame)}; the model goes by its training: mend the "
        "transform, the mount, or train again"
    )
