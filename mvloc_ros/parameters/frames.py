# SPDX-License-Identifier: Apache-2.0
"""The parameters of frames, transforms and time."""

from __future__ import annotations

from dataclasses import dataclass

from mvloc_ros.parameters.declaration import parameter


@dataclass(frozen=True)
class FrameParameters:
    """What the poses are of, and what is broadcast on TF."""

    map_frame: str = parameter("", "frame of the published poses; empty: the one that the model names")
    odom_frame: str = parameter("odom", "frame of the odometry, in which base_frame moves without jumps (REP-105)")
    base_frame: str = parameter("base_link", "frame of the robot")
    camera_frame: str = parameter("", "frame of the camera on TF; empty: the image's frame_id")
    publish_frame: str = parameter(
        "odom",
        "child of map_frame on TF; `odom`: odom_frame (REP-105, for Nav2); `base_link`: base_frame; `camera`: the "
        "camera; `none`: nothing is broadcast",
        choices=("odom", "base_link", "camera", "none"),
    )
    pose_frame: str = parameter(
        "auto",
        "whose pose the pose topics carry; `auto`: the camera's where publish_frame is camera, else the robot's",
        choices=("auto", "base_link", "camera"),
    )
    camera_pose_fallback: bool = parameter(
        False, "publish the camera's pose where TF does not tell how the camera sits on the robot"
    )
    transform_tolerance: float = parameter(
        0.5,
        "how far map -> odom is dated into the future, so that it holds until the next",
        unit="s",
        range=(0.0, 5.0),
    )
    transform_publish_rate: float = parameter(
        20.0, "rate at which map -> odom is sent, poses or not", unit="Hz", range=(1.0, 200.0)
    )
    transform_timeout: float = parameter(
        0.1,
        "longest wait of a pose for the robot's transforms at the image's stamp",
        unit="s",
        range=(0.0, 2.0),
    )
    future_tolerance: float = parameter(
        1.0, "how far the stamp of an image may be ahead of the node's clock", unit="s", range=(0.0, 1e9)
    )

    @property
    def poses_are_of_camera(self) -> bool:
        """Whether the pose topics carry the camera's pose instead of the robot's."""
        if self.pose_frame == "auto":
            return self.publish_frame == "camera"
        return self.pose_frame == "camera"

    @property
    def needs_tf(self) -> bool:
        """Whether anything that is published depends on the robot's own transforms."""
        return self.publish_frame in ("odom", "base_link") or not self.poses_are_of_camera
