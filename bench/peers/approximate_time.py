# SPDX-License-Identifier: Apache-2.0
"""Pairs messages the way of message_filters' ApproximateTimeSynchronizer in Python, which PyPI has not.

Each message waits in a queue of its topic; one that comes is paired with the nearest that waits in the other
queue, if that is within the slop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class ApproximateTime:
    """Two topics, one callback with a message of each."""

    def __init__(self, callback: Callable[[Any, Any], None], queue_size: int, slop_s: float) -> None:
        self._callback = callback
        self._queue_size, self._slop_ns = queue_size, round(1e9 * slop_s)
        self._queues: tuple[dict[int, Any], dict[int, Any]] = ({}, {})

    def add_first(self, message: Any) -> None:
        """A message of the first topic."""
        self._add(0, message)

    def add_second(self, message: Any) -> None:
        """A message of the second topic."""
        self._add(1, message)

    def _add(self, side: int, message: Any) -> None:
        mine, others = self._queues[side], self._queues[1 - side]
        stamp_ns = message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec
        mine[stamp_ns] = message
        while len(mine) > self._queue_size:
            del mine[min(mine)]
        nearest = min(others, key=lambda other: abs(other - stamp_ns), default=None)
        if nearest is None or abs(nearest - stamp_ns) > self._slop_ns:
            return
        other = others.pop(nearest)
        del mine[stamp_ns]
        self._callback(*((message, other) if side == 0 else (other, message)))
