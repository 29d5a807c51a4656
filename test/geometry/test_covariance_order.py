# SPDX-License-Identifier: Apache-2.0
"""Covariances by their directions: raised to another one, and how large they are at most."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mvloc_ros.geometry.covariance import at_least, largest_deviations


def covariance(seed: int) -> np.ndarray:
    """Positive definite, correlated, with standard deviations from 1 mm to 1 m."""
    rng = np.random.default_rng(seed)
    turned, _ = np.linalg.qr(rng.standard_normal((6, 6)))
    return (turned * 10.0 ** rng.uniform(-6, 0, 6)) @ turned.T


def smallest(matrix: np.ndarray) -> float:
    return float(np.linalg.eigvalsh(matrix)[0])


@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_the_result_is_smaller_than_neither(a: int, b: int):
    first, second = covariance(a), covariance(b)
    raised = at_least(first, second)
    tolerance = 1e-9 * np.linalg.norm(raised)
    assert smallest(raised) > 0
    assert smallest(raised - first) > -tolerance
    assert smallest(raised - second) > -tolerance
    np.testing.assert_array_equal(raised, raised.T)


def test_what_is_large_enough_stays():
    matrix = covariance(3)
    np.testing.assert_allclose(at_least(4.0 * matrix, matrix), 4.0 * matrix, rtol=1e-9)
    np.testing.assert_allclose(at_least(0.25 * matrix, matrix), matrix, rtol=1e-9)
    np.testing.assert_allclose(at_least(np.diag([1.0, 9, 4]), np.diag([4.0, 1, 2])), np.diag([4.0, 9, 4]))


@given(st.integers(0, 10_000))
def test_no_direction_deviates_by_more_than_the_largest(seed: int):
    matrix = covariance(seed)
    ways = np.random.default_rng(seed).standard_normal((200, 3))
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    for largest, axes in zip(largest_deviations(matrix), (slice(0, 3), slice(3, 6)), strict=True):
        along = np.sqrt(np.einsum("ni,ij,nj->n", ways, matrix[axes, axes], ways))
        assert 0.7 * largest < along.max() <= largest * (1.0 + 1e-9)


def test_position_and_rotation_are_told_apart():
    found = largest_deviations(np.diag([0.01, 0.09, 0.04, 1e-4, 4e-4, 1e-6]))
    np.testing.assert_allclose(found, (0.3, 0.02))
