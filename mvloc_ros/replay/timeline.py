# SPDX-License-Identifier: Apache-2.0
"""The mapping between a recording's time and the time in which it is played."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Timeline:
    """Fixed points of one pass through a recording; all times in integer nanoseconds.

    The schedule is absolute: each message is due at a time computed from the start, so that no delay
    adds up. `monotonic_start_ns` and `wall_start_ns` are the same instant on the clock that only runs
    forward, by which is waited, and on the system clock, which ROS stamps show.
    """

    bag_start_ns: int
    monotonic_start_ns: int
    wall_start_ns: int
    rate: float

    @staticmethod
    def starting_in(lead_ns: int, bag_start_ns: int, rate: float) -> Timeline:
        """A pass whose first message is due after `lead_ns`."""
        return Timeline(bag_start_ns, time.monotonic_ns() + lead_ns, time.time_ns() + lead_ns, rate)

    def due_ns(self, stamp_ns: int) -> int:
        """Monotonic time at which a message of this log time is to be sent."""
        return self.monotonic_start_ns + self._elapsed(stamp_ns)

    def wall_ns(self, stamp_ns: int) -> int:
        """System time that corresponds to a time of the recording; at rate 1 one constant offset."""
        return self.wall_start_ns + self._elapsed(stamp_ns)

    def bag_ns(self, monotonic_ns: int) -> int:
        """Time of the recording at a monotonic time; what /clock shows."""
        return self.bag_start_ns + round((monotonic_ns - self.monotonic_start_ns) * self.rate)

    def _elapsed(self, stamp_ns: int) -> int:
        elapsed = stamp_ns - self.bag_start_ns
        # Exact integers at rate 1: the division would round stamps of long recordings.
        return elapsed if self.rate == 1.0 else round(elapsed / self.rate)
