# SPDX-License-Identifier: Apache-2.0
"""camera_info costs the executor nothing while there is nothing new, and is read at once where there may be."""

from __future__ import annotations

import time

import pytest
from sensor_msgs.msg import CameraInfo

pytestmark = pytest.mark.dds


def test_a_busy_topic_is_read_once_a_period(peer, wait_for):
    from mvloc_ros.node.throttled_group import ThrottledGroup

    group, widths, ticks = ThrottledGroup(3600.0), [], []
    subscription = peer.node.create_subscription(
        CameraInfo, "throttled", lambda m: widths.append(m.width), 1, callback_group=group
    )
    timer = peer.node.create_timer(0.01, lambda: ticks.append(time.monotonic()))
    publisher = peer.node.create_publisher(CameraInfo, "throttled", 10)
    wait_for(lambda: publisher.get_subscription_count() == 1, 10, "the subscription")
    publisher.publish(CameraInfo(width=1))
    wait_for(lambda: widths, 10, "the first message")
    for width in range(2, 30):
        publisher.publish(CameraInfo(width=width))
    already = len(ticks)
    wait_for(lambda: len(ticks) > already + 20, 10, "the executor, which goes on")
    assert widths == [1]
    group.open()
    wait_for(lambda: len(widths) == 2, 10, "the message that waits")
    assert widths == [1, 29]
    peer.node.destroy_timer(timer)
    peer.node.destroy_subscription(subscription)
    peer.node.destroy_publisher(publisher)
