# SPDX-License-Identifier: Apache-2.0
"""Properties of the pairing: each item once, in order, the best pair, after jumps and exceptions."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mvloc_ros.frontend.synchronizer import Synchronizer

MS = 1_000_000
S = 1000 * MS

# Arrivals: which stream, and the step of its stamp (mostly forward, sometimes back by up to 3 s).
steps = st.one_of(st.integers(0, 80 * MS), st.integers(1, 40).map(lambda n: n * MS), st.just(-3 * S), st.just(-20 * MS))
arrivals = st.lists(st.tuples(st.booleans(), steps), max_size=120)


class Harness:
    """Feeds a synchronizer and remembers what it was given and what it gave."""

    def __init__(self, tolerance_ns: int, queue_size: int = 10, fail_every: int = 0) -> None:
        self.pairs: list[tuple[int, int, int, int]] = []  # colour stamp and id, depth stamp and id
        self.calls = 0
        self.fail_every = fail_every
        self.sync = Synchronizer(tolerance_ns, self._on_pair, queue_size)

    def _on_pair(self, color_ns: int, color: int, depth_ns: int, depth: int) -> None:
        self.calls += 1
        self.pairs.append((color_ns, color, depth_ns, depth))
        if self.fail_every and self.calls % self.fail_every == 0:
            raise RuntimeError("a callback that fails")

    def feed(self, is_color: bool, stamp: int, identity: int) -> None:
        try:
            (self.sync.add_color if is_color else self.sync.add_depth)(stamp, identity)
        except RuntimeError:
            assert self.fail_every


def run(items, tolerance, **options) -> tuple[Harness, int]:
    harness = Harness(tolerance, **options)
    clocks = {True: 10 * S, False: 10 * S}
    for identity, (is_color, step) in enumerate(items):
        clocks[is_color] += step
        harness.feed(is_color, clocks[is_color], identity)
    return harness, len(items)


@given(arrivals, st.sampled_from([0, 5 * MS, 20 * MS, 200 * MS]), st.integers(1, 12), st.sampled_from([0, 1, 3]))
@settings(max_examples=400)
def test_never_twice_never_too_far_and_nothing_lost(items, tolerance, queue_size, fail_every):
    harness, fed = run(items, tolerance, queue_size=queue_size, fail_every=fail_every)
    colors, depths = [p[1] for p in harness.pairs], [p[3] for p in harness.pairs]
    assert len(set(colors)) == len(colors)
    assert len(set(depths)) == len(depths)
    assert all(abs(p[0] - p[2]) <= tolerance for p in harness.pairs)
    # Every item is accounted for: paired, counted as dropped, or still waiting in a bounded queue.
    for counts in (harness.sync.color_counts, harness.sync.depth_counts):
        waiting = counts.received - counts.paired - counts.unpaired - counts.late
        assert 0 <= waiting <= queue_size
        assert counts.paired == len(harness.pairs)
    assert harness.sync.color_counts.received + harness.sync.depth_counts.received == fed


@given(arrivals, st.sampled_from([0, 20 * MS, 200 * MS]))
@settings(max_examples=300)
def test_never_out_of_order_but_for_jumps(items, tolerance):
    harness = Harness(tolerance)
    clocks = {True: 10 * S, False: 10 * S}
    segment_start = 0
    for identity, (is_color, step) in enumerate(items):
        jumps = harness.sync.jumps
        clocks[is_color] += step
        harness.feed(is_color, clocks[is_color], identity)
        if harness.sync.jumps > jumps:
            segment_start = len(harness.pairs)
        segment = harness.pairs[segment_start:]
        assert all(a[0] < b[0] and a[2] < b[2] for a, b in itertools.pairwise(segment))


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 60 * MS)), max_size=100), st.sampled_from([20 * MS, 200 * MS]))
@settings(max_examples=300)
def test_each_pair_is_the_best_that_was_there(items, tolerance):
    """At the moment a pair is given out, no other waiting item is closer to either of its two."""
    harness = Harness(tolerance, queue_size=1000)
    clocks = {True: 10 * S, False: 10 * S}
    seen: dict[bool, list[int]] = {True: [], False: []}
    for identity, (is_color, step) in enumerate(items):
        clocks[is_color] += step
        seen[is_color].append(clocks[is_color])
        before = len(harness.pairs)
        harness.feed(is_color, clocks[is_color], identity)
        last_color, last_depth = harness.pairs[before - 1][0::2] if before else (0, 0)
        for color, _, depth, _ in harness.pairs[before:]:
            gap = abs(color - depth)
            assert all(abs(other - depth) >= gap for other in seen[True] if other > last_color)
            assert all(abs(other - color) >= gap for other in seen[False] if other > last_depth)
            last_color, last_depth = color, depth


@given(
    st.integers(0, 2**32),
    st.integers(-12, 12),
    st.floats(0, 0.3),
    st.integers(0, 30),
)
@example(seed=0, skew_ms=9, loss=0.25, delay_ms=0)  # losses must not stretch what counts as the period
@settings(max_examples=100)
def test_two_cameras_with_losses_stay_in_phase(seed, skew_ms, loss, delay_ms):
    """30 Hz streams with a constant skew below half a period: a lost image never shifts the phase."""
    rng = random.Random(seed)
    period = 33 * MS
    events = []
    for n in range(60):
        for is_color, offset, delay in ((True, 0, 0), (False, skew_ms * MS, delay_ms * MS)):
            if n < 12 or rng.random() >= loss:  # the first images tell the period
                stamp = 10 * S + n * period + offset
                events.append((stamp + delay + rng.randrange(3 * MS), is_color, stamp, n))
    harness = Harness(tolerance_ns=25 * MS)
    for _, is_color, stamp, n in sorted(events):
        harness.feed(is_color, stamp, n)
    pairs = [(color, depth) for _, color, _, depth in harness.pairs]
    sent = {is_color: {n for _, kind, _, n in events if kind == is_color} for is_color in (True, False)}
    # Two that lost their partners may find each other within the tolerance; nobody else may be mispaired.
    mispaired = [(color, depth) for color, depth in pairs if color != depth]
    assert all(color not in sent[False] and depth not in sent[True] for color, depth in mispaired)
    complete = sent[True] & sent[False]
    assert len(complete - {color for color, depth in pairs if color == depth}) <= 1  # the last one may still wait


def test_equal_stamps_pair_at_once_with_tolerance_zero():
    harness = Harness(0)
    for n in range(5):
        harness.feed(True, S + n * 33 * MS, n)
        assert len(harness.pairs) == n
        harness.feed(False, S + n * 33 * MS, n)
        assert len(harness.pairs) == n + 1


def test_a_constant_small_skew_pairs_without_waiting_for_the_next_image():
    harness = Harness(20 * MS)
    for n in range(6):
        harness.feed(True, S + n * 33 * MS, n)
        harness.feed(False, S + n * 33 * MS + 5 * MS, n)
        if n >= 2:
            assert harness.pairs[-1][1] == n


def test_pairs_go_on_after_a_loop_of_the_recording():
    harness = Harness(0)
    for loop in range(3):
        for n in range(20):
            harness.feed(True, S + n * 100 * MS, 100 * loop + n)
            harness.feed(False, S + n * 100 * MS, 100 * loop + n)
    assert len(harness.pairs) >= 58  # a jump may cost the image that revealed it to the other stream
    assert harness.sync.jumps >= 2


def test_too_far_apart_tells_the_gap():
    harness = Harness(10 * MS)
    for n in range(5):
        harness.feed(True, S + n * 100 * MS, n)
        harness.feed(False, S + n * 100 * MS + 41 * MS, n)
    assert not harness.pairs
    assert harness.sync.smallest_miss_ns == 41 * MS


@pytest.mark.parametrize("queue_size", [1, 2, 10])
@pytest.mark.parametrize("ahead_ms", [908, 917])
def test_one_image_in_nine_that_is_ahead_of_its_time_costs_its_own_pair_alone(queue_size, ahead_ms):
    harness = Harness(10 * MS, queue_size)
    wrong = {n for n in range(60) if n % 9 == 4}
    for n in range(60):
        harness.feed(True, 10 * S + n * 33 * MS + (ahead_ms * MS if n in wrong else 0), n)
        harness.feed(False, 10 * S + n * 33 * MS, n)
    right = [(color, depth) for _, color, _, depth in harness.pairs if color == depth]
    assert len(harness.pairs) == len(right) == 60 - len(wrong)


def test_an_image_that_is_ahead_of_its_time_waits_for_its_partner():
    harness = Harness(0)
    harness.feed(True, S + 330 * MS, 10)
    for n in range(10):
        harness.feed(True, S + n * 33 * MS, n)
        harness.feed(False, S + n * 33 * MS, n)
    assert [(color, depth) for _, color, _, depth in harness.pairs] == [(n, n) for n in range(10)]
    harness.feed(False, S + 330 * MS, 10)
    assert harness.pairs[-1] == (S + 330 * MS, 10, S + 330 * MS, 10)


def test_impossible_settings_are_refused():
    with pytest.raises(ValueError, match="tolerance"):
        Synchronizer(-1, lambda *_: None)
