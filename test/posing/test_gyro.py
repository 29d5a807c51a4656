# SPDX-License-Identifier: Apache-2.0
"""Rotation by angular velocity."""

from __future__ import annotations

import numpy as np
import pytest
from imu_scene import rotation

from mvloc_ros.geometry import se3
from mvloc_ros.posing.gyro import turned
from mvloc_ros.recordings.imu.samples import Readings

ABOUT_Z, ABOUT_X = 0.5, 0.8


def pose(t: float) -> np.ndarray:
    """A turn about z, and one about the x axis of what turned so: a constant rate about an axis that moves."""
    return rotation(0, 0, np.rad2deg(ABOUT_Z * t)) @ rotation(np.rad2deg(ABOUT_X * t), 0, 0)


def rates(seconds: float = 3.0, hz: float = 400.0, bias: float = 0.0) -> Readings:
    at = np.arange(0.0, seconds, 1.0 / hz)
    values = np.stack([np.full(len(at), ABOUT_X), ABOUT_Z * np.sin(ABOUT_X * at), ABOUT_Z * np.cos(ABOUT_X * at)], 1)
    return Readings(np.rint(1e9 * at).astype(np.int64), values + bias)


def angle(R: np.ndarray) -> float:
    return float(np.linalg.norm(se3.rotation_vector(R)))


@pytest.mark.parametrize(("start", "end"), [(0.1, 0.1337), (0.50003, 2.40071), (1.0, 1.001), (0.2, 2.9)])
def test_a_constant_rate_about_changing_axes(start: float, end: float):
    found = turned(rates(), round(1e9 * start), round(1e9 * end))
    assert found is not None
    assert angle(found.T @ pose(start).T @ pose(end)) < 1e-6
    back = turned(rates(), round(1e9 * end), round(1e9 * start))
    assert back is not None
    assert angle(found @ back) < 1e-9


def test_rates_that_grow_evenly_are_exact():
    """The axis turns within a step as well: without the commutator the error would be that of a coarse step."""

    def measured(hz: float) -> np.ndarray:
        at = np.arange(0.0, 3.0, 1.0 / hz)
        values = np.outer(np.ones(len(at)), [0.5, -1.0, 0.2]) + np.outer(at, [0.3, 0.8, -1.0])
        found = turned(Readings(np.rint(1e9 * at).astype(np.int64), values), 100_000_000, 2_500_000_000)
        assert found is not None
        return found

    assert angle(measured(50.0).T @ measured(4000.0)) < 1e-8


def test_the_bias_is_removed():
    found = turned(rates(bias=0.02), 200_000_000, 1_200_000_000, np.full(3, 0.02))
    assert found is not None
    assert angle(found.T @ pose(0.2).T @ pose(1.2)) < 1e-6


def test_nothing_is_told_outside_of_the_samples_and_over_gaps():
    whole = rates()
    assert turned(whole, -1, 500_000_000) is None
    assert turned(whole, 500_000_000, 3_000_000_001) is None
    kept = np.r_[0:400, 450:1200]  # a gap of 127 ms at 1 s
    holed = Readings(whole.stamps_ns[kept], whole.values[kept])
    assert turned(holed, 900_000_000, 1_200_000_000) is None
    assert turned(holed, 1_050_000_000, 1_060_000_000) is None
    assert turned(holed, 1_130_000_000, 1_500_000_000) is not None
