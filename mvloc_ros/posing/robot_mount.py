# SPDX-License-Identifier: Apache-2.0
"""Where the camera is on the robot: as `camera.json` states it, or as the recordings with odometry tell it."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TypeVar

import numpy as np

from mvloc_ros.geometry import se3
from mvloc_ros.posing.base_odometry import Mount
from mvloc_ros.recordings.frames import CameraSettings

_log = logging.getLogger(__name__)
C = TypeVar("C", bound=CameraSettings)

# A stated place that is further than this from what odometry tells is not where the camera is.
_AWAY_M, _AWAY_RAD = 0.2, np.deg2rad(5.0)


def with_mount(cameras: C, mount: Mount | None, height_m: float | None) -> C:
    """The cameras with `T_base_camera`.

    Args:
        cameras: of the recordings; what they state stays, with a warning where odometry contradicts it.
        mount: as found from odometry; None: not found.
        height_m: of the camera above a level floor, which odometry does not tell; None: not known.
    """
    if mount is None:
        return cameras
    stated, found = cameras.T_base_camera, mount.T_base_camera.copy()
    if stated is None:
        found[2, 3] = found[2, 3] if height_m is None else height_m
        return replace(cameras, T_base_camera=found)
    level = float(np.linalg.norm(stated[:2, 3] - found[:2, 3]))
    turned = float(se3.rotation_error(stated, found))
    if level > _AWAY_M or turned > _AWAY_RAD:
        _log.warning(
            "T_base_camera in camera.json is %.2f m and %.1f degrees from where images and odometry together put the "
            "camera on the robot; correct it, or remove it.",
            level,
            np.rad2deg(turned),
        )
    return cameras
