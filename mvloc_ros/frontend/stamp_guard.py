# SPDX-License-Identifier: Apache-2.0
"""What is wrong with the time: stamps of zero, stamps ahead of the clock, and jumps of either.

A recording that loops shows as stamps that go back; a simulation that is reset shows as ROS time that goes
back; a clock that is set (NTP, a person) shows as ROS time that goes another way than the machine's steady
clock. All are one event to the node, counted once, and after each jump BACK everything that was remembered
with the old time is forgotten.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from mvloc_ros.frontend.decode import DecodeError
from mvloc_ros.frontend.synchronizer import JUMP_NS

# One event may show in the stamps of both topics and in the clock; within this wall time, jumps the same way are one.
_SAME_EVENT_S = 1.0


class StampGuard:
    """Watches the stamps of the images and the clock. Called by the executor's thread, `is_from_before` by any.

    Attributes:
        jumps: of stamps or clock, either way.
    """

    def __init__(
        self,
        now_ns: Callable[[], int],
        tolerance_s: float,
        on_jump_back: Callable[[str], None],
        steady_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """Start with nothing seen.

        Args:
            now_ns: the node's ROS time in nanoseconds; 0 while simulated time has not started.
            tolerance_s: how far a stamp may be ahead of it.
            on_jump_back: called with a sentence when stamps or clock went back.
            steady_ns: a clock that never jumps, in nanoseconds.
        """
        self._now_ns = now_ns
        self._tolerance_s = tolerance_s
        self._on_jump_back = on_jump_back
        self._steady_ns = steady_ns
        # Per stream: newest stamp and steady time (s) of its arrival; and the newest stamp of all, since a jump back.
        self._newest: dict[str, tuple[int, float]] = {}
        self._newest_of_all_ns: int | None = None
        self._clock_ahead_ns: int | None = None
        self._last_jump = {"back": float("-inf"), "ahead": float("-inf")}
        self.jumps = 0

    def check(self, stream: str, stamp_ns: int) -> None:
        """Take note of an image's stamp; `stream` names whose.

        Raises:
            DecodeError: the stamp is zero or negative, or further ahead of the clock than allowed.
        """
        if stamp_ns == 0:
            raise DecodeError(
                f"A {stream} image has the stamp 0, so its pose would have no time; let the driver stamp its images."
            )
        if stamp_ns < 0:
            raise DecodeError(
                f"A {stream} image has a stamp before 1970 ({1e-9 * stamp_ns:.1f} s), which ROS time cannot hold; "
                "let the driver stamp its images."
            )
        self._require_not_ahead(stream, stamp_ns)
        now = 1e-9 * self._steady_ns()
        before_ns, before = self._newest.get(stream, (stamp_ns, now))
        step_ns = stamp_ns - before_ns
        if step_ns < -JUMP_NS:
            self._jump_back(f"the stamps of the {stream} images jumped back by {-1e-9 * step_ns:.1f} s", stamp_ns)
        elif step_ns < 0:
            return  # one late image does not set the time back
        elif step_ns - 1e9 * (now - before) > JUMP_NS:
            self._count("ahead")
        self._newest[stream] = stamp_ns, now
        self._newest_of_all_ns = max(stamp_ns, self._newest_of_all_ns or 0)

    def clock_jumped(self, delta_ns: int) -> None:
        """ROS time jumped by itself, as simulated time does."""
        if delta_ns < 0:
            self._jump_back(f"the clock jumped back by {-1e-9 * delta_ns:.1f} s", None)
        else:
            self._count("ahead")

    def compare_clocks(self) -> None:
        """Notice that the system's clock was set: it and the steady clock went different ways since the last call."""
        ahead_ns = self._now_ns() - self._steady_ns()
        before_ns, self._clock_ahead_ns = self._clock_ahead_ns, ahead_ns
        if before_ns is not None and abs(ahead_ns - before_ns) > JUMP_NS:
            self.clock_jumped(ahead_ns - before_ns)

    def is_from_before(self, stamp_ns: int) -> bool:
        """Whether a frame that is still on its way through the worker belongs to the time before a jump back."""
        newest_ns, now_ns = self._newest_of_all_ns, self._now_ns()
        if newest_ns is not None and stamp_ns > newest_ns + JUMP_NS:
            return True
        return now_ns != 0 and stamp_ns > now_ns + 1e9 * self._tolerance_s

    def _require_not_ahead(self, stream: str, stamp_ns: int) -> None:
        now_ns = self._now_ns()
        ahead_s = 1e-9 * (stamp_ns - now_ns)
        if now_ns and ahead_s > self._tolerance_s:
            raise DecodeError(
                f"The stamp of a {stream} image is {ahead_s:.1f} s ahead of this node's clock; synchronise the clocks "
                "of camera and node, or set use_sim_time for a recording, or raise future_tolerance."
            )

    def _jump_back(self, what: str, newest_ns: int | None) -> None:
        self._count("back")
        self._newest.clear()
        # Before the callback: from here on the worker must know frames of the old time.
        self._newest_of_all_ns = newest_ns
        self._on_jump_back(what)

    def _count(self, way: str) -> None:
        now = 1e-9 * self._steady_ns()
        if now - self._last_jump[way] > _SAME_EVENT_S:
            self.jumps += 1
        self._last_jump[way] = now
