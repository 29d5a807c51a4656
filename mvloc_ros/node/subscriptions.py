# SPDX-License-Identifier: Apache-2.0
"""The node's image and camera_info subscriptions: names, types, QoS, and the middleware's own words on both.

Names follow image_transport: compressed images come on the image topic's name with a suffix, and camera_info beside
the image, so that remapping `color/image` is enough.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2

from mvloc_ros.frontend.input_log import InputLog
from mvloc_ros.frontend.transport_names import is_compressed
from mvloc_ros.node.qos import adapts, image_qos, policy_name
from mvloc_ros.node.topic_monitor import TopicMonitor
from mvloc_ros.parameters.inputs import InputParameters

try:
    from rclpy.event_handler import SubscriptionEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import SubscriptionEventCallbacks

_TYPES = {
    "color": {"raw": Image, "compressed": CompressedImage},
    "depth": {"image": Image, "compressed": CompressedImage, "cloud": PointCloud2},
}
Topic = tuple[str, type]
"""Name and message type of an image topic."""
_SUFFIX = {"compressed": {"color": "/compressed", "depth": "/compressedDepth"}}


class ImageSubscription:
    """One image topic with its monitor; made again where its QoS follows the publishers."""

    def __init__(
        self, node: Node, values: InputParameters, topic: Topic, monitor: TopicMonitor, take: Callable[[Any], None]
    ) -> None:
        """Subscribe.

        Args:
            node: whose subscription it is.
            values: the parameters.
            topic: see `pair_topic` and `sensor_topic`.
            monitor: told of incompatible publishers.
            take: gets each message.

        Raises:
            QosError: this distribution lacks the QoS.
        """
        self._node, self._monitor, self._take = node, monitor, take
        self._qos, self._adapts = image_qos(values), adapts(values)
        self._name, self._type = topic
        package, module, *_ = self._type.__module__.split(".")
        monitor.type_name = f"{package}/{module}/{self._type.__name__}"
        self._is_outdated = False
        self._subscribe()

    def close(self) -> None:
        """Unsubscribe."""
        self._node.destroy_subscription(self._subscription)

    def renew(self) -> None:
        """Subscribe again if publishers came that the QoS chosen at the start does not suit."""
        if self._is_outdated:
            self._is_outdated = False
            self.close()
            self._subscribe()

    def _subscribe(self) -> None:
        self._subscription: Subscription = self._node.create_subscription(
            self._type,
            self._name,
            self._take,
            self._qos,
            event_callbacks=SubscriptionEventCallbacks(
                incompatible_qos=self._on_incompatible, use_default_callbacks=False
            ),
        )
        self._monitor.subscription = self._subscription

    def _on_incompatible(self, event: Any) -> None:
        name = policy_name(event.last_policy_kind)
        self._monitor.policies[name] = self._monitor.policies.get(name, 0) + event.total_count_change
        self._is_outdated = self._adapts


def pair_topic(node: Node, values: InputParameters, side: str) -> Topic:
    """The topic of `color` or `depth`: relative to the node, as remapped, with the transport's suffix."""
    chosen = values.color_transport if side == "color" else values.depth_source
    if chosen == "cloud":
        return f"{side}/points", PointCloud2
    suffix = _SUFFIX.get(chosen, {}).get(side, "")
    name = node.resolve_topic_name(f"{side}/image") + suffix if suffix else f"{side}/image"
    return name, _TYPES[side][chosen]


def sensor_topic(name: str) -> Topic:
    """A further sensor's topic as `sensor_topics` names it: compressed by its suffix."""
    return name, CompressedImage if is_compressed(name) else Image


def pair_info(node: Node, side: str) -> str:
    """The camera_info topic of `color` or `depth`: its own if that is remapped, else the one beside the images."""
    own = f"{side}/camera_info"
    beside = node.resolve_topic_name(f"{side}/image").rsplit("/", 1)[0] + "/camera_info"
    is_remapped = node.resolve_topic_name(own) != node.resolve_topic_name(own, only_expand=True)
    return own if is_remapped else beside


def info_subscription(
    node: Node,
    values: InputParameters,
    name: str,
    take: Callable[[CameraInfo], None],
    group: CallbackGroup,
    log: InputLog,
) -> Subscription:
    """Subscribe to the camera_info topic `name`."""
    events = logged_events(log, node.resolve_topic_name(name))
    return node.create_subscription(
        CameraInfo, name, take, image_qos(values), callback_group=group, event_callbacks=events
    )


def logged_events(log: InputLog, topic: str) -> SubscriptionEventCallbacks:
    """Publishers whose QoS does not suit are told through the log of input: rclpy's own way is a line for each."""

    def on_incompatible(event: Any) -> None:
        policy = policy_name(event.last_policy_kind)
        text = f"a publisher of {topic} is not heard, since its QoS does not suit (policy {policy}); mend its QoS"
        log.warn(f"QoS of {topic}", text)

    return SubscriptionEventCallbacks(incompatible_qos=on_incompatible, use_default_callbacks=False)
