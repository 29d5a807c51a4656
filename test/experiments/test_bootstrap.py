# SPDX-License-Identifier: Apache-2.0
"""Intervals against distributions whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvloc_ros.experiments.bootstrap import Blocks, draw, interval
from mvloc_ros.experiments.errors import ExperimentError


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 40), st.integers(1, 50)), min_size=1, max_size=4), st.integers(0, 99))
def test_resamples_are_blocks_of_consecutive_frames_of_every_sequence(sizes: list[tuple[int, int]], seed: int) -> None:
    lengths = [min(length, size) for size, length in sizes]
    starts = np.cumsum([0] + [size for size, _ in sizes])
    groups = [np.arange(size) + start for (size, _), start in zip(sizes, starts, strict=False)]
    drawn = draw(groups, lengths, 7, np.random.default_rng(seed))
    assert drawn.shape == (7, starts[-1])
    for group, length, begin in zip(groups, lengths, starts, strict=False):
        part = drawn[:, begin : begin + len(group)]
        assert np.isin(part, group).all()
        for first in range(0, len(group), length):
            block = part[:, first : first + length] - begin
            assert ((block - block[:, :1]) % len(group) == np.arange(block.shape[1])).all()


def test_every_frame_is_drawn_equally_often() -> None:
    drawn = draw([np.arange(50)], [30], 20_000, np.random.default_rng(0))
    counts = np.bincount(drawn.ravel(), minlength=50) / 20_000
    assert np.all(np.abs(counts - 1.0) < 0.05)


def covered(values: np.ndarray, truth: float, statistic: object, length: int) -> float:
    """Share of rows whose interval holds the truth."""
    groups, found = [np.arange(values.shape[1])], []
    for seed, row in enumerate(values):
        low, high = interval(row[None], statistic, groups, [length], Blocks(resamples=200, seed=seed))
        found.append(low <= truth <= high)
    return float(np.mean(found))


def test_95_of_100_intervals_hold_the_truth() -> None:
    values = np.random.default_rng(1).exponential(size=(300, 150))
    assert covered(values, 1.0, np.mean, 1) == pytest.approx(0.945, abs=0.035)
    assert covered(values, np.log(2.0), np.median, 1) == pytest.approx(0.945, abs=0.035)


def test_the_width_of_a_mean_is_that_of_the_normal_distribution() -> None:
    values = np.random.default_rng(2).normal(5.0, 2.0, (1, 2000))
    low, high = interval(values, np.mean, [np.arange(2000)], [1], Blocks(resamples=2000))
    assert high - low == pytest.approx(2 * 1.96 * np.std(values) / np.sqrt(2000), rel=0.08)
    assert (low + high) / 2 == pytest.approx(np.mean(values), abs=0.01)


def test_frames_that_are_alike_need_blocks() -> None:
    """An autoregressive series: the standard error of its mean is sqrt((1 + r) / (1 - r)) times that of white noise."""
    generator, ratio = np.random.default_rng(3), 0.9
    noise = generator.normal(size=(80, 1500))
    series = np.empty_like(noise)
    series[:, 0] = noise[:, 0] / np.sqrt(1 - ratio**2)
    for i in range(1, noise.shape[1]):
        series[:, i] = ratio * series[:, i - 1] + noise[:, i]
    single, blocks = covered(series, 0.0, np.mean, 1), covered(series, 0.0, np.mean, 100)
    assert single < 0.5
    assert blocks > 0.85


def test_seeds_are_drawn_together() -> None:
    """Two seeds whose errors cancel have a mean that no draw changes."""
    first = np.random.default_rng(4).normal(size=400)
    low, high = interval(np.stack([first, -first]), np.mean, [np.arange(400)], [10], Blocks(resamples=50))
    assert low == pytest.approx(0.0, abs=1e-12)
    assert high == pytest.approx(0.0, abs=1e-12)


def test_the_same_seed_gives_the_same_interval() -> None:
    values = np.random.default_rng(5).normal(size=(1, 100))
    found = [interval(values, np.median, [np.arange(100)], [10], Blocks(seed=seed)) for seed in (7, 7, 8)]
    assert found[0] == found[1] != found[2]


def test_blocks_in_seconds_and_in_frames() -> None:
    stamps = np.arange(100) * 50_000_000
    assert Blocks(seconds=1.0).length(stamps) == 20
    assert Blocks(seconds=0.001).length(stamps) == 1
    assert Blocks(seconds=60.0).length(stamps) == 100
    assert Blocks(seconds=1.0, frames=7).length(stamps) == 7
    assert Blocks(frames=700).length(stamps) == 100
    assert Blocks(seconds=1.0).length(stamps[:1]) == 1
    with pytest.raises(ExperimentError, match="--block-seconds"):
        Blocks(seconds=0.0)
