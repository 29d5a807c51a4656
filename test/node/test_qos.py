# SPDX-License-Identifier: Apache-2.0
"""Cameras and listeners of other QoS than the node's, over real DDS.

A file of its own, since a late subscriber gets the kept pose of every node that runs, and others keep one for a file.
"""

from __future__ import annotations

import time

import numpy as np
import pytest
from geometry_msgs.msg import PoseStamped, PoseWithCovarianceStamped
from mvloc_ros.msg import LocalizationStatus
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

pytestmark = pytest.mark.dds
COLOR = np.full((48, 64, 3), 51, np.uint8)


def test_publishers_and_subscribers_with_other_qos(peer, make_image, robot_node, wait_for, note_fault):
    """Cameras of four QoS in turn into a node as it comes; and a subscriber that wants the last pose, long after it."""
    robot_node("publish_frame:=camera", "gate:=false")
    profiles = [
        QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT),
        QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL),
        QoSProfile(history=HistoryPolicy.KEEP_ALL, reliability=ReliabilityPolicy.RELIABLE),
        QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT, durability=DurabilityPolicy.TRANSIENT_LOCAL),
    ]
    sent = 0
    for qos in profiles:
        color, depth = (peer.node.create_publisher(Image, f"{name}/image", qos) for name in ("color", "depth"))
        before = len(peer.poses)

        def answered(color=color, depth=depth, before=before) -> bool:
            nonlocal sent
            stamp = time.time_ns()
            color.publish(make_image(COLOR, stamp, "camera_color_optical_frame", encoding="rgb8"))
            pixels = np.full((48, 64), 1500, np.uint16)
            depth.publish(make_image(pixels, stamp, "camera_depth_optical_frame", encoding="16UC1"))
            sent += 2
            return len(peer.poses) >= before + 5

        wait_for(answered, 20, f"poses of a camera with {qos}")
        for publisher in (color, depth):
            peer.node.destroy_publisher(publisher)
    status = wait_for(
        lambda: (s := peer.statuses[-1]) and s.state == LocalizationStatus.STARVED and s, 10, "the end of it"
    )
    assert status.pairs + status.single_modality == (
        status.published + status.rejected + status.dropped_busy + status.dropped_failed
    )
    note_fault("cameras of four QoS in turn, the first images before discovery ends", status, 0)

    # AMCL's pose is kept for whoever comes late, and so tools subscribe to it that way (Nav2's BasicNavigator).
    kept = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    late: dict[type, list] = {PoseStamped: [], PoseWithCovarianceStamped: [], LocalizationStatus: []}
    names = {PoseStamped: "pose", PoseWithCovarianceStamped: "pose_with_covariance", LocalizationStatus: "status"}
    subscriptions = [
        peer.node.create_subscription(kind, f"mvloc/{names[kind]}", received.append, kept)
        for kind, received in late.items()
    ]
    # The node keeps ten, of which a listener that keeps one sees a few; the last comes last.
    wait_for(
        lambda: (
            late[PoseStamped][-1:] == peer.poses[-1:]
            and late[PoseWithCovarianceStamped][-1:] == peer.covariances[-1:]
            and late[LocalizationStatus]
        ),
        10,
        "the last of what was published before they subscribed",
    )
    for subscription in subscriptions:
        peer.node.destroy_subscription(subscription)
