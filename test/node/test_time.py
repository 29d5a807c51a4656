# SPDX-License-Identifier: Apache-2.0
"""Recordings that loop, simulated time that jumps, stamps that repeat: through DDS."""

from __future__ import annotations

import time

import numpy as np
import pytest
from mvloc_ros.msg import LocalizationStatus
from rosgraph_msgs.msg import Clock

from mvloc_ros.frontend.message_checks import to_nanoseconds
from mvloc_ros.node.messages import to_time

pytestmark = pytest.mark.dds
PERIOD = 100_000_000
SECOND = 1_000_000_000


class Camera:
    """Pairs of images, each sent once the node has answered the one before."""

    def __init__(self, peer, wait_for, clock=None) -> None:
        self.peer, self.wait_for, self.clock = peer, wait_for, clock

    def frame(self, stamp_ns: int, depth_m: float = 1.5) -> LocalizationStatus:
        seen = len(self.peer.statuses)
        if self.clock is not None:
            self.clock.publish(Clock(clock=to_time(stamp_ns + PERIOD // 2)))
        self.peer.send_color(stamp_ns)
        self.peer.send_depth(stamp_ns, np.full((48, 64), round(1000 * depth_m), np.uint16))
        return self.wait_for(
            lambda: next((s for s in self.peer.statuses[seen:] if to_nanoseconds(s.header.stamp) == stamp_ns), None),
            10,
            "the status of the frame",
        )


@pytest.fixture
def camera(peer, wait_for) -> Camera:
    return Camera(peer, wait_for)


def test_a_recording_that_loops_starts_the_gate_afresh_and_is_counted_once(peer, camera, robot_node, wait_for):
    process = robot_node("publish_frame:=camera", "gate_max_speed:=0.1")
    start = time.time_ns() - 1000 * SECOND
    for n in range(20):
        assert camera.frame(start + n * PERIOD).state == LocalizationStatus.TRACKING
    # Elsewhere at the start of the recording: within one recording this would be a jump.
    assert camera.frame(start + 20 * PERIOD, depth_m=9.0).rejected == 1
    status = camera.frame(start, depth_m=9.0)
    assert status.state == LocalizationStatus.TRACKING, status.reason
    assert (status.clock_jumps, status.rejected, status.dropped_unpaired) == (1, 1, 0)
    assert "jumped back by 2.0 s" in process.text()
    for n in range(1, 5):
        assert camera.frame(start + n * PERIOD, depth_m=9.0).clock_jumps == 1
    # A leap ahead is counted too, and forgets nothing: the gate still knows what contradicts it.
    leap = camera.frame(start + 900 * PERIOD, depth_m=0.5)
    assert leap.clock_jumps == 2
    assert leap.state == LocalizationStatus.LOST


def test_equal_stamps_and_stamps_of_the_future_are_counted_and_explained(peer, camera, robot_node, wait_for):
    robot_node("publish_frame:=camera", "future_tolerance:=0.5")
    stamp = time.time_ns()
    camera.frame(stamp)
    peer.send_color(stamp)
    peer.send_depth(stamp)
    repeated = wait_for(
        lambda: next((s for s in peer.statuses if s.dropped_unpaired == 2), None), 10, "the repeated stamps to count"
    )
    assert (repeated.pairs, repeated.color_received) == (1, 2)
    peer.send_color(time.time_ns() + 60 * SECOND)
    status = wait_for(lambda: next((s for s in peer.statuses if s.dropped_invalid), None), 10, "the refused image")
    explained = wait_for(lambda: next((s for s in peer.statuses if "ahead" in s.reason), None), 10, "the reason")
    assert "of this node's clock; synchronise the clocks" in explained.reason
    assert status.clock_jumps == 0
    assert camera.frame(time.time_ns()).state == LocalizationStatus.TRACKING
    assert len(peer.poses) == 2


def test_simulated_time(peer, start_node, tiny_bundle, wait_for):
    options = ("use_sim_time:=true", "publish_frame:=camera", "gate_max_speed:=0.1", "status_period:=0.1")
    process = start_node("-p", f"model:={tiny_bundle}", *(word for option in options for word in ("-p", option)))
    wait_for(lambda: any("nothing comes on /clock" in s.reason for s in peer.statuses), 30, "the missing clock named")
    clock = peer.node.create_publisher(Clock, "/clock", 10)
    wait_for(lambda: clock.get_subscription_count() > 0, 10, "the node to listen to the clock")
    camera = Camera(peer, wait_for, clock)
    start = 100 * SECOND

    def node_has_the_time() -> bool:
        """Discovery is one-sided for a while, and the first messages may find no way: send until the node says so."""
        clock.publish(Clock(clock=to_time(start - PERIOD)))  # no status of then has the stamp of a frame
        return peer.node_sees_it()

    wait_for(node_has_the_time, 10, "the node to find the clock and the peer")
    for n in range(5):
        status = camera.frame(start + n * PERIOD)
        assert status.state == LocalizationStatus.TRACKING, status.reason
    assert status.clock_jumps == 0
    assert 0 <= status.stamp_to_publication_ms < 1000  # in simulated time
    # The simulation is reset: /clock goes back before any image does.
    clock.publish(Clock(clock=to_time(10 * SECOND)))
    wait_for(lambda: "the clock jumped back by" in process.text(), 10, "the jump to be noticed")
    status = camera.frame(10 * SECOND, depth_m=9.0)
    assert status.state == LocalizationStatus.TRACKING, status.reason
    assert (status.clock_jumps, status.rejected) == (1, 0)
    # An image of the old time still comes: it is of the future now.
    peer.send_color(start + 6 * PERIOD)
    wait_for(lambda: any("s ahead of this node's clock" in s.reason for s in peer.statuses), 10, "it to be refused")
    peer.node.destroy_publisher(clock)
