# SPDX-License-Identifier: Apache-2.0
"""Points grouped by cubes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvloc_ros.geometry.voxels import sum_by_key, voxel_keys

COORDINATE = st.floats(-500.0, 500.0, allow_nan=False)


@given(st.lists(st.tuples(COORDINATE, COORDINATE, COORDINATE), min_size=2, max_size=30), st.sampled_from([0.02, 0.5]))
def test_keys_are_equal_exactly_within_a_cube(points: list[tuple[float, float, float]], size: float):
    points = np.array(points)
    keys, cells = voxel_keys(points, size), np.floor(points / size)
    same_cell = (cells[:, None] == cells[None]).all(axis=2)
    np.testing.assert_array_equal(keys[:, None] == keys[None], same_cell)


def test_cubes_too_far_from_the_origin_are_refused():
    with pytest.raises(ValueError, match="too far"):
        voxel_keys(np.array([[3e5, 0.0, 0.0]]), 0.02)


@given(st.lists(st.integers(0, 5), max_size=40))
def test_sums_by_key(keys: list[int]):
    values = np.stack([np.arange(len(keys)), np.ones(len(keys))], axis=1) if keys else np.zeros((0, 2))
    found, sums = sum_by_key(np.array(keys, dtype=np.int64), values)
    assert list(found) == sorted(set(keys))
    for key, row in zip(found, sums, strict=True):
        assert tuple(row) == (sum(i for i, k in enumerate(keys) if k == key), keys.count(key))
