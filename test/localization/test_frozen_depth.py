# SPDX-License-Identifier: Apache-2.0
"""A depth camera that hangs, and what looks like one and is none."""

from __future__ import annotations

import numpy as np
import pytest

from mvloc_ros.localization.frozen_depth import HANGS_NS, FrozenDepth

PERIOD_NS = 33_333_333
RNG = np.random.default_rng(0)
WALL = RNG.integers(30, 220, (12, 16)).repeat(10, axis=0).repeat(40, axis=1).astype(np.float64)


def color(column: float = 0.0, noise: float = 2.0, brighter: float = 0.0) -> np.ndarray:
    """What a camera sees of a painted wall, turned by some of 160 columns."""
    first = 200 + round(column)
    grey = WALL[:, first : first + 160] + brighter + noise * RNG.standard_normal((120, 160))
    return np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def depth(noise: float = 0.003) -> np.ndarray:
    return (2.0 + noise * RNG.standard_normal((120, 160))).astype(np.float32)


@pytest.fixture
def frozen() -> FrozenDepth:
    return FrozenDepth()


def test_depth_that_hangs_while_the_camera_turns_is_told_from_a_single_repetition(frozen):
    hanging = depth()
    words = [frozen.fault_of(i * PERIOD_NS, color(3.0 * i), hanging) for i in range(20)]
    assert words[0] == ""
    assert all("to the last bit" in text for text in words[1:])
    assert ["hangs" in text for text in words] == [i * PERIOD_NS >= HANGS_NS for i in range(20)]
    assert frozen.fault_of(20 * PERIOD_NS, color(60.0), depth()) == "", "it works again"


def test_depth_that_hung_while_the_camera_stood_is_found_when_it_turns_however_slowly(frozen):
    hanging = depth()
    still = [frozen.fault_of(i * PERIOD_NS, color(), hanging) for i in range(30)]
    assert still == [""] * 30
    turning = [frozen.fault_of((30 + i) * PERIOD_NS, color(0.1 * i), hanging) for i in range(100)]
    assert turning[0] == ""
    assert all("hangs" in text for text in turning[60:])


@pytest.mark.parametrize("noise", [0.0, 2.0, 10.0])
def test_a_simulated_camera_that_stands_still_is_none(frozen, noise):
    """Depth without noise is the same to the last bit; colour has noise, and a lamp grows brighter."""
    scene = depth()
    assert not any(frozen.fault_of(i * PERIOD_NS, color(0.0, noise, 0.2 * i), scene) for i in range(100))


def test_a_real_camera_that_stands_still_is_none_whatever_moves_in_its_colour_image(frozen):
    """One pixel of 19,200 that was measured anew is enough."""
    scene = depth()
    for i in range(30):
        scene = scene.copy()
        scene[60, 80] += 0.001
        assert frozen.fault_of(i * PERIOD_NS, color(5.0 * i), scene) == ""


def test_invalid_pixels_count_as_equal_and_a_missing_image_as_nothing(frozen):
    hanging = depth()
    hanging[:20] = np.nan
    assert frozen.fault_of(0, None, hanging) == ""
    assert frozen.fault_of(1, None, hanging.copy()) == ""
    assert frozen.fault_of(2, color(), None) == ""
    assert frozen.fault_of(3, color(), hanging.copy()) == "", "the first colour image beside it"
    assert "to the last bit" in frozen.fault_of(4, color(20.0), hanging.copy())
