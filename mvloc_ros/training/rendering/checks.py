# SPDX-License-Identifier: Apache-2.0
"""Whether views of a folder can be rendered, and what is assumed of its cameras."""

from __future__ import annotations

import numpy as np

from mvloc_ros.geometry import se3
from mvloc_ros.recordings import PosedFolder
from mvloc_ros.training.config import TrainingConfig
from mvloc_ros.training.errors import TrainingError


def check_renderable(config: TrainingConfig, folder: PosedFolder) -> None:
    """Check that --rendered is possible: it needs depth of surfaces from a pinhole camera.

    Raises:
        TrainingError: the depth is panoramas, or of points with nothing between them; or there are further sensors.
    """
    if config.augmentation.rendered == 0.0:
        return
    if config.input.sensors:
        names = ", ".join(sensor.name for sensor in config.input.sensors)
        raise TrainingError(
            f"--rendered renders color and depth, and this run has further sensors ({names}); remove it, or use "
            "--sensors none."
        )
    if folder.depth_projection != "pinhole":
        raise TrainingError(
            f"The depth images of {folder.where} are panoramas, which --rendered does not support; remove it, or "
            "convert the recording with --projection pinhole."
        )
    if config.input.depth_of_points or folder.depth_of_points:
        raise TrainingError(
            f"The depth of {folder.where} is sparse points (depth_of_points), of which --rendered cannot make "
            "surfaces; remove it."
        )


def report_assumptions(config: TrainingConfig, folder: PosedFolder) -> None:
    """Print what rendered views assume of the cameras, if there are any."""
    if config.augmentation.rendered == 0.0:
        return
    cameras = "one camera for color and depth (registered)"
    if not (folder.depth_registered or config.input.register_depth):
        T, between = folder.T_color_depth, "an unknown distance, which is"
        if T is not None:
            angle = np.degrees(float(se3.rotation_error(T, np.eye(4))))
            between = f"{np.linalg.norm(T[:3, 3]):.3f} m and {angle:.1f} degrees, which are"
        cameras = f"color and depth cameras with {between} neglected; --register-depth takes known ones into account"
    print(f"rendered views: {cameras}; poses of the {folder.pose_of} camera; depth noise of the first Kinect.")
