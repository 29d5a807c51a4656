# SPDX-License-Identifier: Apache-2.0
"""Counts the images that never came, from the gaps between the stamps of those that did.

A camera's stamps have one period. Where two neighbours are two periods apart, one image is missing: lost between the
driver and this process, or never taken. Pure Python; one thread.
"""

from __future__ import annotations

from collections import deque

from mvloc_ros.frontend.synchronizer import JUMP_NS

_KEPT = 15
_FIRST = 7
"""As many gaps must be known before any is looked at; those seen until then are looked at afterwards."""
_SINGLE = 1.5
_PAUSE = 10.0
"""So many periods without an image are a pause of the camera and no loss."""


class GapCounter:
    """The stamps of one topic.

    Attributes:
        lost: images that never came.
    """

    def __init__(self) -> None:
        self.lost = 0
        self._newest_ns: int | None = None
        self._gaps: deque[int] = deque(maxlen=_KEPT)
        self._unchecked: list[int] = []
        self._pause_ns: tuple[int, int] | None = None

    def add(self, stamp_ns: int) -> None:
        """An image came."""
        newest, self._newest_ns = self._newest_ns, stamp_ns
        if newest is None or stamp_ns == newest:
            return
        if stamp_ns < newest:
            if newest - stamp_ns <= JUMP_NS:  # overtaken on the way, and counted as lost unless within a pause
                self._newest_ns = newest
                if self._pause_ns is None or not self._pause_ns[0] < stamp_ns < self._pause_ns[1]:
                    self.lost = max(0, self.lost - 1)
            return
        gap = stamp_ns - newest
        period = self._period_ns()
        if period is not None and gap > _PAUSE * period:
            self._pause_ns = newest, stamp_ns
            return
        self._gaps.append(gap)
        self._unchecked.append(gap)
        period = self._period_ns()
        if period is not None:
            # A pause among the first gaps is none the less a pause: one absurd stamp would count for ever.
            losses = [gap for gap in self._unchecked if _SINGLE * period < gap <= _PAUSE * period]
            self.lost += sum(round(gap / period) - 1 for gap in losses)
            self._unchecked.clear()

    def rate_hz(self) -> float | None:
        """At which the camera takes images, lost ones included; None while unknown."""
        period = self._period_ns()
        return None if period is None else 1e9 / period

    def _period_ns(self) -> float | None:
        if len(self._gaps) < _FIRST:
            return None
        # The shorter gaps are of one period whatever is lost; their mean is free of the stamps' jitter.
        low = sorted(self._gaps)[len(self._gaps) // 4]
        single = [gap for gap in self._gaps if gap <= _SINGLE * low]
        return sum(single) / len(single)
