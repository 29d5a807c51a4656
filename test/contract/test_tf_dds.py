# SPDX-License-Identifier: Apache-2.0
"""TransformListener and the broadcasters, over real DDS."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import rclpy
from geometry_msgs.msg import TransformStamped
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.time import Time
from rosgraph_msgs.msg import Clock
from tf2_msgs.msg import TFMessage
from tf2_ros import Buffer, StaticTransformBroadcaster, TransformBroadcaster, TransformListener

pytestmark = pytest.mark.dds
Stamped = Callable[..., TransformStamped]
Nodes = Callable[..., Node]
WaitFor = Callable[[Callable[[], object], float, str], object]


def x_of(buffer: Buffer, target: str, source: str, seconds: float = 0.0) -> float:
    time = Time(nanoseconds=round(seconds * 1e9))
    return float(buffer.lookup_transform(target, source, time).transform.translation.x)


def connected(wait_for: WaitFor, node: Node, topic: str) -> None:
    """Wait until the node knows a sender and a listener of the topic."""
    wait_for(
        lambda: node.count_subscribers(topic) > 0 and node.count_publishers(topic) > 0, 20.0, f"a listener of {topic}"
    )


def test_what_is_broadcast_is_found(nodes: Nodes, stamped: Stamped, wait_for: WaitFor) -> None:
    sender, receiver = nodes("sender"), nodes("receiver")
    buffer = Buffer()
    _listener = TransformListener(buffer, receiver)
    broadcaster = TransformBroadcaster(sender)
    connected(wait_for, sender, "/tf")

    def sent_and_there() -> bool:
        # The reader may be matched a moment after it is seen: send until the first arrives.
        broadcaster.sendTransform(stamped("map", "odom", 1.0, (1.0, 0.0, 0.0)))
        broadcaster.sendTransform(
            [stamped("odom", "base", 1.0, (2.0, 0.0, 0.0)), stamped("odom", "base", 2.0, (4.0, 0.0, 0.0))]
        )
        return buffer.can_transform("odom", "base", Time(seconds=2)) and buffer.can_transform("map", "base", Time())

    wait_for(sent_and_there, 20.0, "transforms over /tf")
    assert x_of(buffer, "map", "base", 1.0) == pytest.approx(3.0)
    assert x_of(buffer, "odom", "base", 1.5) == pytest.approx(3.0)


def test_a_late_listener_gets_the_static_transforms(nodes: Nodes, stamped: Stamped, wait_for: WaitFor) -> None:
    broadcaster = StaticTransformBroadcaster(nodes("sender"))
    broadcaster.sendTransform([stamped("base", "camera", 0.0, (0.5, 0.0, 0.0)), stamped("base", "lidar", 0.0)])
    buffer = Buffer()
    _listener = TransformListener(buffer, nodes("receiver"))
    wait_for(lambda: buffer.can_transform("lidar", "camera", Time(seconds=77)), 20.0, "transforms over /tf_static")
    assert x_of(buffer, "base", "camera", 123.0) == 0.5


def test_a_late_listener_gets_all_that_was_ever_sent(
    nodes: Nodes, stamped: Stamped, wait_for: WaitFor, distribution: str
) -> None:
    if distribution in ("humble", "iron"):
        pytest.skip("before Jazzy only the last list reaches late listeners")
    broadcaster = StaticTransformBroadcaster(nodes("sender"))
    broadcaster.sendTransform(stamped("base", "camera", 0.0, (0.5, 0.0, 0.0)))
    broadcaster.sendTransform(stamped("base", "lidar", 0.0, (0.1, 0.0, 0.0)))
    buffer = Buffer()
    _listener = TransformListener(buffer, nodes("receiver"))
    wait_for(lambda: buffer.can_transform("lidar", "camera", Time()), 20.0, "both static transforms")
    assert x_of(buffer, "lidar", "camera") == pytest.approx(0.4)


def test_the_static_topic_can_be_read_by_anyone(nodes: Nodes, stamped: Stamped, wait_for: WaitFor) -> None:
    """The wire type is tf2_msgs/TFMessage, transient local."""
    StaticTransformBroadcaster(nodes("sender")).sendTransform(stamped("base", "camera"))
    received: list[TFMessage] = []
    receiver = nodes("receiver")
    qos = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    receiver.create_subscription(TFMessage, "/tf_static", received.append, qos)
    wait_for(lambda: received, 20.0, "a message on /tf_static")
    assert received[0].transforms[0].child_frame_id == "camera"
    assert dict(receiver.get_topic_names_and_types())["/tf_static"] == ["tf2_msgs/msg/TFMessage"]


def test_a_listener_can_spin_its_node_itself(nodes: Nodes, stamped: Stamped, wait_for: WaitFor) -> None:
    StaticTransformBroadcaster(nodes("sender")).sendTransform(stamped("base", "camera", 0.0, (0.5, 0.0, 0.0)))
    owner = not rclpy.ok()
    if owner:
        rclpy.init()
    receiver = Node("receiver")
    try:
        buffer = Buffer()
        listener = TransformListener(buffer, receiver, spin_thread=True)
        wait_for(lambda: buffer.can_transform("base", "camera", Time()), 20.0, "a static transform")
        assert listener.executor is not None
        listener.executor.shutdown()
        listener.dedicated_listener_thread.join(10.0)
        assert not listener.dedicated_listener_thread.is_alive()
    finally:
        receiver.destroy_node()
        if owner:
            rclpy.shutdown()


def test_a_jump_back_of_time_clears_a_buffer_that_knows_the_node(
    nodes: Nodes, stamped: Stamped, wait_for: WaitFor, distribution: str
) -> None:
    if distribution in ("humble", "iron"):
        pytest.skip("before Jazzy a buffer does not watch the clock")
    publisher = nodes("clock").create_publisher(Clock, "/clock", 10)
    node = nodes("simulated", parameter_overrides=[Parameter("use_sim_time", value=True)])
    buffer = Buffer(node=node)

    def clock_shows(seconds: int) -> bool:
        publisher.publish(Clock(clock=Time(seconds=seconds).to_msg()))
        return node.get_clock().now() == Time(seconds=seconds, clock_type=node.get_clock().clock_type)

    wait_for(lambda: clock_shows(100), 20.0, "simulated time")
    buffer.set_transform(stamped("a", "b", 100.0), "test")
    wait_for(lambda: clock_shows(101), 20.0, "time going on")
    assert buffer.can_transform("a", "b", Time(seconds=100))
    wait_for(lambda: clock_shows(50), 20.0, "time jumping back")
    wait_for(lambda: not buffer.can_transform("a", "b", Time(seconds=100)), 5.0, "the buffer being cleared")
    buffer.set_transform(stamped("a", "b", 50.0), "test")
    assert buffer.can_transform("a", "b", Time(seconds=50))
