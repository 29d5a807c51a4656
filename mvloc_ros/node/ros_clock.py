# SPDX-License-Identifier: Apache-2.0
"""The node's clock: what time it is, whether that is simulated, and when it jumps."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.clock import ClockChange, JumpThreshold, TimeJump
from rclpy.duration import Duration
from rclpy.node import Node

from mvloc_ros.frontend.synchronizer import JUMP_NS

_SWITCHES = (ClockChange.ROS_TIME_ACTIVATED, ClockChange.ROS_TIME_DEACTIVATED)


class RosClock:
    """ROS time of one node, in nanoseconds."""

    def __init__(self, node: Node, on_jump: Callable[[int], None]) -> None:
        """Watch the clock.

        Args:
            node: whose clock it is.
            on_jump: called by the executor's thread with the nanoseconds by which ROS time jumped; negative for
                back, and for a change between system and simulated time. rclpy sees jumps of simulated time
                only, not of a system clock that is set.
        """
        self._node, self._on_jump = node, on_jump
        step = Duration(nanoseconds=JUMP_NS)
        back = Duration(nanoseconds=-JUMP_NS)
        threshold = JumpThreshold(min_forward=step, min_backward=back, on_clock_change=True)
        self._handle = node.get_clock().create_jump_callback(threshold, post_callback=self._take_jump)

    def close(self) -> None:
        """Watch no more."""
        self._handle.unregister()

    def now_ns(self) -> int:
        """ROS time; 0 while simulated time has not begun."""
        return int(self._node.get_clock().now().nanoseconds)

    @property
    def is_simulated(self) -> bool:
        """Whether time comes from /clock."""
        return bool(self._node.get_parameter("use_sim_time").value)

    @property
    def is_missing(self) -> bool:
        """Whether simulated time is awaited and does not come."""
        return self.is_simulated and self.now_ns() == 0

    def _take_jump(self, jump: TimeJump) -> None:
        delta_ns = int(jump.delta.nanoseconds)
        if jump.clock_change in _SWITCHES:
            self._on_jump(-abs(delta_ns) or -JUMP_NS)  # nothing that was stamped by the other clock holds
        elif self.now_ns() != delta_ns:  # else simulated time has just begun
            self._on_jump(delta_ns)
