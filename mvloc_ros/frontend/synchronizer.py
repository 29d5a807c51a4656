# SPDX-License-Identifier: Apache-2.0
"""Pairs two streams of stamped items: the best pair within a tolerance, each item once, never out of order.

A pair is given out as soon as no better partner can come for either of its two items. Stamps of one
stream increase, so only the EARLIER item of a pair's partner side can still be beaten: with colour at a
and depth at b > a, a later colour beats a if its stamp lies in (a, 2b - a). Whether one is due there is
known from the stream's own period. Without that look-ahead a single lost image would put two streams
that are offset by a fraction of their period out of phase for good.

An image whose stamp is ahead of its time, by less than a jump, waits for its partner beside those that follow.

Pure Python, no locks, no timers: one thread calls it, and the callback runs after the state is settled,
so that one that raises loses its pair and nothing else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

# A step back by more than this is a jump of the clock (a bag that loops, a simulation reset);
# less is one late item.
JUMP_NS = 1_000_000_000
# A stream's next item is not expected sooner than this share of its shortest recent gap. The shortest, because
# lost items make any average too long.
_EARLIEST = 0.9
_PERIODS_KEPT = 15


@dataclass
class StreamCounts:
    """What became of one stream's items; `received` is the sum of the rest and of those still waiting."""

    received: int = 0
    paired: int = 0
    alone: int = 0  # taken without a partner
    unpaired: int = 0  # overtaken by a pair, pushed out of the queue, replaced, or forgotten at a jump
    late: int = 0  # not newer than what was given out last, or a repetition


class _Stream:
    """What waits, in the order of the stamps.

    An item may come whose stamp is ahead of its successors' by up to `JUMP_NS`. It waits behind them, and the stream
    goes on with the stamp of the item that came last.
    """

    def __init__(self, queue_size: int) -> None:
        self.waiting: deque[tuple[int, Any]] = deque()
        self.queue_size = queue_size
        self.newest_ns: int | None = None  # of the item that came last
        self.given_ns: int | None = None  # of the item that was taken last
        self.periods: deque[int] = deque(maxlen=_PERIODS_KEPT)
        self.counts = StreamCounts()

    def is_late(self, stamp_ns: int) -> bool:
        """Whether an item with this stamp would be out of order or repeats the last one."""
        return stamp_ns == self.newest_ns or (self.given_ns is not None and stamp_ns <= self.given_ns)

    def has_jumped(self, stamp_ns: int) -> bool:
        """Whether this stamp is further back than a late item can be."""
        known = [stamp for stamp in (self.newest_ns, self.given_ns) if stamp is not None]
        return bool(known) and max(known) - stamp_ns > JUMP_NS

    def push(self, stamp_ns: int, item: Any) -> None:
        if self.newest_ns is not None and stamp_ns > self.newest_ns:
            self.periods.append(stamp_ns - self.newest_ns)
        self.newest_ns = stamp_ns
        at = len(self.waiting)
        while at and self.waiting[at - 1][0] > stamp_ns:
            at -= 1
        if at and self.waiting[at - 1][0] == stamp_ns:
            # The waiting one was ahead of its time; the one that comes in its turn has the credible stamp.
            self.waiting[at - 1] = (stamp_ns, item)
            self.counts.unpaired += 1
            return
        self.waiting.insert(at, (stamp_ns, item))
        if len(self.waiting) > self.queue_size:
            if self.waiting[-1][0] > stamp_ns:  # what is ahead of its time pushes nothing out
                self.waiting.pop()
            else:
                self.waiting.popleft()
            self.counts.unpaired += 1

    def newest_waiting(self) -> int | None:
        """Stamp of the newest waiting item that is not ahead of the one that came last."""
        return max((stamp for stamp, _ in self.waiting if stamp <= (self.newest_ns or 0)), default=None)

    def earliest_next_ns(self) -> int | None:
        """No item of this stream is expected before; None while the period is unknown."""
        if not self.periods or self.newest_ns is None:
            return None
        return self.newest_ns + int(_EARLIEST * min(self.periods))

    def nearest(self, stamp_ns: int) -> int | None:
        """Stamp of the waiting item closest to a stamp; of two equally close ones the newer."""
        if not self.waiting:
            return None
        return min((stamp for stamp, _ in self.waiting), key=lambda s: (abs(s - stamp_ns), -s))

    def take(self, stamp_ns: int) -> Any:
        """Remove and return an item; the ones before it can never be paired any more."""
        while True:
            stamp, item = self.waiting.popleft()
            if stamp == stamp_ns:
                self.given_ns = stamp_ns
                return item
            self.counts.unpaired += 1

    def drop_until(self, stamp_ns: int) -> None:
        """Remove the items up to a stamp."""
        while self.waiting and self.waiting[0][0] <= stamp_ns:
            self.waiting.popleft()
            self.counts.unpaired += 1

    def forget(self) -> None:
        self.counts.unpaired += len(self.waiting)
        self.waiting.clear()
        self.periods.clear()
        self.newest_ns = None
        self.given_ns = None


class Synchronizer:
    """Pairs colour and depth.

    Attributes:
        smallest_miss_ns: of the pairs that were too far apart, the smallest difference of stamps seen since
            the last pair; tells a user who gets no pair which tolerance would give one.
        jumps: how often the stamps jumped back and everything waiting was forgotten.
    """

    def __init__(self, tolerance_ns: int, on_pair: Callable[[int, Any, int, Any], None], queue_size: int = 10) -> None:
        """Start empty.

        Args:
            tolerance_ns: largest difference of the stamps of a pair; 0 pairs equal stamps only.
            on_pair: called with (colour stamp, colour, depth stamp, depth).
            queue_size: items of one stream that may wait for a partner.
        """
        if tolerance_ns < 0 or queue_size < 1:
            raise ValueError(f"tolerance_ns must be >= 0 and queue_size >= 1, not {tolerance_ns} and {queue_size}.")
        self._tolerance_ns = tolerance_ns
        self._on_pair = on_pair
        self._color = _Stream(queue_size)
        self._depth = _Stream(queue_size)
        self.smallest_miss_ns: int | None = None
        self.jumps = 0

    @property
    def color_counts(self) -> StreamCounts:
        """What became of the colour images."""
        return self._color.counts

    @property
    def depth_counts(self) -> StreamCounts:
        """What became of the depth images."""
        return self._depth.counts

    def add_color(self, stamp_ns: int, item: Any) -> None:
        """Take a colour image; may call `on_pair`, whose exceptions pass through."""
        self._add(self._color, stamp_ns, item)

    def add_depth(self, stamp_ns: int, item: Any) -> None:
        """Take a depth image; may call `on_pair`, whose exceptions pass through."""
        self._add(self._depth, stamp_ns, item)

    def settle(self) -> bool:
        """Give out the oldest pair that only waits for a better partner of one of its two; whether there was one."""
        pair = self._best_pair(certain=False)
        if pair is not None:
            self._give(*pair)
        return pair is not None

    def take_newest_color(self) -> tuple[int, Any] | None:
        """Remove the newest colour image that waits, as (stamp, item); the ones before it are given up."""
        return self._take_newest(self._color)

    def take_newest_depth(self, after_ns: int | None = None) -> tuple[int, Any] | None:
        """Remove the newest depth image that waits, if it is of after `after_ns`; the ones before it are given up."""
        return self._take_newest(self._depth, after_ns)

    def is_awaited(self, color_ns: int) -> bool:
        """Whether a colour image waits that has a depth image within the tolerance, or that one may still come for."""
        if all(stamp != color_ns for stamp, _ in self._color.waiting):
            return False
        nearest, latest_ns = self._depth.nearest(color_ns), color_ns + self._tolerance_ns
        if nearest is not None and abs(nearest - color_ns) <= self._tolerance_ns:
            return True
        newest, due = self._depth.newest_ns, self._depth.earliest_next_ns()
        return newest is None or (newest < latest_ns and (due is None or due <= latest_ns))

    def give_up_color(self, color_ns: int) -> None:
        """Wait no longer for a partner of a colour image or of those before it.

        A pair that only waits for a better partner is given out.
        """
        pair = self._best_pair(certain=False)
        if pair is not None and pair[0] <= color_ns:
            self._give(*pair)
        self._color.drop_until(color_ns)
        self._give_certain()

    def reset(self) -> None:
        """Forget what waits, as after a jump of the clock."""
        self._color.forget()
        self._depth.forget()
        self.smallest_miss_ns = None

    def _add(self, stream: _Stream, stamp_ns: int, item: Any) -> None:
        stream.counts.received += 1
        if stream.has_jumped(stamp_ns):
            self.jumps += 1
            self.reset()
        elif stream.is_late(stamp_ns):
            stream.counts.late += 1
            return
        stream.push(stamp_ns, item)
        self._give_certain()

    def _give_certain(self) -> None:
        while pair := self._best_pair(certain=True):
            self._give(*pair)

    def _give(self, color_ns: int, depth_ns: int) -> None:
        color, depth = self._color.take(color_ns), self._depth.take(depth_ns)
        self._color.counts.paired += 1
        self._depth.counts.paired += 1
        self.smallest_miss_ns = None
        self._on_pair(color_ns, color, depth_ns, depth)

    def _take_newest(self, stream: _Stream, after_ns: int | None = None) -> tuple[int, Any] | None:
        stamp_ns = stream.newest_waiting()
        if stamp_ns is None or (after_ns is not None and stamp_ns <= after_ns):
            return None
        item = stream.take(stamp_ns)
        stream.counts.alone += 1
        return stamp_ns, item

    def _best_pair(self, certain: bool) -> tuple[int, int] | None:
        """The oldest pair of mutually nearest items; if `certain`, one that no later item can beat."""
        for color_ns, _ in self._color.waiting:
            depth_ns = self._depth.nearest(color_ns)
            if depth_ns is None:
                return None
            if self._color.nearest(depth_ns) != color_ns:
                continue
            gap = abs(depth_ns - color_ns)
            if gap > self._tolerance_ns:
                self.smallest_miss_ns = gap if self.smallest_miss_ns is None else min(gap, self.smallest_miss_ns)
            elif not (certain and self._can_be_beaten(color_ns, depth_ns)):
                return color_ns, depth_ns
        return None

    def _can_be_beaten(self, color_ns: int, depth_ns: int) -> bool:
        """Whether an item still to come may be closer to the later of the two."""
        if color_ns == depth_ns:
            return False
        earlier = self._color if color_ns < depth_ns else self._depth
        later_ns, gap = max(color_ns, depth_ns), abs(color_ns - depth_ns)
        newest, due = earlier.newest_ns, earlier.earliest_next_ns()
        if newest is None or newest >= later_ns + gap:
            return False
        return due is None or due < later_ns + gap
