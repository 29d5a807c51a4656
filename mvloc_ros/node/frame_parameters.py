# SPDX-License-Identifier: Apache-2.0
"""The parameters of frames, time and the gate: their declarations, their values, and the gate's limits from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mvloc_ros.localization.gate import GateLimits
from mvloc_ros.localization.motion import Growth, MotionModel
from mvloc_ros.node.parameter_spec import Spec

# What odometry drifts while the robot stands still (encoders do not, inertial and visual odometry do).
_STANDING_DRIFT_M_PER_S = 0.02
_STANDING_DRIFT_RAD_PER_S = 0.01


@dataclass(frozen=True)
class FrameParameters:
    """The values of one configuration, by the names of the ROS parameters."""

    map_frame: str
    odom_frame: str
    base_frame: str
    camera_frame: str
    publish_frame: str
    pose_frame: str
    camera_pose_fallback: bool
    transform_tolerance: float
    transform_publish_rate: float
    transform_timeout: float
    future_tolerance: float
    gate: bool
    gate_max_jump: float
    gate_max_turn: float
    gate_max_mahalanobis: float
    gate_confirmations: int
    gate_initial_fixes: int
    gate_odometry_drift: float
    gate_max_speed: float
    gate_max_turn_rate: float
    lost_after: float
    publish_lost_pose: bool

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


FRAME_SPECS: dict[str, Spec] = {
    "map_frame": Spec("", "Frame of the published poses; empty takes the one the model names."),
    "odom_frame": Spec("odom", "Frame of the odometry, in which base_frame moves without jumps (REP-105)."),
    "base_frame": Spec("base_link", "Frame of the robot."),
    "camera_frame": Spec("", "Frame of the camera on TF; empty takes the image's own frame_id."),
    "publish_frame": Spec(
        "odom",
        "Which child of map_frame is broadcast on TF: odom_frame (REP-105, for Nav2), base_frame, the camera, or none.",
        choices=("odom", "base_link", "camera", "none"),
    ),
    "pose_frame": Spec(
        "auto",
        "Whose pose the pose topics carry; auto: the camera's where publish_frame is camera, else the robot's.",
        choices=("auto", "base_link", "camera"),
    ),
    "camera_pose_fallback": Spec(
        False, "Publish the camera's pose where TF does not tell how the camera sits on the robot."
    ),
    "transform_tolerance": Spec(
        0.5, "Seconds by which map -> odom is dated into the future, so that it holds until the next.", range=(0.0, 5.0)
    ),
    "transform_publish_rate": Spec(20.0, "Hz at which map -> odom is sent, poses or not.", range=(1.0, 200.0)),
    "transform_timeout": Spec(
        0.1, "Seconds that a pose waits at most for the robot's transforms at the image's stamp.", range=(0.0, 2.0)
    ),
    "future_tolerance": Spec(
        1.0, "Seconds that the stamp of an image may be ahead of this node's clock.", range=(0.0, 1e9)
    ),
    "gate": Spec(True, "Accept only poses that fit the last ones; false publishes every pose."),
    "gate_max_jump": Spec(
        2.0, "Metres that a pose may be from where the last one and odometry put it.", range=(0.0, 1e6)
    ),
    "gate_max_turn": Spec(45.0, "The same in degrees.", range=(0.0, 180.0)),
    "gate_max_mahalanobis": Spec(
        5.0, "The same in standard deviations of both poses and the motion between them.", range=(0.1, 1e6)
    ),
    "gate_confirmations": Spec(5, "Poses that must agree before a jump is accepted.", range=(1, 1000)),
    "gate_initial_fixes": Spec(1, "Poses that must agree before the first is accepted.", range=(1, 1000)),
    "gate_odometry_drift": Spec(
        0.05, "Standard deviation of odometry, as a share of the distance and of the angle.", range=(0.0, 1.0)
    ),
    "gate_max_speed": Spec(
        1.0, "Without odometry: m/s, standard deviation of how fast the camera moves.", range=(0.0, 1000.0)
    ),
    "gate_max_turn_rate": Spec(60.0, "Without odometry: degrees/s, the same for turning.", range=(0.0, 3600.0)),
    "lost_after": Spec(2.0, "Seconds without an accepted pose after which the state is LOST.", range=(0.0, 3600.0)),
    "publish_lost_pose": Spec(
        False, "While LOST, publish the expected pose with variances of 9999, which filters ignore."
    ),
}


def gate_limits(values: FrameParameters) -> GateLimits:
    """The gate's limits in SI units."""
    return GateLimits(
        enabled=values.gate,
        max_jump_m=values.gate_max_jump,
        max_jump_rad=float(np.deg2rad(values.gate_max_turn)),
        max_mahalanobis=values.gate_max_mahalanobis,
        confirmations=values.gate_confirmations,
        initial_fixes=values.gate_initial_fixes,
        lost_after_ns=round(1e9 * values.lost_after),
        motion=motion_model(values),
    )


def motion_model(values: FrameParameters) -> MotionModel:
    """Where the camera is expected after a pose that was accepted, in SI units."""
    drift = values.gate_odometry_drift
    return MotionModel(
        odometry=Growth(drift, drift, _STANDING_DRIFT_M_PER_S, _STANDING_DRIFT_RAD_PER_S),
        max_speed=values.gate_max_speed,
        max_turn_rate=float(np.deg2rad(values.gate_max_turn_rate)),
    )
