# SPDX-License-Identifier: Apache-2.0
"""Frames with the images of further sensors: the best partner, once, in order; silence costs one wait."""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvloc_ros.frontend.further_sensors import PATIENCE_S, FurtherSensors

MS = 1_000_000
S = 1000 * MS
TICK_S = 0.1
FRAMES = "frames"
Event = tuple[float, str, int]
"""When something comes (s), of which stream, and its stamp (ns)."""


class Harness:
    """Streams in simulated time; remembers what was given out and when."""

    def __init__(self, names: list[str], tolerance_ns: int, wait_s: float = 0.5, queue_size: int = 5) -> None:
        self.now, self.next_tick = 10.0, 10.0 + TICK_S
        self.frames: list[tuple[float, int, bool, dict[str, int]]] = []  # when, stamp, of the pair, the others' stamps
        self.further = FurtherSensors(names, tolerance_ns, wait_s, queue_size, self._on_frame)

    def _on_frame(self, stamp_ns: int, pair: Any, images: Mapping[str, tuple[int, Any]]) -> None:
        assert all(stamp == image for stamp, image in images.values())
        assert pair is None or pair == stamp_ns
        self.frames.append((self.now, stamp_ns, pair is not None, {name: stamp for name, (stamp, _) in images.items()}))

    def run(self, events: list[Event], until: float = 0.0) -> Harness:
        for when, stream, stamp in sorted(events, key=lambda event: event[0]):
            self.pass_to(when)
            if stream == FRAMES:
                self.further.note_pair()
                self.further.take_frame(stamp, stamp, when)
            else:
                self.further.add(stream, stamp, stamp, when)
        self.pass_to(until)
        return self

    def pass_to(self, when: float) -> None:
        while self.next_tick <= when:
            self.now = self.next_tick
            self.further.tick(self.now)
            self.next_tick += TICK_S
        self.now = max(self.now, when)

    def of(self, name: str) -> list[int]:
        return [images[name] for _, _, _, images in self.frames if name in images]


def stream(name: str, first: float, last: float, period: float = 0.033, delay: float = 0.0) -> list[Event]:
    count = int((last - first) / period)
    return [(first + n * period + delay, name, round(1e9 * (first + n * period))) for n in range(count)]


def best_partners(frames: list[int], images: list[int], tolerance: int) -> dict[int, int]:
    """Knowing all stamps: again and again the oldest frame and image that are each other's nearest."""
    found = {}
    while True:
        nearest = {f: min(images, key=lambda i, f=f: (abs(i - f), -i)) for f in frames} if images else {}
        mutual = [
            (f, i)
            for f, i in nearest.items()
            if abs(f - i) <= tolerance and f == min(frames, key=lambda g, i=i: (abs(g - i), -g))
        ]
        if not mutual:
            return found
        frame, image = mutual[0]
        found[frame] = image
        frames, images = [f for f in frames if f > frame], [i for i in images if i > image]


sensor_counts = st.integers(3, 5)
arrivals = st.lists(
    st.tuples(
        st.integers(0, 5), st.one_of(st.integers(0, 80 * MS), st.just(-3 * S), st.just(-20 * MS)), st.floats(0, 0.3)
    ),
    max_size=150,
)


@given(sensor_counts, arrivals, st.sampled_from([0, 20 * MS, 200 * MS]), st.integers(1, 8), st.sampled_from([0.0, 0.5]))
@settings(max_examples=300, deadline=None)
def test_never_twice_never_too_far_in_order_and_nothing_lost(streams, items, tolerance, queue_size, wait_s):
    """Whatever comes: `streams` of them, the first of which is the pair's frames."""
    names = [f"s{n}" for n in range(streams - 1)]
    harness = Harness(names, tolerance, wait_s, queue_size)
    clocks = dict.fromkeys((FRAMES, *names), 10 * S)
    now, events = 10.0, []
    for index, step, pause in items:
        name = (FRAMES, *names)[index % streams]
        clocks[name] += step
        now += pause
        events.append((now, name, clocks[name]))
    harness.run(events)
    harness.further.settle()
    sent = [stamp for _, name, stamp in events if name == FRAMES]
    assert [stamp for _, stamp, of_pair, _ in harness.frames if of_pair] == sent
    assert wait_s or all(of_pair for _, _, of_pair, _ in harness.frames)
    for _, stamp, _, images in harness.frames:
        assert all(abs(stamp - image) <= tolerance for image in images.values())
    for name in names:
        counts = harness.further.counts[name]
        came = [stamp for _, stream, stamp in events if stream == name]
        assert counts.received == len(came)
        assert 0 <= counts.received - counts.paired - counts.alone - counts.unpaired - counts.late <= queue_size
        assert counts.paired + counts.alone == len(harness.of(name))
        # A stamp comes a second time only after a jump back.
        assert all(harness.of(name).count(stamp) <= came.count(stamp) for stamp in set(came))
        if all(b >= a - S for a, b in itertools.pairwise(came)) and all(
            b >= a - S for a, b in itertools.pairwise(sent)
        ):
            assert all(a < b for a, b in itertools.pairwise(harness.of(name)))


@given(
    st.integers(0, 2**32),
    sensor_counts,
    st.lists(st.sampled_from([0.033, 0.033, 0.05, 0.0667, 0.111, 0.0165]), min_size=4, max_size=4),
    st.floats(0, 0.2),
    st.integers(0, 40),
)
@settings(max_examples=60, deadline=None)
def test_the_partners_are_those_of_who_knows_all_stamps(seed, streams, periods, loss, delay_ms):
    """Streams of different rates with jitter, losses and delays."""
    rng = random.Random(seed)
    names, tolerance = [f"s{n}" for n in range(streams - 1)], 20 * MS
    events: list[Event] = []
    for name, period in zip((FRAMES, *names), (0.033, *periods), strict=False):
        phase, delay = rng.uniform(0, period), 1e-3 * rng.uniform(0, delay_ms)
        for n in range(int(3.0 / period)):
            taken = 10.0 + phase + n * period + rng.uniform(-0.02, 0.02) * period
            if n < 5 or rng.random() >= loss:  # the first ones tell the period
                events.append((taken + delay + rng.uniform(0, 0.003), name, round(1e9 * taken)))
    harness = Harness(names, tolerance, wait_s=5.0, queue_size=1000).run(events)
    harness.further.settle()
    frames = sorted(stamp for _, name, stamp in events if name == FRAMES)
    for name in names:
        images = sorted(stamp for _, other, stamp in events if other == name)
        wanted = best_partners(frames, images, tolerance)
        given_out = {stamp: found[name] for _, stamp, _, found in harness.frames if name in found}
        # Frames that were given out before the sensor's first image came could not have one.
        first = min(when for when, other, _ in events if other == name)
        early = {stamp for when, stamp, _, _ in harness.frames if when < first}
        different = {
            frame for frame in wanted.keys() | given_out.keys() if wanted.get(frame) != given_out.get(frame)
        } - early
        assert len(different) <= 2 if early else not different


def test_a_frame_waits_no_longer_than_for_its_best_partners():
    """A rear camera 5 ms behind the pair, a thermal one at a third of its rate: nothing waits for a whole period."""
    events = [*stream(FRAMES, 10.0, 13.0), *stream("rear", 10.005, 13.0), *stream("thermal", 10.004, 13.0, 0.099)]
    harness = Harness(["rear", "thermal"], 10 * MS).run(events)
    waits = [when - 1e-9 * stamp for when, stamp, _, _ in harness.frames if stamp > 10.5 * S]
    assert max(waits) < 0.006
    late = [images for _, stamp, _, images in harness.frames if stamp > 10.5 * S]
    assert all("rear" in images for images in late)
    assert sum("thermal" in images for images in late) == pytest.approx(len(late) / 3, abs=1)


def test_a_sensor_that_falls_silent_costs_its_wait_once_and_comes_back():
    rear = [event for event in stream("rear", 10.003, 15.0) if not 11.0 <= event[0] < 13.0]
    harness = Harness(["rear"], 10 * MS).run([*stream(FRAMES, 10.0, 15.0), *rear])
    waits = {stamp: when - 1e-9 * stamp for when, stamp, _, _ in harness.frames}
    # While it is not known that nothing comes, as many frames wait as may; then none.
    assert max(waits.values()) < 5 * 0.033 + 0.01
    assert max(wait for stamp, wait in waits.items() if 11.7 * S < stamp < 12.9 * S) < 1e-6
    having = [stamp for _, stamp, _, images in harness.frames if images]
    assert [stamp for stamp in having if 11.0 * S < stamp < 12.99 * S] == []
    assert sum(stamp > 13.01 * S for stamp in having) >= 59


def test_a_sensor_that_starts_late_delays_nothing_until_it_starts():
    harness = Harness(["rear"], 10 * MS).run([*stream(FRAMES, 10.0, 14.0), *stream("rear", 12.014, 14.0)])
    before = [(when - 1e-9 * stamp, images) for when, stamp, _, images in harness.frames if stamp < 12 * S]
    assert max(wait for wait, _ in before) < 1e-6
    after = [images for _, stamp, _, images in harness.frames if stamp > 12.1 * S]
    assert all("rear" in images for images in after[:-1])


def test_without_the_pair_the_first_sensor_that_is_there_makes_the_frames():
    rear = [event for event in stream("rear", 10.003, 16.0) if event[0] < 13.0]
    pair = [event for event in stream(FRAMES, 10.0, 16.0) if not 11.0 <= event[0] < 15.0]
    harness = Harness(["rear", "side"], 10 * MS).run([*pair, *rear, *stream("side", 10.006, 16.0)])
    alone = [(when, stamp, images) for when, stamp, of_pair, images in harness.frames if not of_pair]
    led = [(when, stamp) for when, stamp, images in alone if "rear" in images]
    assert 1.4 < (led[0][0] - 10.0) < 1.7  # one wait, and a tick
    assert all("side" in images for _, stamp, images in alone if 11.7 * S < stamp < 12.9 * S)
    assert all(abs(images.get("rear", stamp) - stamp) == 0 for _, stamp, images in alone)
    side = [stamp for _, stamp, images in alone if "rear" not in images and stamp > 13 * S]
    assert 13.0 < 1e-9 * side[0] < 13.7
    assert 1e-9 * side[-1] == pytest.approx(15.0, abs=0.05)
    stamps = [stamp for _, stamp, _, _ in harness.frames]
    assert stamps == sorted(stamps)
    assert harness.frames[-1][2]


def test_where_images_are_never_processed_alone_a_frame_waits_all_the_same():
    harness = Harness(["rear"], 10 * MS, wait_s=0.0, queue_size=100)
    events = [*stream(FRAMES, 10.0, 12.0), *(event for event in stream("rear", 10.002, 12.0) if event[0] < 11.0)]
    harness.run(events, until=14.0)
    assert len(harness.frames) == len(stream(FRAMES, 10.0, 12.0))
    longest = max(when - 1e-9 * stamp for when, stamp, _, _ in harness.frames)
    assert 0.4 < longest < PATIENCE_S + TICK_S + 0.01
    later = Harness(["rear"], 10 * MS, wait_s=0.0).run(stream("rear", 10.0, 12.0), until=14.0)
    assert later.frames == []


def test_after_a_reset_nothing_of_before_counts():
    harness = Harness(["rear"], 10 * MS).run([*stream("rear", 10.0, 10.5), *stream(FRAMES, 10.5, 10.6)])
    waiting = len(harness.frames)
    harness.further.reset()
    harness.further.settle()
    assert len(harness.frames) == waiting
    harness.run([(11.0, "rear", 5 * S), (11.01, FRAMES, 5 * S)])
    assert harness.frames[-1][1:] == (5 * S, True, {"rear": 5 * S})


def test_a_callback_that_fails_loses_its_frame_alone():
    def fail(stamp_ns: int, *_: object) -> None:
        given_out.append(stamp_ns)
        raise RuntimeError

    given_out: list[int] = []
    further = FurtherSensors(["rear"], 10 * MS, 0.5, 5, fail)
    for stamp in (S, 2 * S):
        with pytest.raises(RuntimeError):
            further.take_frame(stamp, stamp, 1e-9 * stamp)
    assert given_out == [S, 2 * S]
