# SPDX-License-Identifier: Apache-2.0
"""Hears a node's poses, with the middleware's own time of their publication, and its status."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from geometry_msgs.msg import PoseStamped
from mvloc_ros.msg import LocalizationStatus
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.subscription import MessageInfo

STEPS = (
    "decode_ms",
    "wait_ms",
    "preprocess_ms",
    "inference_ms",
    "localization_ms",
    "publish_ms",
    "callback_to_publication_ms",
    "stamp_to_publication_ms",
)
COUNTERS = (
    "color_received",
    "depth_received",
    "pairs",
    "published",
    "rejected",
    "dropped_busy",
    "dropped_unpaired",
    "dropped_invalid",
    "dropped_failed",
    "single_modality",
    "lost_in_transport",
)
_DEEP = QoSProfile(depth=500)


@dataclass(frozen=True)
class Heard:
    """One pose: the stamp of its image, when it was published and when it came here (ns since the epoch)."""

    stamp_ns: int
    published_ns: int
    arrived_ns: int


class Listener(Node):
    """Keeps what one node publishes.

    Attributes:
        poses: in the order they came.
        steps: stamp of the image -> the node's own times of its steps, in milliseconds.
        counters: of the last status.
    """

    def __init__(self, pose_topic: str) -> None:
        super().__init__("bench_listener")
        self.poses: list[Heard] = []
        self.steps: dict[int, dict[str, float]] = {}
        self.counters: dict[str, int] = {}
        self.create_subscription(PoseStamped, pose_topic, self._take_pose, _DEEP)
        self.create_subscription(LocalizationStatus, "mvloc/status", self._take_status, _DEEP)

    def _take_pose(self, message: PoseStamped, info: MessageInfo) -> None:
        self.poses.append(Heard(_stamp_ns(message), info["source_timestamp"], info["received_timestamp"]))

    def _take_status(self, message: LocalizationStatus) -> None:
        self.counters = {name: getattr(message, name) for name in COUNTERS}
        if message.pose_valid:
            self.steps[_stamp_ns(message)] = {name: getattr(message, name) for name in STEPS}


def _stamp_ns(message: Any) -> int:
    return int(message.header.stamp.sec) * 1_000_000_000 + int(message.header.stamp.nanosec)
