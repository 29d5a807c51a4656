# SPDX-License-Identifier: Apache-2.0
"""Pose estimates as ROS messages."""

from __future__ import annotations

from builtin_interfaces.msg import Time
from geometry_msgs.msg import (
    Point,
    Pose,
    PoseStamped,
    PoseWithCovarianceStamped,
    Quaternion,
    Transform,
    TransformStamped,
    Vector3,
)
from std_msgs.msg import Header

from mvloc_ros.geometry import se3
from mvloc_ros.localization.localizer import PoseEstimate

_NS = 1_000_000_000


def to_time(stamp_ns: int) -> Time:
    """builtin_interfaces/Time of nanoseconds."""
    return Time(sec=stamp_ns // _NS, nanosec=stamp_ns % _NS)


def to_nanoseconds(stamp: Time) -> int:
    """Nanoseconds of builtin_interfaces/Time."""
    return int(stamp.sec) * _NS + int(stamp.nanosec)


def pose_messages(
    estimate: PoseEstimate, map_frame: str, child_frame: str
) -> tuple[PoseStamped, PoseWithCovarianceStamped, TransformStamped]:
    """The same pose in its three forms, stamped with the image's stamp."""
    position, orientation = se3.to_parts(estimate.T_map_camera)
    x, y, z = (float(value) for value in position)
    quaternion = Quaternion(
        x=float(orientation[0]), y=float(orientation[1]), z=float(orientation[2]), w=float(orientation[3])
    )
    header = Header(stamp=to_time(estimate.stamp_ns), frame_id=map_frame)
    pose = Pose(position=Point(x=x, y=y, z=z), orientation=quaternion)
    with_covariance = PoseWithCovarianceStamped(header=header)
    with_covariance.pose.pose = pose
    with_covariance.pose.covariance = estimate.covariance.reshape(36)
    transform = TransformStamped(
        header=header,
        child_frame_id=child_frame,
        transform=Transform(translation=Vector3(x=x, y=y, z=z), rotation=quaternion),
    )
    return PoseStamped(header=header, pose=pose), with_covariance, transform
