# SPDX-License-Identifier: Apache-2.0
"""Between ROS messages and the tree's own values."""

from __future__ import annotations

import math
from typing import Any

from geometry_msgs.msg import Transform, TransformStamped

from tf2_py.rigid import Rigid, normalise

LENGTH_TOLERANCE = 10e-3  # of the squared length of a quaternion, as in tf2


def stamp_ns_of(time: Any) -> int:
    """Nanoseconds of a builtin_interfaces/Time message or an rclpy Time."""
    if hasattr(time, "nanosec"):
        return int(time.sec) * 1_000_000_000 + int(time.nanosec)
    return int(time.nanoseconds)


def rigid_of(transform: Transform) -> Rigid:
    """The message's values, the quaternion at unit length."""
    t, q = transform.translation, transform.rotation
    return Rigid((t.x, t.y, t.z), normalise((q.x, q.y, q.z, q.w)))


def fault_of(message: TransformStamped) -> str | None:
    """Why the transform cannot be part of a tree, or None."""
    parent = message.header.frame_id.removeprefix("/")
    child = message.child_frame_id.removeprefix("/")
    t, q = message.transform.translation, message.transform.rotation
    if not child:
        return "its child_frame_id is empty"
    if not parent:
        return f"its frame_id is empty (child_frame_id '{child}')"
    if parent == child:
        return f"its frame_id and child_frame_id are the same, '{child}'"
    if any(math.isnan(value) for value in (t.x, t.y, t.z, q.x, q.y, q.z, q.w)):
        return f"it has a nan value (child_frame_id '{child}')"
    if abs(q.x * q.x + q.y * q.y + q.z * q.z + q.w * q.w - 1.0) >= LENGTH_TOLERANCE:
        return f"its quaternion ({q.x}, {q.y}, {q.z}, {q.w}) is not of unit length (child_frame_id '{child}')"
    return None


def to_message(stamp_ns: int, target: str, source: str, rigid: Rigid) -> TransformStamped:
    """The answer to a lookup of `source` in `target`."""
    message = TransformStamped()
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, 1_000_000_000)
    message.header.frame_id = target
    message.child_frame_id = source
    t, q = message.transform.translation, message.transform.rotation
    t.x, t.y, t.z = rigid.translation
    q.x, q.y, q.z, q.w = rigid.rotation
    return message
