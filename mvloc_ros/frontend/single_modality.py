# SPDX-License-Identifier: Apache-2.0
"""When one of two topics falls silent: the other one's images are given out alone, until it is back.

Two rules, both with the same wait:

1. While images of one topic come and none of the other did for the wait, each image is given out alone as soon as it
   comes. The first image of the other topic ends that, so that the next ones wait for their partners again.
2. Where both topics come and no two images match (clocks apart, a tolerance too small), the newest image is given out
   alone once a wait: too few to live from, enough to show that all else works.

A pair that only waits for a better partner is given out first.

The switch is made by `tick` alone, never by an arrival: after a stall of the whole process both topics' images lie in
the middleware, and the one that is read first must not be taken for the only one. Pure Python; time is passed in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mvloc_ros.frontend.synchronizer import Synchronizer

COLOR, DEPTH = "color", "depth"
_OTHER = {COLOR: DEPTH, DEPTH: COLOR}


class SingleModality:
    """Stands before a synchronizer and gives out what that cannot pair."""

    def __init__(self, synchronizer: Synchronizer, wait_s: float, on_single: Callable[[str, int, Any], None]) -> None:
        """Start with both topics silent.

        Args:
            synchronizer: fed through this object only; its owner calls `paired` at each of its pairs.
            wait_s: see the rules; 0: never give out an image alone.
            on_single: called with (`COLOR` or `DEPTH`, stamp in ns, item).
        """
        if wait_s < 0.0:
            raise ValueError(f"wait_s must be >= 0, not {wait_s}.")
        self._synchronizer = synchronizer
        self._wait_s = wait_s
        self._on_single = on_single
        self._forget()

    @property
    def alone(self) -> str | None:
        """The topic whose images are given out alone; None while both come."""
        return self._alone

    def reset(self) -> None:
        """Begin again: what waits is of a time that no longer counts, and so is how long it has waited."""
        self._forget()
        self._synchronizer.reset()

    def _forget(self) -> None:
        self._alone: str | None = None
        # Since when a topic comes without the other; since when an image came that is in no frame yet.
        self._unanswered_since: dict[str, float | None] = {COLOR: None, DEPTH: None}
        self._unused_since: float | None = None

    def add(self, modality: str, stamp_ns: int, item: Any, now_s: float) -> None:
        """Take an image that came at `now_s` (any clock that never jumps); may call either callback."""
        self._unanswered_since[_OTHER[modality]] = None
        if self._unanswered_since[modality] is None:
            self._unanswered_since[modality] = now_s
        if self._unused_since is None:
            self._unused_since = now_s
        if self._alone == _OTHER[modality]:
            self._alone = None
        add = self._synchronizer.add_color if modality == COLOR else self._synchronizer.add_depth
        add(stamp_ns, item)
        if self._alone == modality:
            self._give(modality)

    def paired(self) -> None:
        """The synchronizer has given out a pair."""
        self._alone = None
        self._unused_since = None

    def tick(self, now_s: float) -> None:
        """Apply the rules; to be called a few times within each wait."""
        if self._wait_s == 0.0 or self._unused_since is None or now_s - self._unused_since < self._wait_s:
            return
        if self._synchronizer.settle():
            return
        for modality, since in self._unanswered_since.items():
            if since is not None and now_s - since >= self._wait_s:
                self._alone = modality
                self._give(modality)
                return
        _ = self._give(COLOR) or self._give(DEPTH)

    def _give(self, modality: str) -> bool:
        source = self._synchronizer
        taken = source.take_newest_color() if modality == COLOR else source.take_newest_depth()
        if taken is None:
            return False
        self._unused_since = None
        self._on_single(modality, *taken)
        return True
