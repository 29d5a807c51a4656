# SPDX-License-Identifier: Apache-2.0
"""Lookups of the robot's transforms: at the image's stamp, with a bounded wait, and only where waiting helps."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from tf2_ros import StaticTransformBroadcaster, TransformBroadcaster, TransformException

from mvloc_ros.geometry import se3
from mvloc_ros.limits import MOST_TRANSFORMS
from mvloc_ros.node.messages import transform_message
from mvloc_ros.node.odometry import RobotTransforms

pytestmark = pytest.mark.dds
SECOND = 1_000_000_000
NOW = 1_800_000_000 * SECOND
TIMEOUT_S = 2.0


class Robot:
    def __init__(self, context: rclpy.Context, wait_for) -> None:
        self.node = rclpy.create_node("robot", context=context)
        self.moving, self.fixed = TransformBroadcaster(self.node), StaticTransformBroadcaster(self.node)
        self.transforms = RobotTransforms(self.node, TIMEOUT_S)
        self.executor = SingleThreadedExecutor(context=context)
        self.executor.add_node(self.node)
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._spin)
        self.thread.start()
        self.wait_for = wait_for
        wait_for(lambda: self.moving.pub_tf.get_subscription_count() > 0, 10, "the listener")

    def _spin(self) -> None:
        while not self.ended.is_set():
            self.executor.spin_once(timeout_sec=0.1)

    def close(self) -> None:
        self.ended.set()
        self.thread.join()
        self.executor.shutdown()
        self.transforms.close()
        self.node.destroy_node()

    def drive(self, seconds: float, metres: float) -> None:
        pose = se3.from_parts([metres, 0.0, 0.0], [0, 0, 0, 1])
        self.moving.sendTransform(transform_message(pose, NOW + round(seconds * SECOND), "odom", "base_link"))

    def look(self, seconds: float, wait: bool = True):
        """What is found at a time, and how long that took."""
        started = time.monotonic()
        found = self.transforms.lookup("odom", "base_link", NOW + round(seconds * SECOND), wait)
        return found, time.monotonic() - started

    def knows(self, seconds: float) -> bool:
        return self.look(seconds, wait=False)[0].T is not None


@pytest.fixture
def robot(ros_context, wait_for) -> Iterator[Robot]:
    robot = Robot(ros_context, wait_for)
    yield robot
    robot.close()


def test_the_transform_is_that_of_the_stamp(robot):
    robot.drive(0.0, 0.0)
    robot.drive(1.0, 2.0)
    robot.wait_for(lambda: robot.knows(1.0), 10, "the odometry")
    found, _ = robot.look(0.25)
    assert np.allclose(found.T[:3, 3], [0.5, 0.0, 0.0])
    found, seconds = robot.look(-5.0)  # before all that is known: waiting would not help
    assert found.T is None
    assert found.connected
    assert seconds < TIMEOUT_S / 2


def test_frames_that_nothing_connects_are_not_waited_for(robot):
    found, seconds = robot.look(0.0)
    assert (found.T, found.connected) == (None, False)
    assert "odom" in found.reason
    assert seconds < TIMEOUT_S / 2


def test_odometry_that_is_late_is_waited_for(robot):
    robot.drive(0.0, 0.0)
    robot.wait_for(lambda: robot.knows(0.0), 10, "the odometry")
    late = threading.Timer(0.2, robot.drive, (1.0, 2.0))
    late.start()
    found, seconds = robot.look(0.5)
    late.join()
    assert np.allclose(found.T[:3, 3], [1.0, 0.0, 0.0])
    assert 0.1 < seconds < TIMEOUT_S


def test_odometry_that_comes_while_a_try_fails_is_found(robot, monkeypatch):
    robot.drive(0.0, 0.0)
    robot.wait_for(lambda: robot.knows(0.0), 10, "the odometry")
    buffer = robot.transforms._buffer
    lookup_transform, failed = buffer.lookup_transform, []

    def odometry_comes_too_late_for_the_first_try(*question):
        try:
            return lookup_transform(*question)
        except TransformException as error:
            failed.append(error)
            robot.drive(1.0, 2.0)
            robot.wait_for(
                lambda: buffer.get_latest_common_time("odom", "base_link").nanoseconds > NOW, 10, "the odometry"
            )
            raise

    monkeypatch.setattr(buffer, "lookup_transform", odometry_comes_too_late_for_the_first_try)
    found, _ = robot.look(0.5)
    assert np.allclose(found.T[:3, 3], [1.0, 0.0, 0.0])
    assert len(failed) == 1


def test_odometry_that_stopped_is_waited_for_once(robot):
    robot.drive(0.0, 0.0)
    robot.wait_for(lambda: robot.knows(0.0), 10, "the odometry")
    found, seconds = robot.look(0.5)
    assert found.T is None
    assert TIMEOUT_S <= seconds < TIMEOUT_S + 1.0
    assert "extrapolation" in found.reason
    assert "(waited 2.0" in found.reason
    _, seconds = robot.look(0.6)
    assert seconds < TIMEOUT_S / 2
    robot.drive(1.0, 2.0)
    robot.wait_for(lambda: robot.knows(1.0), 10, "odometry again")
    assert robot.look(0.6)[0].T is not None


def test_a_wait_ends_with_the_node(robot):
    robot.drive(0.0, 0.0)
    robot.wait_for(lambda: robot.knows(0.0), 10, "the odometry")
    robot.transforms.stop_waiting()
    assert robot.look(0.5)[1] < TIMEOUT_S / 2


def test_forgetting_keeps_what_is_static(robot):
    robot.drive(0.0, 0.0)
    robot.fixed.sendTransform(transform_message(np.eye(4), 0, "base_link", "camera"))
    robot.wait_for(
        lambda: robot.knows(0.0) and robot.transforms.lookup("base_link", "camera", NOW).T is not None, 10, "both"
    )
    robot.transforms.forget()
    assert not robot.knows(0.0)
    assert robot.transforms.lookup("base_link", "camera", NOW).T is not None


def test_a_message_of_more_transforms_than_a_robot_has_is_not_used(robot):
    place = se3.from_parts([1.0, 0.0, 0.0], [0, 0, 0, 1])
    flood = [transform_message(place, NOW, "odom", f"frame{n}") for n in range(MOST_TRANSFORMS)]
    many = transform_message(place, NOW, "odom", "one_of_many")
    robot.moving.sendTransform([*flood, many])
    robot.fixed.sendTransform([*flood, many])
    robot.drive(0.0, 3.0)
    robot.wait_for(lambda: robot.knows(0.0), 10, "the odometry after the flood")
    assert robot.transforms.lookup("odom", "one_of_many", NOW, wait=False).T is None
