# SPDX-License-Identifier: Apache-2.0
"""Topics that say the same with every frame are read once a second."""

from __future__ import annotations

import time
from typing import Any

from rclpy.callback_groups import CallbackGroup


class ThrottledGroup(CallbackGroup):
    """Lets its one callback run at most once a period; what comes meanwhile waits in the middleware's queue.

    While it is shut the executor does not even wait for it. Each callback costs the executor a millisecond of a core
    that the network could use, and a camera sends camera_info with every image.
    """

    def __init__(self, period_s: float) -> None:
        """Open at first; then shut for `period_s` seconds after each callback."""
        super().__init__()
        self._period_s = period_s
        self._opens = float("-inf")

    def open(self) -> None:
        """Let the callback run once now."""
        self._opens = float("-inf")

    def can_execute(self, entity: Any) -> bool:
        """Whether the period is over."""
        return time.monotonic() >= self._opens

    def beginning_execution(self, entity: Any) -> bool:
        """Begin the next period, if this one is over."""
        may = self.can_execute(entity)
        if may:
            self._opens = time.monotonic() + self._period_s
        return may

    def ending_execution(self, entity: Any) -> None:
        """Nothing ends with it."""
