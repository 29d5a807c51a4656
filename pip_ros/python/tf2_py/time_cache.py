# SPDX-License-Identifier: Apache-2.0
"""What is known of one frame over time: its parent and its place in it, by stamp."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import NamedTuple

from tf2_py.exceptions import ExtrapolationException
from tf2_py.rigid import Rigid, interpolate

LATEST = 0  # TF's convention: time zero asks for the newest data


class Sample(NamedTuple):
    """A frame's place in its parent at a time in nanoseconds."""

    stamp_ns: int
    parent: str
    place: Rigid


def seconds(stamp_ns: int) -> str:
    """A stamp as people read it."""
    return f"{stamp_ns / 1e9:.6f}"


class TimeCache:
    """The samples of a moving frame, sorted by stamp, no older than `length_ns` before the newest."""

    is_static = False

    def __init__(self, length_ns: int) -> None:
        self._length_ns = length_ns
        self._samples: list[Sample] = []
        self._stamps: list[int] = []

    def insert(self, sample: Sample) -> bool:
        """Keep a sample; False when it is older than everything that may be kept."""
        if self._stamps and sample.stamp_ns < self._stamps[-1] - self._length_ns:
            return False
        first = bisect_left(self._stamps, sample.stamp_ns)
        place = bisect_right(self._stamps, sample.stamp_ns)
        if sample not in self._samples[first:place]:
            self._stamps.insert(place, sample.stamp_ns)
            self._samples.insert(place, sample)
        expired = bisect_left(self._stamps, self._stamps[-1] - self._length_ns)
        del self._stamps[:expired], self._samples[:expired]
        return True

    def at(self, stamp_ns: int) -> Sample | None:
        """The sample at a time, interpolated between its neighbours; None when nothing is known.

        Where the parent changed between the neighbours, the older one holds until the newer one's stamp.
        Raises ExtrapolationException outside the time span that is known.
        """
        if not self._samples:
            return None
        if stamp_ns == LATEST:
            return self._samples[-1]
        after = bisect_right(self._stamps, stamp_ns)
        if after > 0 and self._stamps[after - 1] == stamp_ns:
            return self._samples[after - 1]
        if after == 0 or after == len(self._samples):
            raise ExtrapolationException(self._why_not(stamp_ns))
        older, newer = self._samples[after - 1], self._samples[after]
        if older.parent != newer.parent:
            return older
        share = (stamp_ns - older.stamp_ns) / (newer.stamp_ns - older.stamp_ns)
        return Sample(stamp_ns, older.parent, interpolate(older.place, newer.place, share))

    def latest(self) -> Sample | None:
        """The newest sample."""
        return self._samples[-1] if self._samples else None

    def span_ns(self) -> tuple[int, int]:
        """(oldest, newest) stamp; zeros when empty."""
        return (self._stamps[0], self._stamps[-1]) if self._stamps else (0, 0)

    def __len__(self) -> int:
        return len(self._samples)

    def clear(self) -> None:
        """Forget everything."""
        self._samples.clear()
        self._stamps.clear()

    def _why_not(self, stamp_ns: int) -> str:
        oldest, newest = self.span_ns()
        asked = seconds(stamp_ns)
        if len(self) == 1:
            return f"Lookup would require extrapolation at time {asked}: the buffer holds only time {seconds(newest)}"
        if stamp_ns > newest:
            return (
                f"Lookup would require extrapolation into the future: time {asked} was requested, "
                f"the latest data is of time {seconds(newest)}"
            )
        return (
            f"Lookup would require extrapolation into the past: time {asked} was requested, "
            f"the earliest data is of time {seconds(oldest)}"
        )


class StaticCache:
    """A frame that never moves in its parent: its one sample is valid at any time and survives `clear`."""

    is_static = True

    def __init__(self) -> None:
        self._sample: Sample | None = None

    def insert(self, sample: Sample) -> bool:
        """Replace the sample. Always True."""
        # Stamp zero says that this frame sets no bound to the latest common time.
        self._sample = sample._replace(stamp_ns=0)
        return True

    def at(self, stamp_ns: int) -> Sample | None:
        """The sample, as if it had been measured at that time."""
        return self._sample._replace(stamp_ns=stamp_ns) if self._sample else None

    def latest(self) -> Sample | None:
        """The one sample, with stamp zero."""
        return self._sample

    def span_ns(self) -> tuple[int, int]:
        """Zeros: no stamp bounds it."""
        return (0, 0)

    def __len__(self) -> int:
        return 0 if self._sample is None else 1

    def clear(self) -> None:
        """Static transforms stay: their senders will not repeat them."""
