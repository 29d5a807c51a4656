# SPDX-License-Identifier: Apache-2.0
"""Covariances from errors: as rich as the blocks of frames can bear, and no richer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvloc_ros.mapping.covariance_estimator import CONSERVATIVE, MIXTURES, Figures, Mixture, choose, cross_validated

CORRELATED = np.diag([0.1, 0.05, 0.05, 0.03, 0.08, 0.04]) @ (
    np.eye(6) + 0.9 * (np.eye(6)[:, [3, 4, 5, 0, 1, 2]])
) @ np.diag([0.1, 0.05, 0.05, 0.03, 0.08, 0.04])  # fmt: skip


def blocks_of(frames: int, count: int) -> list[str]:
    return [f"seq-{i * count // frames:02d}" for i in range(frames)]


def test_shares_sum_to_one_and_every_mixture_is_there_once():
    assert len(set(MIXTURES)) == len(MIXTURES) == 15
    assert MIXTURES[0] == CONSERVATIVE
    for mixture in MIXTURES:
        assert min(vars(mixture).values()) >= 0
        assert sum(vars(mixture).values()) == pytest.approx(1.0)


@given(st.sampled_from(MIXTURES), st.integers(1, 40), st.integers(0, 1000))
def test_every_mixture_is_positive_definite_and_keeps_the_mean_square_error(mixture: Mixture, frames: int, seed: int):
    errors = np.random.default_rng(seed).standard_normal((frames, 6)) * [1, 0.1, 0.01, 0.001, 0.1, 1e-6]
    covariance = mixture.of(errors)
    assert np.linalg.eigvalsh(covariance)[0] > 0
    np.testing.assert_array_equal(covariance, covariance.T)
    mean = np.mean(errors**2, axis=0)
    assert np.trace(covariance[:3, :3]) == pytest.approx(mean[:3].sum(), rel=1e-3, abs=1e-6)
    assert np.trace(covariance[3:, 3:]) == pytest.approx(mean[3:].sum(), rel=1e-3, abs=1e-6)


def test_many_independent_blocks_give_the_correlations():
    errors = np.random.default_rng(0).multivariate_normal(np.zeros(6), CORRELATED, 2000)
    mixture = choose(errors, blocks_of(2000, 100))
    assert mixture.full == 1.0
    np.testing.assert_allclose(mixture.of(errors), CORRELATED, atol=8e-4)
    figures = Figures.of(errors, mixture.of(errors))
    assert figures.anees == pytest.approx(1.0, abs=0.05)
    assert figures.coverage_95 == pytest.approx(0.95, abs=0.02)


def test_few_blocks_that_err_alike_inside_give_no_correlations():
    rng = np.random.default_rng(1)
    biases = rng.standard_normal((4, 6)) * [0.1] * 6
    errors = np.repeat(biases, 20, axis=0) + 0.01 * rng.standard_normal((80, 6))
    blocks = blocks_of(80, 4)
    assert choose(errors, blocks).full < 0.5
    # What a full covariance would promise of a block that it has not seen.
    assert cross_validated(Mixture(1.0, 0.0, 0.0), errors, blocks).anees > 3.0
    assert cross_validated(choose(errors, blocks), errors, blocks).anees < 2.0


def test_what_five_blocks_cannot_tell_apart_is_chosen_cautiously():
    """Errors of equal size in all directions: whatever fits five blocks better than that does so by chance."""
    chosen = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        errors = np.repeat(rng.standard_normal((5, 6)), 15, axis=0) + 0.3 * rng.standard_normal((75, 6))
        blocks = blocks_of(75, 5)
        chosen.append(choose(errors, blocks))
        best = max(MIXTURES, key=lambda mixture: cross_validated(mixture, errors, blocks).log_likelihood)
        assert MIXTURES.index(chosen[-1]) <= MIXTURES.index(best)
    assert chosen.count(CONSERVATIVE) > 15


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_blocks_give_the_cautious_estimate(count: int):
    errors = np.random.default_rng(2).standard_normal((60, 6)) * [1, 0.1, 0.1, 1, 0.1, 0.1]
    assert choose(errors, blocks_of(60, count)) == CONSERVATIVE
    assert choose(errors, blocks_of(60, 6)) != CONSERVATIVE


def test_rare_large_errors_are_not_left_out():
    rng = np.random.default_rng(3)
    errors = 0.02 * rng.standard_t(3, (1000, 6))
    covariance = choose(errors, blocks_of(1000, 20)).of(errors)
    assert Figures.of(errors, covariance).coverage_95 > 0.9
    robust = np.diag((1.4826 * np.median(np.abs(errors), axis=0)) ** 2)
    assert Figures.of(errors, robust).coverage_95 < 0.85
