# SPDX-License-Identifier: Apache-2.0
"""Local contrast against the map, on a wall with a painting: what a lamp changes and what it does not."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.localization import appearance, local_contrast
from mvloc_ros.localization.inlier_residuals import Support
from mvloc_ros.localization.local_contrast import LocalContrast
from mvloc_ros.localization.rig_points import Rays
from mvloc_ros.localization.verification import contrast_evidence

CAMERA = PinholeCamera(160, 120, 130.0, 130.0, 79.5, 59.5)


def painting() -> np.ndarray:
    """Grey levels of the wall as the camera sees it, `[120, 160]`: patches of about ten pixels."""
    noise = np.random.default_rng(4).standard_normal((120, 160)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 4.0)
    return np.clip(110 + 45 * smooth / smooth.std(), 10, 240).astype(np.uint8)


def seen(count: int, wall: np.ndarray) -> tuple[Support, SimpleNamespace]:
    """Points of the wall, all inliers, and a map of these points with its brightness."""
    rng = np.random.default_rng(1)
    v, u = rng.integers(0, 120, count), rng.integers(0, 160, count)
    points = 2.0 * np.stack([(u - CAMERA.cx) / CAMERA.fx, (v - CAMERA.cy) / CAMERA.fy, np.ones(count)], axis=1)
    none, ones, rays = np.zeros(count), np.ones(count), Rays.of_one(points)
    found = Support(points, np.arange(count), np.ones(count, bool), none, ones, np.eye(6), rays)
    return found, SimpleNamespace(brightness=wall[v, u])


def compare(gray: np.ndarray, count: int = 1500, module=local_contrast, wall: np.ndarray | None = None):
    found, target = seen(count, painting() if wall is None else wall)
    color = np.repeat(np.clip(gray, 0, 255).astype(np.uint8)[..., None], 3, axis=2)
    return module.compare(found, target, color, CAMERA, np.eye(4))


SIDE = np.linspace(0.25, 1.75, 160)[None, :]
SPOT = 0.3 + 1.8 * np.exp(-0.5 * (((np.arange(160) - 40) / 35.0) ** 2 + ((np.arange(120)[:, None] - 60) / 35.0) ** 2))
LIGHTS = {
    "recorded": lambda x: x,
    "a sixth": lambda x: x / 6.0,
    "gamma 2": lambda x: 255.0 * (x / 255.0) ** 2,
    "side": lambda x: x * SIDE,
    "spot": lambda x: x * SPOT,
}


@pytest.mark.parametrize("name", LIGHTS)
def test_no_light_changes_it_much(name: str):
    found = compare(LIGHTS[name](painting().astype(float)))
    assert found.correlation > 0.9
    assert found.ratio < 0.5


def test_brightness_is_what_a_lamp_changes():
    """The evidence of older maps, on the same images: this is why it was replaced."""
    plain, lamp = (compare(LIGHTS[name](painting().astype(float)), module=appearance) for name in ("recorded", "spot"))
    assert plain.correlation > 0.99
    assert lamp.correlation < 0.6


@pytest.mark.parametrize("name", LIGHTS)
@pytest.mark.parametrize("shift", [(16, 0), (0, -8)])
def test_a_shifted_image_is_told_in_any_light(name: str, shift: tuple[int, int]):
    moved = np.roll(painting(), shift, axis=(1, 0))
    found = compare(LIGHTS[name](moved.astype(float)))
    assert found.correlation < 0.5
    assert found.ratio > 1.0
    assert contrast_evidence(found)["contrast_alignment"] == 0.0


def test_an_image_of_one_colour_correlates_with_nothing():
    found = compare(np.full((120, 160), 80.0) + np.random.default_rng(0).integers(0, 2, (120, 160)))
    assert abs(found.correlation) < 0.2


def test_a_wall_of_one_colour_tells_nothing_and_a_painting_there_does():
    plain = 120 + np.random.default_rng(5).integers(-2, 3, (120, 160)).astype(np.uint8)
    assert compare(plain.astype(float), wall=plain[::-1]) is None
    assert abs(compare(painting(), wall=plain).correlation) < 0.2


def test_too_few_points_are_like_nothing():
    """A pose at which little of the image shows what the map has is not one that cannot be compared."""
    assert compare(painting(), 40) == LocalContrast(0.0, 0.0, 0.0)


def test_a_small_shift_lowers_synchrony_alone():
    """Cameras that are not synchronised, while they turn: 1.5 degrees."""
    plain, small = compare(painting().astype(float)), compare(np.roll(painting(), 4, axis=1).astype(float))
    assert plain.synchrony > 0.99
    assert small.synchrony < 0.8
    assert small.nearby > 0.9
    assert small.ratio < 0.75


def test_evidence_lies_between_0_and_1():
    assert contrast_evidence(LocalContrast(0.8, 0.8, 0.2)) == {
        "local_contrast": 0.8, "synchrony": 1.0, "contrast_alignment": 1.0
    }  # fmt: skip
    assert contrast_evidence(LocalContrast(0.4, 0.8, 0.56))["contrast_alignment"] == pytest.approx(0.5)
    assert contrast_evidence(LocalContrast(0.4, 0.8, 0.56))["synchrony"] == pytest.approx(0.5)
    assert contrast_evidence(LocalContrast(-0.3, -0.3, 0.2)) == {
        "local_contrast": 0.0, "synchrony": 0.0, "contrast_alignment": 0.0
    }  # fmt: skip
    assert contrast_evidence(LocalContrast(0.8, 0.8, -0.2))["contrast_alignment"] == 1.0
