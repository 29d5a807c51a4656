# SPDX-License-Identifier: Apache-2.0
"""How far depth is, and the unit that its values are in."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mvloc_ros.geometry.depth_statistics import DepthTally, likely_unit, unit_hint


def test_the_median_is_of_the_measurements_alone():
    tally = DepthTally(0.5, 3.0)
    tally.add(np.array([[0.0, np.nan, np.inf, -1.0, 1.0, 2.0, 2.5, 9.0]]))
    found = tally.result()
    assert (found.pixels, found.measured, found.median_m, found.inside) == (8, 4, 2.25, 0.75)
    assert found.text() == "median 2.25 m, 50% of the pixels measured"
    empty = DepthTally(0.5, 3.0).result()
    assert math.isnan(empty.median_m)
    assert empty.text() == "no depth image was read"


def test_large_maps_are_sampled():
    tally = DepthTally(0.0, 9.0)
    tally.add(np.full((480, 640), 1.5, np.float32))
    assert tally.result().pixels == 60 * 80


def test_no_measurement_is_overlooked_by_the_sampling():
    sparse = np.zeros((480, 640), np.float32)
    sparse[0, 0] = 7.0
    tally = DepthTally(0.0, 9.0)
    tally.add(sparse)
    assert tally.result().median_m == 7.0


@pytest.mark.parametrize(
    ("median_m", "read_as", "unit"),
    [
        (15.0, 1e-3, "tenths of a millimetre"),
        (1500.0, 1.0, "millimetres"),
        (0.3, 1 / 5000, "millimetres"),
        (0.0015, 1e-3, "metres"),
    ],
)
def test_the_likely_unit_makes_a_room_of_it(median_m: float, read_as: float, unit: str):
    guess = likely_unit(median_m, read_as)
    assert guess is not None
    assert guess[0] == unit


def test_without_a_guess_there_is_no_hint():
    assert likely_unit(math.nan, 1.0) is None
    assert unit_hint(1e9, 1e-3) == ""
    assert unit_hint(1500.0, 1.0) == ("the values look like millimetres (0.001 m), in which the median would be 1.5 m")
