# SPDX-License-Identifier: Apache-2.0
"""Lost images, told from the stamps of those that came."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvloc_ros.frontend.gaps import GapCounter

MS = 1_000_000
S = 1000 * MS


def count(stamps: list[int]) -> GapCounter:
    counter = GapCounter()
    for stamp in stamps:
        counter.add(stamp)
    return counter


@settings(deadline=None)
@given(st.integers(0, 2**32), st.floats(0.0, 0.25), st.integers(5, 200), st.floats(0.0, 0.08))
def test_every_lost_image_is_counted_once(seed: int, loss: float, period_ms: int, jitter: float):
    rng = random.Random(seed)
    period = period_ms * MS
    kept = [n for n in range(200) if n in (0, 199) or rng.random() >= loss]
    if max(b - a for a, b in itertools.pairwise(kept)) > 9:
        return  # a pause
    stamps = [S + n * period + int(period * rng.uniform(-jitter, jitter)) for n in kept]
    counter = count(stamps)
    assert counter.lost == 200 - len(kept)
    assert counter.rate_hz() == pytest.approx(1e9 / period, rel=0.1)


def test_a_pause_a_jump_and_a_repeated_stamp_are_no_loss():
    stamps = [S + n * 33 * MS for n in range(20)]
    later = [stamps[-1] + 60 * S + n * 33 * MS for n in range(20)]
    assert count(stamps + later + stamps + [stamps[-1]] * 3).lost == 0


def test_what_comes_late_was_not_lost():
    stamps = [S + n * 33 * MS for n in range(20)]
    stamps[12], stamps[13] = stamps[13], stamps[12]
    assert count(stamps).lost == 0


def test_a_camera_that_slows_down_is_believed_after_a_while():
    stamps = [S + n * 33 * MS for n in range(20)]
    slow = [stamps[-1] + n * 66 * MS for n in range(1, 60)]
    counter = count(stamps + slow)
    assert counter.rate_hz() == pytest.approx(15.15, abs=0.1)
    assert counter.lost <= 15


def test_nothing_is_said_of_a_few_images():
    counter = count([S, S + 33 * MS, S + 99 * MS])
    assert counter.lost == 0
    assert counter.rate_hz() is None


def test_one_absurd_first_stamp_is_a_pause_and_no_loss():
    stamps = [10**18 + n * 33 * MS for n in range(30)]
    assert count([1, *stamps]).lost == 0
    assert count([*stamps[:3], stamps[3] + 900 * MS, *stamps[3:]]).lost == 0


def test_one_stamp_ahead_hides_no_real_loss():
    stamps = [10**18 + n * 33 * MS for n in range(90)]
    del stamps[15]  # counted before the stamp that is 0.9 s ahead
    assert count([*stamps[:30], stamps[30] + 900 * MS, *stamps[30:]]).lost == 1
