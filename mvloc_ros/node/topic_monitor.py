# SPDX-License-Identifier: Apache-2.0
"""What is known of one image topic: how much comes, what is lost, how it looks, and who would send."""

from __future__ import annotations

from typing import Any

from rclpy.node import Node
from rclpy.subscription import Subscription

from mvloc_ros.foreign_text import shown
from mvloc_ros.frontend.gaps import GapCounter
from mvloc_ros.frontend.message_checks import to_nanoseconds
from mvloc_ros.node.qos import incompatibility

_REMEDY = {"colour": "color_transport", "depth": "depth_source"}


class TopicMonitor:
    """Fed with each message in the executor's thread; read there and, for words and counts, in the worker's.

    Attributes:
        name: `colour`, `depth` or a further sensor's.
        received: messages that came, usable or not.
        last_stamp_ns: of the last message; 0 before the first.
        last_arrival: when the last came (monotonic s); None before the first.
        gaps: what was lost on the way.
        look: encoding and size of the last image; empty before the first.
        policies: the QoS policies that kept a publisher away, as the middleware's events named them.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.subscription: Subscription | None = None
        self.type_name = ""
        self.received = 0
        self.last_stamp_ns = 0
        self.last_arrival: float | None = None
        self.gaps = GapCounter()
        self.size: tuple[int, int] | None = None
        self.look = ""
        self.changed = ""
        self.policies: dict[str, int] = {}

    @property
    def remedy(self) -> str:
        """The parameter that says what is subscribed to."""
        return _REMEDY.get(self.name, "sensor_topics")

    @property
    def topic(self) -> str:
        """The topic's full name."""
        assert self.subscription is not None
        return str(self.subscription.topic_name)

    def note(self, message: Any, now: float) -> None:
        """A message came at `now` (monotonic s)."""
        self.received += 1
        self.last_arrival = now
        stamp_ns = self.last_stamp_ns = to_nanoseconds(message.header.stamp)
        if stamp_ns:
            self.gaps.add(stamp_ns)
        what = shown(getattr(message, "encoding", "") or getattr(message, "format", "") or "")
        width, height = getattr(message, "width", 0), getattr(message, "height", 0)
        if what and width:  # the size of a compressed image is known to the decoder alone
            self.size = (width, height)
        # An unorganised cloud has another number of points each time.
        look = f"{what or 'cloud'} {width}x{height}" if width and what else str(what or "cloud")
        if look != self.look:
            self.changed = f"the {self.name} images changed from {self.look} to {look}" if self.look else ""
            self.look = look

    def hindrance(self, node: Node) -> str:
        """What in the graph keeps images from coming (no publisher, another type, QoS), in words; empty if nothing."""
        assert self.subscription is not None
        publishers = node.get_publishers_info_by_topic(self.topic)
        if not publishers:
            return (
                f"nothing publishes {self.name} images on {self.topic}; start the camera, remap the topic, or set "
                f"{self.remedy}"
            )
        count = f"{len(publishers)} publisher(s) on {self.topic}"
        for publisher in publishers:
            if publisher.topic_type != self.type_name:
                return (
                    f"{count}, but {shown(publisher.node_name)} publishes {shown(publisher.topic_type)} where "
                    f"{self.type_name} is subscribed to; set {self.remedy} or remap the topic"
                )
            reason = incompatibility(publisher.qos_profile, self.subscription.qos_profile)
            if reason:
                policies = f", policy {', '.join(self.policies)}" if self.policies else ""
                return (
                    f"{count}, but {shown(publisher.node_name)} publishes {self.name} images with an incompatible QoS "
                    f"({reason}{policies}); set image_reliability to best_effort and image_durability to volatile"
                )
        return ""

    def silence(self, node: Node, now: float) -> str:
        """That nothing comes although nothing in the graph hinders it, in words."""
        count = f"{node.count_publishers(self.topic)} publisher(s) on {self.topic}"
        if self.last_arrival is None:
            return f"{count}, but no {self.name} image has arrived yet; check that the driver runs"
        return f"{count}, but no {self.name} image for {now - self.last_arrival:.1f} s; check the driver and the link"
