# SPDX-License-Identifier: Apache-2.0
"""The executor that looks at services now and then: they are answered all the same, between messages."""

from __future__ import annotations

import time

import pytest
import rclpy
from rclpy.signals import SignalHandlerOptions
from std_msgs.msg import Int32
from std_srvs.srv import Trigger

from mvloc_ros.node.lean_executor import LeanExecutor

pytestmark = pytest.mark.dds


@pytest.fixture
def server():
    """A node of the default context, which the executor is of; what it heard; and its executor."""
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node("lean")
    heard: list[int] = []
    node.create_subscription(Int32, "numbers", lambda message: heard.append(message.data), 100)
    node.create_service(Trigger, "ask", lambda _request, response: response)
    executor = LeanExecutor()
    executor.add_node(node)
    yield node, heard, executor
    executor.shutdown()
    node.destroy_node()
    rclpy.shutdown()


def test_services_are_answered_between_messages_and_seldom_waited_for(server, ros_context, wait_for):
    _, heard, executor = server
    client_node = rclpy.create_node("client", context=ros_context)
    publisher = client_node.create_publisher(Int32, "numbers", 100)
    client = client_node.create_client(Trigger, "ask")
    asking = rclpy.executors.SingleThreadedExecutor(context=ros_context)
    asking.add_node(client_node)
    wait_for(lambda: client.service_is_ready() and publisher.get_subscription_count(), 10, "discovery")
    sent, looks, waits, answers = 0, 0, 0, 0
    future, deadline = None, time.monotonic() + 20.0
    while answers < 5 and time.monotonic() < deadline:
        publisher.publish(Int32(data=sent))
        sent += 1
        while len(heard) < sent and time.monotonic() < deadline:
            executor.spin_once(0.01)
            looks, waits = looks + executor.looks_at_all, waits + 1
        asking.spin_once(0.0)
        if future is None or future.done():
            answers += future is not None
            future = client.call_async(Trigger.Request())
    asking.shutdown()
    client_node.destroy_node()
    assert answers == 5
    assert heard == list(range(sent))
    assert looks < 0.5 * waits


def test_without_messages_every_wait_is_for_everything(server):
    node, heard, executor = server
    node.create_timer(0.01, lambda: None)
    for _ in range(10):
        executor.spin_once(0.1)
        assert executor.looks_at_all
    publisher = node.create_publisher(Int32, "numbers", 100)
    deadline = time.monotonic() + 10.0
    while not heard and time.monotonic() < deadline:
        publisher.publish(Int32(data=1))
        executor.spin_once(0.01)
    executor.spin_once(0.0)
    assert not executor.looks_at_all
    silent_since = time.monotonic()
    while not executor.looks_at_all:
        executor.spin_once(0.02)
        assert time.monotonic() - silent_since < 5.0
