# SPDX-License-Identifier: Apache-2.0
"""The transform that the node contributes to TF.

map -> odom (REP-105) holds until the next fix, so it is dated into the future and repeated by a timer: a
costmap that asks for "now" finds it however slow the camera is. map -> base_link or map -> camera is true
only at the image's stamp and is sent once a fix.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from tf2_ros import TransformBroadcaster

from mvloc_ros.node.messages import require_finite, transform_message

Array = NDArray[np.float64]


class TfPublisher:
    """Sends transforms on /tf. Called by the worker (fixes) and by the executor (repetition)."""

    def __init__(
        self, node: Node, now_ns: Callable[[], int], before_send: Callable[[str, str, int], object] = lambda *_: None
    ) -> None:
        """Create the publisher; nothing is sent before the first fix.

        Args:
            node: of the publisher.
            now_ns: the node's ROS time in nanoseconds.
            before_send: told parent, child and stamp of what is sent, since it comes back to the node.
        """
        self._before_send = before_send
        self._broadcaster = TransformBroadcaster(node)
        self._now_ns = now_ns
        self._lock = threading.Lock()
        self._held: tuple[str, str, Array] | None = None
        self._last_stamp_ns = 0
        self.tolerance_ns = 0

    def hold(self, parent: str, child: str, T_parent_child: Array) -> None:
        """Send a transform that holds from now on, and repeat it at each `repeat`.

        Raises MessageError where it is not finite; what was held before goes on.
        """
        require_finite(f"the transform {parent} -> {child}", T_parent_child)
        with self._lock:
            self._held = parent, child, T_parent_child
            self._send_held()

    def repeat(self) -> None:
        """Send the held transform again, if there is one."""
        with self._lock:
            self._send_held()

    def withdraw(self) -> None:
        """Hold nothing any more: what was held is no longer accepted."""
        with self._lock:
            self._held = None
            self._last_stamp_ns = 0

    def send(self, parent: str, child: str, T_parent_child: Array, stamp_ns: int) -> None:
        """Send a transform that is true at one stamp. Raises MessageError where it is not finite."""
        require_finite(f"the transform {parent} -> {child}", T_parent_child)  # it would stay in every listener's tree
        self._before_send(parent, child, stamp_ns)
        self._broadcaster.sendTransform(transform_message(T_parent_child, stamp_ns, parent, child))

    def _send_held(self) -> None:
        now_ns = self._now_ns()
        # Simulated time is zero until /clock comes and may stand still; tf2 complains of repeated stamps.
        if self._held is None or now_ns == 0:
            return
        stamp_ns = now_ns + self.tolerance_ns
        if stamp_ns == self._last_stamp_ns:
            return
        self._last_stamp_ns = stamp_ns
        parent, child, T = self._held
        self.send(parent, child, T, stamp_ns)
