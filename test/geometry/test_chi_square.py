# SPDX-License-Identifier: Apache-2.0
"""NEES and chi-square against tables."""

from __future__ import annotations

import numpy as np
import pytest

from mvloc_ros.geometry import chi_square


@pytest.mark.parametrize(
    ("dof", "x", "probability"),
    [(3, 0.0, 0.0), (3, 2.366, 0.5), (3, 7.815, 0.95), (6, 5.348, 0.5), (6, 12.592, 0.95), (6, 16.812, 0.99)],
)
def test_the_distribution_is_the_tables(dof: int, x: float, probability: float):
    assert chi_square.cdf(x, dof) == pytest.approx(probability, abs=2e-4)


def test_other_degrees_of_freedom_are_refused():
    with pytest.raises(ValueError, match="4 degrees"):
        chi_square.cdf(1.0, 4)


@pytest.mark.parametrize(
    ("count", "dof", "low", "high"), [(50, 6, 253.912, 349.874), (1, 6, 1.237, 14.449), (10, 3, 16.791, 46.979)]
)
def test_bounds_of_the_mean_are_the_tables(count: int, dof: int, low: float, high: float):
    found = np.array(chi_square.mean_bounds(count, dof)) * count * dof
    np.testing.assert_allclose(found, [low, high], rtol=1e-3 if count * dof > 100 else 0.03)


def test_nees_by_hand():
    covariances = np.array([np.diag([4.0, 1.0, 1.0]), np.diag([1.0, 9.0, 1.0])])
    np.testing.assert_allclose(chi_square.squared([[2.0, 0, 0], [1.0, 3.0, 2.0]], covariances), [1.0, 6.0])
    # Correlated: along (1, 1, 0) the variance is 1.5, across it 0.5.
    correlated = np.array([[1.0, 0.5, 0], [0.5, 1.0, 0], [0, 0, 1.0]])
    np.testing.assert_allclose(chi_square.squared([[1.0, 1, 0], [1.0, -1, 0]], correlated), [2 / 1.5, 4.0])
