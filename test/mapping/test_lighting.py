# SPDX-License-Identifier: Apache-2.0
"""Another light on an image: what the grey levels become."""

from __future__ import annotations

import numpy as np
import pytest

from mvloc_ros.mapping.lighting import RECORDED, Light, Shadow, Spot, drawn

GREY = np.full((31, 41, 3), 100, np.uint8)


def on(light: Light, image: np.ndarray = GREY) -> np.ndarray:
    return light.on(image, np.random.default_rng(0))


def test_the_recorded_light_changes_nothing():
    assert on(RECORDED) is GREY


@pytest.mark.parametrize(
    ("light", "level"),
    [(Light(gain=0.5), 50), (Light(gain=3.0), 255), (Light(gamma=2.0), 39), (Light(gamma=0.5), 160)],
)
def test_exposure_and_gamma(light: Light, level: int):
    assert set(np.unique(on(light))) == {level}


def test_a_cast_scales_the_channels():
    np.testing.assert_array_equal(on(Light(cast=(1.2, 0.9, 0.6)))[3, 5], [120, 90, 60])


def test_a_lamp_from_one_side_is_a_slope_over_the_image():
    row = on(Light(across=0.75))[7, :, 0]
    np.testing.assert_array_equal(row[[0, 20, 40]], [25, 100, 175])
    np.testing.assert_array_equal(on(Light(down=-0.5))[[0, 15, 30], 9, 1], [150, 100, 50])


def test_a_spot_is_brightest_in_its_middle_and_leaves_the_floor_far_away():
    image = on(Light(spot=Spot(0.25, 0.5, radius=0.05, floor=0.3, peak=1.8)))
    assert image[15, 10, 0] == 210
    assert image[15, 40, 0] == 30


def test_a_shadow_lies_beyond_its_edge():
    image = on(Light(shadows=(Shadow(0.5, 0.5, 0.0, 0.4),)))
    assert set(image[:, :20].ravel()) == {100}
    assert set(image[:, 22:].ravel()) == {40}


def test_noise_is_drawn_from_the_generator_and_averages_out():
    light = Light(noise=4.0)
    noisy = on(light)
    np.testing.assert_array_equal(noisy, on(light))
    assert noisy.mean() == pytest.approx(100.0, abs=0.5)
    assert noisy.std() == pytest.approx(4.0, abs=0.3)


def test_lights_by_chance_can_be_repeated_and_differ():
    some = [drawn(np.random.default_rng(seed)) for seed in range(200)]
    assert some == [drawn(np.random.default_rng(seed)) for seed in range(200)]
    assert 30 < some.count(RECORDED) < 75
    others = [light for light in some if light != RECORDED]
    assert len(set(others)) == len(others)
    for of_a_kind in ("spot", "shadows", "across"):
        assert sum(bool(getattr(light, of_a_kind)) for light in others) > 15
    assert min(light.gain for light in others) < 0.25
    assert max(light.gain for light in others) > 1.8
    assert min(light.gamma for light in others) < 0.65
    assert max(light.gamma for light in others) > 1.8
