# SPDX-License-Identifier: Apache-2.0
"""Why no pair of images arrives, in words."""

from __future__ import annotations

from rclpy.node import Node
from rclpy.qos import QoSCompatibility, qos_check_compatible
from rclpy.subscription import Subscription

from mvloc_ros.sensors.synchronizer import Synchronizer


def explain_silence(node: Node, color: Subscription, depth: Subscription, synchronizer: Synchronizer) -> str:
    """One sentence that names the topic at fault, or the gap between the stamps."""
    silent = [
        (name, subscription)
        for name, subscription, counts in (
            ("colour", color, synchronizer.color_counts),
            ("depth", depth, synchronizer.depth_counts),
        )
        if counts.received == 0
    ]
    if silent:
        return "; ".join(_explain_topic(node, name, subscription) for name, subscription in silent)
    miss = synchronizer.smallest_miss_ns
    if miss is not None:
        return (
            f"colour and depth both come, but their stamps are at least {miss * 1e-6:.1f} ms apart; "
            "set pair_tolerance above that, or synchronise the cameras"
        )
    return "images stopped coming, or one of the two topics did; check the camera driver"


def _explain_topic(node: Node, name: str, subscription: Subscription) -> str:
    topic = subscription.topic_name
    publishers = node.get_publishers_info_by_topic(topic)
    if not publishers:
        return f"nothing publishes {name} images on {topic}; start the camera or remap the topic"
    for publisher in publishers:
        compatibility, reason = qos_check_compatible(publisher.qos_profile, subscription.qos_profile)
        if compatibility == QoSCompatibility.ERROR:
            return (
                f"{publisher.node_name} publishes {name} images on {topic} with an incompatible QoS "
                f"({reason.strip()}); set image_reliability to best_effort"
            )
    return f"{len(publishers)} publisher(s) on {topic}, but no {name} image that can be used has arrived yet"
