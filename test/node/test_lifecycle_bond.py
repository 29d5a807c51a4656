# SPDX-License-Identifier: Apache-2.0
"""The bond from the lifecycle manager's side: heartbeats, the end that is said, and the end that is not."""

from __future__ import annotations

import signal
import time

import pytest
from bond.msg import Status
from lifecycle_msgs.msg import Transition

pytestmark = pytest.mark.dds


class Manager:
    """The other side of the bond with `mvloc`."""

    def __init__(self, peer, instance: str) -> None:
        self.node, self.instance = peer.node, instance
        self.heard: list[tuple[float, Status]] = []
        self.publisher = self.node.create_publisher(Status, "bond", 5)
        self.subscription = self.node.create_subscription(Status, "bond", self._take, 100)

    def _take(self, message: Status) -> None:
        if message.id == "mvloc" and message.instance_id != self.instance:
            self.heard.append((time.monotonic(), message))

    def say(self, active: bool) -> None:
        message = Status(id="mvloc", instance_id=self.instance, active=active)
        message.heartbeat_timeout, message.heartbeat_period = 4.0, 0.1
        self.publisher.publish(message)

    def says_and_hears(self, says: bool, hears: bool) -> bool:
        """Whether the node's last word is this, while this side says that."""
        self.say(says)
        return bool(self.heard) and self.heard[-1][1].active == hears

    def close(self) -> None:
        self.node.destroy_subscription(self.subscription)
        self.node.destroy_publisher(self.publisher)


@pytest.fixture
def manager(peer):
    manager = Manager(peer, "manager-1")
    yield manager
    manager.close()


def test_heartbeats_while_active_and_a_word_at_the_end(peer, manager, robot_node, wait_for):
    robot_node("publish_frame:=camera")
    wait_for(lambda: len(manager.heard) >= 30, 20, "thirty heartbeats")
    times = [at for at, _ in manager.heard]
    assert (times[29] - times[0]) / 29 < 0.5, "0.1 s, and some for a busy machine"
    first = manager.heard[0][1]
    assert first.active
    assert first.instance_id
    assert first.heartbeat_period == pytest.approx(0.1)
    assert first.heartbeat_timeout == pytest.approx(4.0)
    assert peer.transition(Transition.TRANSITION_DEACTIVATE)
    wait_for(lambda: not manager.heard[-1][1].active, 10, "the end of the bond")
    count = len(manager.heard)
    assert peer.transition(Transition.TRANSITION_ACTIVATE)
    wait_for(lambda: len(manager.heard) > count and manager.heard[-1][1].active, 10, "a new bond")
    assert manager.heard[-1][1].instance_id != first.instance_id


def test_a_bond_that_the_manager_ends_is_confirmed_and_a_new_manager_is_answered(peer, manager, robot_node, wait_for):
    process = robot_node("publish_frame:=camera")
    wait_for(lambda: manager.says_and_hears(True, True), 20, "a bond")
    wait_for(lambda: "a lifecycle manager keeps a bond" in process.text(), 10, "the words")
    wait_for(lambda: manager.says_and_hears(False, False), 10, "the confirmation")
    again = Manager(peer, "manager-2")
    try:
        wait_for(lambda: again.says_and_hears(True, True), 20, "a bond with the next manager")
    finally:
        again.close()


def test_a_killed_node_falls_silent(peer, manager, robot_node, wait_for):
    process = robot_node("publish_frame:=camera")
    wait_for(lambda: manager.says_and_hears(True, True), 20, "a bond")
    process.process.send_signal(signal.SIGKILL)
    process.process.wait()
    count = len(manager.heard)
    last = manager.heard[-1][1]
    deadline = time.monotonic() + 1.0
    wait_for(lambda: time.monotonic() > deadline, 5, "ten periods to pass")
    assert len(manager.heard) <= count + 1, "what was on its way"
    assert last.active, "nobody said that it would end"


def test_no_bond_where_it_is_not_wanted(peer, manager, robot_node, wait_for):
    robot_node("publish_frame:=camera", "bond_heartbeat_period:=0.0")
    wait_for(lambda: len(peer.statuses) >= 10, 20, "ten statuses, a second in all")
    assert not manager.heard
