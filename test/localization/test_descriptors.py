# SPDX-License-Identifier: Apache-2.0
"""Descriptors say where a frame was taken, whatever the light and the noise."""

from __future__ import annotations

import numpy as np
import pytest

from mvloc_ros.localization.descriptors import (
    COLOR_LENGTH,
    DEPTH_LENGTH,
    describe,
    describe_color,
    describe_depth,
)


def picture(seed: int) -> np.ndarray:
    """Rectangles of several brightnesses, as furniture has them; RGB `[120, 160, 3]`."""
    rng = np.random.default_rng(seed)
    image = np.full((120, 160, 3), 90, np.uint8)
    for _ in range(25):
        top, left = rng.integers(0, 100), rng.integers(0, 140)
        image[top : top + rng.integers(8, 40), left : left + rng.integers(8, 50)] = rng.integers(40, 180, 3)
    return image


def brighter(image: np.ndarray, factor: float) -> np.ndarray:
    return np.clip(image * factor, 0, 255).astype(np.uint8)


def with_gamma(image: np.ndarray, gamma: float) -> np.ndarray:
    return (255.0 * (image / 255.0) ** gamma).astype(np.uint8)


def noisy(image: np.ndarray, level: float) -> np.ndarray:
    noise = level * np.random.default_rng(7).standard_normal(image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def half_in_light(image: np.ndarray) -> np.ndarray:
    changed = image.astype(np.float64)
    changed[:, 80:] *= 1.3
    return np.clip(changed, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    "change",
    [
        lambda image: brighter(image, 0.5),
        lambda image: brighter(image, 1.4),
        lambda image: with_gamma(image, 0.6),
        lambda image: with_gamma(image, 1.6),
        lambda image: noisy(image, 6.0),
        half_in_light,
        lambda image: image[:, :, ::-1],
    ],
    ids=["dark", "bright", "gamma 0.6", "gamma 1.6", "noise", "half in light", "red as blue"],
)
def test_light_and_noise_change_a_descriptor_less_than_another_place_does(change):
    places = [picture(seed) for seed in range(6)]
    found = np.stack([describe_color(place) for place in places])
    for number, place in enumerate(places):
        changed = describe_color(np.ascontiguousarray(change(place)))
        distances = np.linalg.norm(found - changed, axis=1)
        assert distances[number] < 0.75 * np.delete(distances, number).min()


def test_blocks_without_contrast_do_not_show_noise():
    flat = np.full((120, 160, 3), 120, np.uint8)
    assert np.linalg.norm(describe_color(noisy(flat, 2.0))) < 0.25 * np.linalg.norm(describe_color(picture(0)))


def test_sizes_do_not_depend_on_the_images():
    for height, width in ((120, 160), (60, 80), (90, 160), (240, 240)):
        found = describe(np.zeros((height, width, 3), np.uint8), np.ones((height, width), np.float32), 0.1, 6.0)
        assert (found.color.shape, found.depth.shape) == ((COLOR_LENGTH,), (DEPTH_LENGTH,))
        assert found.color.dtype == found.depth.dtype == np.float32
        assert np.isfinite(found.color).all()
        np.testing.assert_allclose(found.depth, 0.0, atol=1e-6)


def test_depth_is_the_mean_logarithm_of_what_was_measured():
    depth = np.full((120, 160), 2.0, np.float32)
    depth[:, 80:] = 4.0
    depth[::2, ::2] = np.nan  # a quarter of each cell
    depth[:20, :20] = 0.0  # the whole first cell
    depth[100:, 140:] = 9.0  # beyond the range, the whole last cell
    found = describe_depth(depth, 0.1, 6.0).reshape(6, 8)
    assert np.isnan(found[0, 0])
    assert np.isnan(found[5, 7])
    np.testing.assert_allclose(found[1:5, :4], np.log(2.0), atol=1e-5)
    np.testing.assert_allclose(found[1:5, 4:], np.log(4.0), atol=1e-5)


def test_a_frame_without_an_image_lacks_that_part():
    color, depth = picture(0), np.ones((120, 160), np.float32)
    assert describe(None, depth, 0.1, 6.0).color is None
    assert describe(color, None, 0.1, 6.0).depth is None
