# SPDX-License-Identifier: Apache-2.0
"""Stamps of zero and of the future, and jumps of stamps and clock: told apart, counted once, and acted on."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvloc_ros.frontend.decode import DecodeError
from mvloc_ros.frontend.stamp_guard import StampGuard

SECOND = 1_000_000_000
START = 1_800_000_000 * SECOND


class Clock:
    """A ROS clock that a test sets; it runs with the steady clock, as a system's does."""

    def __init__(self) -> None:
        self.offset_ns = START - time.monotonic_ns()

    def __call__(self) -> int:
        return time.monotonic_ns() + self.offset_ns


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def jumps_back() -> list[str]:
    return []


@pytest.fixture
def guard(clock, jumps_back) -> StampGuard:
    return StampGuard(clock, 1.0, jumps_back.append)


def test_a_stamp_of_zero_is_refused(guard):
    with pytest.raises(DecodeError, match="depth image has the stamp 0"):
        guard.check("depth", 0)


def test_a_negative_stamp_is_refused_and_is_no_jump(guard, jumps_back):
    with pytest.raises(DecodeError, match="colour image has a stamp before 1970"):
        guard.check("colour", -5 * 10**9)
    assert guard.jumps == 0
    assert not jumps_back


def test_a_stamp_ahead_of_the_clock_is_refused_with_its_distance(guard, clock):
    guard.check("colour", clock() + SECOND // 2)
    with pytest.raises(DecodeError, match=r"7\.\d s ahead .* future_tolerance"):
        guard.check("colour", clock() + 7 * SECOND + SECOND // 2)
    assert guard.jumps == 0
    guard.check("colour", clock() + SECOND // 2)  # it left no trace


def test_before_simulated_time_starts_no_stamp_is_of_the_future(jumps_back):
    guard = StampGuard(lambda: 0, 1.0, jumps_back.append)
    guard.check("colour", START)
    assert not guard.is_from_before(START)


def test_stamps_that_go_back_are_one_jump_for_both_streams(guard, clock, jumps_back):
    start = clock() - 100 * SECOND
    for n in range(60):
        guard.check("colour", start + n * SECOND // 2)
        guard.check("depth", start + n * SECOND // 2)
    before = guard.jumps
    guard.check("colour", start)
    guard.check("depth", start)
    assert guard.jumps == before + 1
    assert "colour images jumped back by 29.5 s" in jumps_back[0]


def test_one_late_image_is_no_jump(guard, clock, jumps_back):
    now = clock()
    for stamp in (now, now + 33_000_000, now - 900_000_000, now + 66_000_000, now + 66_000_000):
        guard.check("colour", stamp)
    assert guard.jumps == 0
    assert not jumps_back
    guard.check("colour", now - 900_000_000)
    guard.check("colour", now - SECOND)  # more than a second before the newest
    assert len(jumps_back) == 1


def test_a_reset_that_shows_in_the_stamps_and_then_in_the_clock_is_one_jump(guard, clock, jumps_back):
    guard.check("colour", clock())
    guard.check("colour", clock() - 100 * SECOND)
    guard.clock_jumped(-100 * SECOND)
    assert guard.jumps == 1
    assert len(jumps_back) == 2


def test_stamps_that_leap_ahead_of_the_time_that_passed_are_counted_and_nothing_is_forgotten(guard, clock, jumps_back):
    now = clock() - 60 * SECOND
    guard.check("colour", now)
    guard.check("colour", now + 33_000_000)
    guard.check("colour", now + 30 * SECOND)
    assert guard.jumps == 1
    assert not jumps_back


def test_a_frame_from_before_the_jump_is_known_in_the_worker(guard, clock):
    old = clock() - 10 * SECOND
    guard.check("colour", old)
    assert not guard.is_from_before(old)
    guard.check("colour", old - 50 * SECOND)
    assert guard.is_from_before(old)
    assert not guard.is_from_before(old - 50 * SECOND)


def test_the_worker_knows_it_already_while_everything_is_being_forgotten(clock):
    seen = []
    guard = StampGuard(clock, 1.0, lambda _: seen.append(guard.is_from_before(old)))
    old = clock() - 10 * SECOND
    guard.check("colour", old)
    guard.check("colour", old - 50 * SECOND)
    assert seen == [True]


@pytest.mark.parametrize("step_s", [-3600, 3600])
def test_a_clock_that_is_set_is_noticed_against_the_steady_clock(guard, clock, jumps_back, step_s):
    for _ in range(3):
        guard.compare_clocks()
    assert guard.jumps == 0
    clock.offset_ns += step_s * SECOND
    guard.compare_clocks()
    guard.compare_clocks()
    assert guard.jumps == 1
    assert len(jumps_back) == (step_s < 0)


def test_after_the_clock_went_back_frames_of_the_old_time_are_known(guard, clock):
    stamp = clock()
    guard.check("colour", stamp)
    clock.offset_ns -= 100 * SECOND
    guard.clock_jumped(-100 * SECOND)
    assert guard.is_from_before(stamp)
    guard.check("colour", clock())


@settings(deadline=None, max_examples=60)
@given(steps=st.lists(st.integers(-5000, 5000), max_size=30))
def test_any_sequence_of_stamps_is_survived_and_a_new_frame_is_never_called_old(steps):
    clock = Clock()
    guard = StampGuard(clock, 1.0, lambda _: None)
    stamp = clock() - 1000 * SECOND
    for step in steps:
        stamp += step * 1_000_000
        guard.check("colour", stamp)
        assert not guard.is_from_before(stamp)
