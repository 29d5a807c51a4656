# SPDX-License-Identifier: Apache-2.0
"""Stamps, poses and transforms as ROS messages, and back."""

from __future__ import annotations

import math

import numpy as np
import tf_transformations
from builtin_interfaces.msg import Time
from geometry_msgs.msg import (
    Point,
    PoseStamped,
    PoseWithCovarianceStamped,
    Quaternion,
    TransformStamped,
    Vector3,
)
from geometry_msgs.msg import Pose as PoseMessage
from numpy.typing import NDArray
from std_msgs.msg import Header

from mvloc_ros.frontend.message_checks import MessageError, require_finite, require_stamp
from mvloc_ros.geometry import se3
from mvloc_ros.limits import MOST_METRES, MOST_VARIANCE
from mvloc_ros.localization.pose import Pose

_NS = 1_000_000_000
_ROUNDING = 1e-6
Array = NDArray[np.float64]


def to_time(stamp_ns: int) -> Time:
    """builtin_interfaces/Time of nanoseconds."""
    return Time(sec=stamp_ns // _NS, nanosec=stamp_ns % _NS)


def fill_pose(pose: PoseMessage, T: Array) -> None:
    """Write a transform (float64 4x4) into a message's pose. Raises MessageError where it is not finite."""
    require_finite("a pose", T)
    _fill_parts(pose.position, pose.orientation, T)


def pose_messages(pose: Pose, map_frame: str) -> tuple[PoseStamped, PoseWithCovarianceStamped]:
    """One pose in both forms.

    Args:
        pose: with the stamp of the image.
        map_frame: frame of both messages.

    Raises:
        MessageError: a number is not finite.
    """
    require_finite(f"the pose in {map_frame!r}", pose.T, pose.covariance)
    plain = PoseStamped()
    _fill_header(plain.header, pose.stamp_ns, map_frame)
    _fill_parts(plain.pose.position, plain.pose.orientation, pose.T)
    with_covariance = PoseWithCovarianceStamped(header=plain.header)
    with_covariance.pose.pose = plain.pose
    with_covariance.pose.covariance = pose.covariance.reshape(36)
    return plain, with_covariance


def transform_message(T_parent_child: Array, stamp_ns: int, parent: str, child: str) -> TransformStamped:
    """A transform of TF."""
    message = TransformStamped(child_frame_id=child)
    _fill_header(message.header, stamp_ns, parent)
    _fill_parts(message.transform.translation, message.transform.rotation, T_parent_child)
    return message


def matrix_of(transform: TransformStamped) -> Array:
    """`T_parent_child`, float64 4x4, of a transform that tf2 has checked."""
    translation = transform.transform.translation
    return _matrix(translation, transform.transform.rotation)


def pose_of(message: PoseWithCovarianceStamped) -> Pose:
    """The pose in the message's frame.

    Raises:
        MessageError: a number is not finite or out of all range, the quaternion is none, or the covariance is not
            positive semidefinite.
    """
    pose, covariance = message.pose.pose, np.array(message.pose.covariance, dtype=np.float64).reshape(6, 6)
    orientation = pose.orientation
    length = math.hypot(orientation.x, orientation.y, orientation.z, orientation.w)
    if not 0.9 < length < 1.1:
        raise MessageError(f"its quaternion has the length {length:g} instead of 1")
    T = _matrix(pose.position, orientation)
    if not (np.all(np.isfinite(T)) and np.all(np.isfinite(covariance))):
        raise MessageError("its numbers are not finite")
    if np.abs(T[:3, 3]).max() > MOST_METRES or np.abs(covariance).max() > MOST_VARIANCE:
        raise MessageError(f"it has coordinates beyond {MOST_METRES:g} m or variances beyond {MOST_VARIANCE:g}")
    _require_covariance(covariance)
    return Pose(require_stamp("it", message.header.stamp), T, covariance)


def _require_covariance(covariance: Array) -> None:
    """MessageError unless it is a covariance, to rounding: the gate divides by it. Variances of 0 are not stated."""
    variances = np.diag(covariance)
    stated = variances > 0.0
    deviations = np.sqrt(variances[stated])
    # Of the correlations, so that metres and radians, large and small ones, count alike.
    correlations = covariance[np.ix_(stated, stated)] / np.outer(deviations, deviations)
    if (
        (variances < 0.0).any()
        or np.abs(correlations - correlations.T).max(initial=0.0) > _ROUNDING
        or np.linalg.eigvalsh(correlations).min(initial=0.0) < -_ROUNDING
    ):
        raise MessageError("its covariance is not symmetric and positive semidefinite")


def _matrix(position: Point | Vector3, orientation: Quaternion) -> Array:
    T: Array = tf_transformations.quaternion_matrix([orientation.x, orientation.y, orientation.z, orientation.w])
    T[:3, 3] = position.x, position.y, position.z
    return T


# A message's constructor makes all its parts, and makes them once more where they are given; so parts are filled in.


def _fill_header(header: Header, stamp_ns: int, frame_id: str) -> None:
    header.stamp.sec, header.stamp.nanosec = divmod(stamp_ns, _NS)
    header.frame_id = frame_id


def _fill_parts(position: Point | Vector3, orientation: Quaternion, T: Array) -> None:
    metres, quaternion = se3.to_parts(T)
    position.x, position.y, position.z = metres.tolist()
    orientation.x, orientation.y, orientation.z, orientation.w = quaternion.tolist()
