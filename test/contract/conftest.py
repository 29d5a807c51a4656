# SPDX-License-Identifier: Apache-2.0
"""For the tests of what the project expects of tf2_ros, cv_bridge, sensor_msgs_py and tf_transformations.

They say what the real packages document, so the same tests serve there and on the stand-ins of pip_ros.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from geometry_msgs.msg import TransformStamped
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.time import Time
from tf2_ros import Buffer

Stamped = Callable[..., TransformStamped]
Nodes = Callable[..., Node]
HALF = math.sqrt(0.5)


def make_stamped(
    parent: str,
    child: str,
    seconds: float = 0.0,
    translation: Sequence[float] = (0.0, 0.0, 0.0),
    rotation: Sequence[float] = (0.0, 0.0, 0.0, 1.0),
) -> TransformStamped:
    message = TransformStamped()
    message.header.frame_id = parent
    message.child_frame_id = child
    message.header.stamp = Time(nanoseconds=round(seconds * 1e9)).to_msg()
    t, q = message.transform.translation, message.transform.rotation
    t.x, t.y, t.z = map(float, translation)
    q.x, q.y, q.z, q.w = map(float, rotation)
    return message


@pytest.fixture(scope="session")
def stamped() -> Stamped:
    """Makes a TransformStamped: (parent, child, seconds, translation, rotation)."""
    return make_stamped


@pytest.fixture
def robot(stamped: Stamped) -> Buffer:
    """Map -> odom -> base -> camera.

    The base moves 1 m/s along x from 10 s to 12 s; the camera is 0.5 m above it, turned by 90 degrees, static.
    """
    buffer = Buffer()
    buffer.set_transform_static(stamped("base", "camera", 0.0, (0.0, 0.0, 0.5), (0.0, 0.0, HALF, HALF)), "test")
    for second in (10, 11, 12):
        buffer.set_transform(stamped("map", "odom", second, (0.0, 2.0, 0.0)), "test")
        buffer.set_transform(stamped("odom", "base", second, (second - 10.0, 0.0, 0.0)), "test")
    return buffer


@pytest.fixture(scope="session")
def distribution() -> str:
    """The ROS distribution's name; the wheels of PyPI name none and are kilted's."""
    return os.environ.get("ROS_DISTRO", "kilted")


@pytest.fixture
def nodes(ros_context: Context) -> Iterator[Nodes]:
    """Makes nodes that are spun in one thread."""
    executor = SingleThreadedExecutor(context=ros_context)
    made: list[Node] = []

    def make(name: str, **options: Any) -> Node:
        node = Node(name, context=ros_context, **options)
        made.append(node)
        executor.add_node(node)
        return node

    thread = threading.Thread(target=executor.spin)
    thread.start()
    yield make
    executor.shutdown()
    thread.join()
    for node in made:
        node.destroy_node()
