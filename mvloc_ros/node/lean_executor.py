# SPDX-License-Identifier: Apache-2.0
"""An executor that has little to do for an image."""

from __future__ import annotations

import time
from typing import Any

from rclpy.executors import SingleThreadedExecutor, TimeoutException
from rclpy.service import Service
from rclpy.subscription import Subscription
from rclpy.timer import Timer
from rclpy.waitable import Waitable

LOOK_S = 0.1
"""Services and events are looked at this often while messages come; else always."""


class LeanExecutor(SingleThreadedExecutor):
    """Waits, after a message, for subscriptions and timers, and only now and then for services and events as well.

    rclpy makes the set of what it waits for anew for each callback. This node has some sixteen services and two dozen
    QoS events, of which none matters for a tenth of a second; without them a wait costs 0.4 times as much of a core
    (bench.executor).
    """

    def __init__(self) -> None:
        """Look at everything first."""
        super().__init__()
        self.looks_at_all = True
        self._looked_s = float("-inf")
        self._messages_come = False

    def spin_once(self, timeout_sec: float | None = None) -> None:
        """Wait for one callback and call it."""
        now_s = time.monotonic()
        self.looks_at_all = not self._messages_come or now_s - self._looked_s >= LOOK_S
        if self.looks_at_all:
            self._looked_s = now_s
        super().spin_once(timeout_sec)

    def wait_for_ready_callbacks(self, *args: Any, **kwargs: Any) -> Any:
        """What to call next, as rclpy's executors ask for it."""
        try:
            ready = super().wait_for_ready_callbacks(*args, **kwargs)
        except TimeoutException:
            self._messages_come = False
            raise
        if not isinstance(ready[1], Timer):
            self._messages_come = isinstance(ready[1], Subscription)
        return ready

    def can_execute(self, entity: Any) -> bool:
        """Whether to wait for a subscription, timer, service or event now."""
        if not self.looks_at_all and isinstance(entity, (Service, Waitable)):
            return False
        return bool(super().can_execute(entity))
