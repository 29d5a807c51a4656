# SPDX-License-Identifier: Apache-2.0
"""Hostile messages on every topic that a node listens to, among those of the robot around it."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

from geometry_msgs.msg import PoseWithCovarianceStamped, TransformStamped
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CameraInfo, Image
from tf2_msgs.msg import TFMessage

from bench.fuzzing.message_fields import mutated_message
from bench.fuzzing.messages_valid import camera_info, images, pose_with_covariance, stamped, transform
from bench.fuzzing.mutators import damaged
from bench.live_node import CAMERA

_REPAIR_S = 0.1
"""After a static transform with other numbers the robot's own is sent again: no listener can tell which one is true."""
_CHUNK = 1 << 20


class HostileNode(Node):
    """Sends what any program of the domain could, at a steady rate; a seed decides what.

    Attributes:
        sent: (monotonic time, which topic, what was changed) of each message.
        counts: messages by topic.
    """

    def __init__(self, rate_hz: float, seed: int, raw_share: float = 0.05) -> None:
        super().__init__("bench_hostile")
        self._period_s, self._random, self._raw_share = 1.0 / rate_hz, Random(seed), raw_share
        best_effort = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
        latched = QoSProfile(depth=5, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._made: dict[str, tuple[Any, Callable[[], Any]]] = {
            "color/image": (self.create_publisher(Image, "color/image", best_effort), self._image),
            "depth/image": (self.create_publisher(Image, "depth/image", best_effort), self._image),
            "color/camera_info": (self.create_publisher(CameraInfo, "color/camera_info", 5), camera_info),
            "depth/camera_info": (self.create_publisher(CameraInfo, "depth/camera_info", 5), camera_info),
            "initialpose": (self.create_publisher(PoseWithCovarianceStamped, "initialpose", 5), pose_with_covariance),
            "/tf": (self.create_publisher(TFMessage, "/tf", 50), self._odometry),
            "/tf_static": (self.create_publisher(TFMessage, "/tf_static", latched), self._mount),
        }
        self.sent: list[tuple[float, str, str]] = []
        self.counts = Counter[str]()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> HostileNode:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()
        self.destroy_node()

    def _run(self) -> None:
        while not self._ending.wait(self._period_s):
            self._send(self._random.choice(list(self._made)))

    def _send(self, topic: str) -> None:
        publisher, make = self._made[topic]
        message = make()
        if topic[0] != "/":
            stamped(message, time.time_ns(), "map" if topic == "initialpose" else CAMERA)
        if self._random.random() < self._raw_share:
            data, what = damaged(serialize_message(message)[4:_CHUNK], self._random)
            publisher.publish(b"\0\1\0\0" + data)
            what = f"serialized: {what}"
        else:
            what = mutated_message(message, self._random)
            publisher.publish(message)
        self.sent.append((time.monotonic(), topic, what))
        self.counts[topic] += 1
        if topic == "/tf_static":
            self._ending.wait(_REPAIR_S)
            publisher.publish(self._mount())

    def _image(self) -> Image:
        return self._random.choice(images())

    def _odometry(self) -> TFMessage:
        return TFMessage(transforms=[stamped(transform(), time.time_ns(), "odom")])

    def _mount(self) -> TFMessage:
        message = TransformStamped(child_frame_id=CAMERA)
        message.transform.rotation.w = 1.0
        return TFMessage(transforms=[stamped(message, time.time_ns(), "base_link")])
