# SPDX-License-Identifier: Apache-2.0
"""The bond with Nav2's lifecycle manager: heartbeats by which each side notices that the other is gone.

Both sides publish bond/Status with the bond's id, which is the node's name, each with an instance id of its own. A side
that says it is not active breaks the bond, and the other confirms that by saying the same. Without bond's messages
nobody can ask for a bond; then there is none.
"""

from __future__ import annotations

import time
import uuid
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.timer import Timer

from mvloc_ros.frontend.input_log import InputLog

TIMEOUT_S = 4.0
"""What is stated as the time after which this side counts as gone: the manager's own default."""


def bond_messages() -> Any | None:
    """The type bond/msg/Status; None where it is not installed."""
    try:
        from bond.msg import Status
    except ImportError:
        return None
    return Status


class LifecycleBond:
    """From configure to cleanup; used by the executor's thread, whose standstill the manager notices too."""

    def __init__(self, node: Node, period_s: float, log: InputLog) -> None:
        """Prepare; `start` sends the first heartbeat.

        Args:
            node: whose name is the bond's.
            period_s: between two heartbeats.
            log: told that the manager is there, and that it is gone.
        """
        kind = bond_messages()
        assert kind is not None, "a bond is made where its messages are installed"
        self._node, self._log, self._kind, self._period_s = node, log, kind, period_s
        self._instance = ""
        self._other = ""  # instance of the manager's side; empty while there is none
        self._broken_by = ""  # instance that broke the bond
        self._heard_s = 0.0
        self._timer: Timer | None = None
        self._publisher = node.create_publisher(kind, "bond", 5)
        self._subscription = node.create_subscription(kind, "bond", self._take, 100)

    def start(self) -> None:
        """The node is active: send heartbeats from now on."""
        self._instance, self._other, self._broken_by = str(uuid.uuid4()), "", ""
        # Of the steady clock: a manager waits by its own, whatever simulated time does.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = self._node.create_timer(self._period_s, self._beat, clock=steady)

    def stop(self) -> None:
        """The node is inactive: break the bond, so that the manager does not take this for a death."""
        if self._timer is not None:
            self._node.destroy_timer(self._timer)
            self._timer = None
        self._send(active=False)

    def close(self) -> None:
        """Remove publisher and subscription."""
        self._node.destroy_subscription(self._subscription)
        self._node.destroy_publisher(self._publisher)

    def _beat(self) -> None:
        if self._broken_by:
            return
        self._send(active=True)
        silent_s = time.monotonic() - self._heard_s
        if self._other and silent_s > TIMEOUT_S:
            self._log.lasts("bond", f"the lifecycle manager has sent no heartbeat for {silent_s:.0f} s; is it running?")

    def _take(self, message: Any) -> None:
        instance = message.instance_id
        if message.id != self._node.get_name() or instance == self._instance or self._timer is None:
            return
        self._heard_s = time.monotonic()
        self._log.over("bond", "the lifecycle manager sends heartbeats again")
        if message.active:
            if instance not in (self._other, self._broken_by):
                self._log.tell("bond formed", "a lifecycle manager keeps a bond with this node")
                self._other, self._broken_by = instance, ""
        elif instance == self._other:
            self._other, self._broken_by = "", instance
            self._log.tell("bond broken", "the lifecycle manager has ended its bond with this node")
            self._send(active=False)
        elif instance == self._broken_by:
            self._send(active=False)  # it has not heard the confirmation

    def _send(self, *, active: bool) -> None:
        message = self._kind(id=self._node.get_name(), instance_id=self._instance, active=active)
        message.header.stamp = self._node.get_clock().now().to_msg()
        message.heartbeat_timeout, message.heartbeat_period = TIMEOUT_S, self._period_s
        self._publisher.publish(message)
