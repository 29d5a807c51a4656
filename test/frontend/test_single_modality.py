# SPDX-License-Identifier: Apache-2.0
"""The fallback to one modality: when it begins, that it ends, and that no image is used twice."""

from __future__ import annotations

import bisect
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvloc_ros.frontend.single_modality import COLOR, DEPTH, SingleModality
from mvloc_ros.frontend.synchronizer import Synchronizer

MS = 1_000_000
WAIT, TICK, PERIOD = 0.5, 0.05, 0.033


class Harness:
    """A pair of streams in simulated time; remembers what was given out and when."""

    def __init__(self, wait_s: float = WAIT, tolerance_ns: int = 10 * MS) -> None:
        self.now = 100.0
        self.frames: list[tuple[float, int | None, int | None]] = []  # when, colour's stamp, depth's stamp
        self.sync = Synchronizer(tolerance_ns, self._on_pair, queue_size=5)
        self.single = SingleModality(self.sync, wait_s, self._on_single)

    def _on_pair(self, color_ns: int, _color: object, depth_ns: int, _depth: object) -> None:
        self.single.paired()
        self.frames.append((self.now, color_ns, depth_ns))

    def _on_single(self, modality: str, stamp_ns: int, _item: object) -> None:
        self.frames.append((self.now, stamp_ns if modality == COLOR else None, stamp_ns if modality == DEPTH else None))

    def run(self, events: list[tuple[float, str, int]], until: float) -> None:
        """Events (when it arrives, which, stamp); ticks in between."""
        ticks = [100.0 + n * TICK for n in range(1, int((until - 100.0) / TICK) + 1)]
        for when, kind, stamp in sorted(events + [(t, "tick", 0) for t in ticks]):
            self.now = when
            if kind == "tick":
                self.single.tick(when)
            else:
                self.single.add(kind, stamp, None, when)

    def singles(self) -> list[tuple[float, int | None, int | None]]:
        return [frame for frame in self.frames if None in frame]


def stream(kind: str, first: float, last: float, delay: float = 0.0, offset_ns: int = 0, period: float = PERIOD):
    count = int((last - first) / period)
    return [(first + n * period + delay, kind, int(1e9 * (first + n * period)) + offset_ns) for n in range(count)]


@pytest.mark.parametrize(("dying", "living"), [(DEPTH, COLOR), (COLOR, DEPTH)])
def test_a_dead_topic_costs_the_wait_and_its_return_brings_the_pairs_back(dying: str, living: str):
    harness = Harness()
    death, back, end = 102.0, 105.0, 108.0
    events = stream(living, 100.0, end)
    harness.run(events + [e for e in stream(dying, 100.0, end, 0.002) if not death <= e[0] < back], end)
    singles = harness.singles()
    assert WAIT <= singles[0][0] - death < WAIT + 2 * PERIOD + TICK
    assert death + WAIT <= singles[0][0] <= singles[-1][0] < back + PERIOD
    # At the full rate in between, and never the dead one.
    assert len(singles) >= (back - singles[0][0]) / PERIOD - 2
    assert all((frame[1] is None) == (living == DEPTH) for frame in singles)
    pairs = [frame for frame in harness.frames if None not in frame]
    assert min(frame[0] for frame in pairs if frame[0] > death + PERIOD) < back + 2 * PERIOD + 0.01
    assert harness.single.alone is None


def test_a_topic_that_never_came():
    harness = Harness()
    harness.run(stream(DEPTH, 100.0, 102.0), 102.0)
    assert harness.frames[0][0] <= 100.0 + WAIT + TICK + 1e-6
    assert harness.single.alone == DEPTH
    assert len(harness.frames) >= (1.5 - TICK) / PERIOD - 1


def test_never_with_a_wait_of_zero():
    harness = Harness(wait_s=0.0)
    harness.run(stream(COLOR, 100.0, 110.0), 110.0)
    assert not harness.frames


@pytest.mark.parametrize("period", [0.033, 1.0, 3.0])
@pytest.mark.parametrize("delay", [0.0, 0.03, 0.4])
def test_complete_streams_give_no_single_whatever_their_rate_and_delay(period: float, delay: float):
    harness = Harness()
    events = stream(COLOR, 100.0, 120.0, period=period) + stream(DEPTH, 100.0, 120.0, delay, 3 * MS, period)
    harness.run(events, 120.0 + delay)
    # At 30 Hz and 0.4 s of delay a queue of five has no partner left: then singles are right.
    if delay < 5 * period:
        assert not harness.singles()
        assert len(harness.frames) >= 20.0 / period - 3


def test_a_stall_after_which_both_wait_in_the_middleware_gives_no_single():
    harness = Harness()
    both = stream(COLOR, 100.0, 104.0) + stream(DEPTH, 100.0, 104.0, 0.001)
    stalled = [(max(when, 102.0 + 1e-4 * n) if when > 101.0 else when, kind, stamp)
               for n, (when, kind, stamp) in enumerate(sorted(both))]  # fmt: skip
    harness.run(stalled, 104.0)
    assert not harness.singles()


def test_stamps_that_never_match_give_one_a_wait():
    harness = Harness()
    harness.run(stream(COLOR, 100.0, 110.0) + stream(DEPTH, 100.0, 110.0, offset_ns=-10_000 * MS), 110.0)
    assert 15 <= len(harness.frames) <= 20
    assert all(frame[2] is None for frame in harness.frames)  # colour first
    assert harness.single.alone is None


outages = st.lists(st.tuples(st.sampled_from([COLOR, DEPTH]), st.floats(100, 106), st.floats(0.1, 4)), max_size=4)


@settings(max_examples=40, deadline=None)
@given(outages, st.floats(-0.009, 0.009), st.floats(0, 0.05), st.sampled_from([0.0, 0.2, 0.5]))
def test_no_image_twice_none_lost_and_no_longer_silence_than_the_wait(outages, skew, delay, wait):
    harness = Harness(wait_s=wait)
    everything = stream(COLOR, 100.0, 108.0) + stream(DEPTH, 100.0, 108.0, delay, int(1e9 * skew))
    events = [e for e in everything if not any(k == e[1] and a <= e[0] < a + n for k, a, n in outages)]
    harness.run(events, 108.0)
    for index, counts in ((1, harness.sync.color_counts), (2, harness.sync.depth_counts)):
        used = [frame[index] for frame in harness.frames if frame[index] is not None]
        assert all(a < b for a, b in itertools.pairwise(used))
        assert counts.paired + counts.alone == len(used)
        assert 0 <= counts.received - counts.paired - counts.alone - counts.unpaired - counts.late <= 5
    if wait == 0.0:
        assert not harness.singles()
        return
    # Where an image came, a frame is given out within the wait, a tick, and the delay of its partner.
    times = [frame[0] for frame in harness.frames]
    longest = wait + TICK + delay + 2 * PERIOD
    for when in {when for when, _, _ in events if when < 108.0 - longest}:
        near = bisect.bisect_left(times, when - longest)
        assert near < len(times)
        assert times[near] <= when + longest


def test_a_reset_forgets_how_long_was_waited():
    """After a pause the first image is not taken for one whose partner has been missing all the time."""
    harness = Harness()
    harness.run([(100.0, COLOR, 0)], 100.0)
    harness.single.reset()
    resumed = [(120.0, COLOR, 20_000 * MS), (120.001, "tick", 0), (120.005, DEPTH, 20_000 * MS)]
    for when, kind, stamp in resumed:
        harness.now = when
        if kind == "tick":
            harness.single.tick(when)
        else:
            harness.single.add(kind, stamp, None, when)
    assert harness.frames == [(120.005, 20_000 * MS, 20_000 * MS)]


def test_an_impossible_wait_is_refused():
    with pytest.raises(ValueError, match="wait_s"):
        SingleModality(Synchronizer(0, lambda *_: None), -1.0, lambda *_: None)
