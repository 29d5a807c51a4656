# SPDX-License-Identifier: Apache-2.0
"""Sends places that never change on /tf_static, where late joiners find them."""

from __future__ import annotations

from collections.abc import Iterable

from geometry_msgs.msg import TransformStamped
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile
from tf2_msgs.msg import TFMessage

from tf2_ros.transform_broadcaster import as_list


class StaticTransformBroadcaster:
    """Publishes on /tf_static.

    :param qos: a profile or a depth; transient local of depth 1 unless told.
    """

    def __init__(self, node: Node, qos: QoSProfile | int | None = None) -> None:
        if qos is None:
            qos = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL, history=HistoryPolicy.KEEP_LAST)
        self.pub_tf = node.create_publisher(TFMessage, "/tf_static", qos)
        self._sent: dict[str, TransformStamped] = {}

    def sendTransform(self, transform: TransformStamped | Iterable[TransformStamped]) -> None:
        """Send one transform or several, together with all that were sent before.

        Late joiners get the last message only, so each one carries everything. A child frame keeps the place that
        was sent first, as since ROS 2 Jazzy.
        """
        for one in as_list(transform):
            self._sent.setdefault(one.child_frame_id, one)
        self.pub_tf.publish(TFMessage(transforms=list(self._sent.values())))
