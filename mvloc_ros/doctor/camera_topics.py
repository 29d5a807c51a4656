# SPDX-License-Identifier: Apache-2.0
"""The topics of a running camera: types, rates, ages, QoS, and how to remap the node to them."""

from __future__ import annotations

import struct
import time
from dataclasses import dataclass, field
from functools import partial

from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy

from mvloc_ros.doctor.findings import Finding, note, ok, warning
from mvloc_ros.replay.ros import message_class, ros_node

IMAGES = "sensor_msgs/msg/Image"
TYPES = (
    IMAGES,
    "sensor_msgs/msg/CompressedImage",
    "sensor_msgs/msg/PointCloud2",
    "sensor_msgs/msg/CameraInfo",
    "nav_msgs/msg/Odometry",
)
# All of these begin with a header: after the four bytes of encapsulation come seconds and nanoseconds (CDR).
_STAMP = struct.Struct("<iI")
_OLD_S = 0.5


@dataclass
class Watched:
    """What was seen of one topic; ages are by this machine's clock."""

    topic: str
    kind: str
    publishers: str = ""
    count: int = 0
    size: int = 0
    ages: list[float] = field(default_factory=list)

    def take(self, message: bytes) -> None:
        """Count a message as it came over the wire."""
        self.count += 1
        self.size += len(message)
        seconds, nanoseconds = _STAMP.unpack_from(message, 4)
        self.ages.append(time.time() - seconds - 1e-9 * nanoseconds)


def examine_topics(seconds: float) -> list[Finding]:
    """Listen to every topic that the node could use."""
    with ros_node("mvloc_doctor") as node:
        executor = SingleThreadedExecutor(context=node.context)
        executor.add_node(node)
        watched: dict[str, Watched] = {}
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            _subscribe_to_new(node, watched)  # discovery takes a moment
            executor.spin_once(timeout_sec=0.05)
        for item in watched.values():
            item.publishers = _describe_publishers(node, item.topic)
        executor.shutdown()
    return _judge(list(watched.values()), seconds)


def _subscribe_to_new(node: Node, watched: dict[str, Watched]) -> None:
    for topic, kinds in node.get_topic_names_and_types():
        kind = next((kind for kind in kinds if kind in TYPES), None)
        if kind is None or topic in watched or not node.count_publishers(topic):
            continue
        watched[topic] = Watched(topic, kind)
        # Best effort reaches every publisher.
        quality = QoSProfile(depth=50, reliability=ReliabilityPolicy.BEST_EFFORT)
        node.create_subscription(message_class(kind), topic, partial(Watched.take, watched[topic]), quality, raw=True)


def _describe_publishers(node: Node, topic: str) -> str:
    found = node.get_publishers_info_by_topic(topic)
    names = (f"{p.node_name} ({p.qos_profile.reliability.name.lower()})" for p in found)
    return ", ".join(sorted(set(names))) or "no publisher any more"


def _judge(watched: list[Watched], seconds: float) -> list[Finding]:
    if not watched:
        return [
            note("camera", f"no image, cloud, camera_info or odometry topic within {seconds:g} s",
                 "start the driver on the same ROS_DOMAIN_ID, or skip the topics with --no-topics")
        ]  # fmt: skip
    findings = [_judge_one(item, seconds) for item in sorted(watched, key=lambda item: item.topic)]
    images = [item.topic for item in watched if item.kind == IMAGES and item.count]
    color = next((t for t in images if "color" in t or "rgb" in t), None)
    depth = next((t for t in images if "depth" in t), None)
    if color and depth:
        findings.append(note("remapping", f"--ros-args -r color/image:={color} -r depth/image:={depth}"))
    return findings


def _judge_one(item: Watched, seconds: float) -> Finding:
    kind = item.kind.rsplit("/", maxsplit=1)[-1]
    if not item.count:
        return warning(item.topic, f"{kind} of {item.publishers}: no message came in {seconds:g} s",
                       "check the driver; large images need what `transport` says, on both sides")  # fmt: skip
    rate, size = item.count / seconds, item.size / item.count / 1e6
    age = sorted(item.ages)[len(item.ages) // 2]
    fact = f"{kind} of {item.publishers}, {rate:.1f} Hz, {size:.2f} MB each, {1e3 * age:.0f} ms old on arrival"
    if not -_OLD_S < age < _OLD_S:
        return warning(item.topic, fact, "its stamps are not of this machine's clock: synchronise the clocks, or set "
                       "use_sim_time where a recording is played with --clock")  # fmt: skip
    return ok(item.topic, fact)
