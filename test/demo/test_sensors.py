# SPDX-License-Identifier: Apache-2.0
"""Noise, holes and range of the sensors, and the light."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mvloc_ros.demo.camera_paths import camera_pose
from mvloc_ros.demo.lighting import SETTINGS, between
from mvloc_ros.demo.raycast import Hits
from mvloc_ros.demo.renderer import Renderer
from mvloc_ros.demo.sensor_noise import ColorSensor, DepthSensor

NOTHING = np.zeros((200, 200), np.bool_)


def wall(depth: float, cosine: float = 1.0) -> Hits:
    """A plane that fills the image at one depth."""
    plane = np.full((200, 200), depth, np.float32)
    nowhere = np.zeros((200, 200), np.float32)
    return Hits(np.zeros((200, 200), np.intp), plane, nowhere, nowhere, np.full_like(plane, cosine))


@pytest.mark.parametrize("depth", [0.6, 1.5, 3.0, 5.0])
def test_depth_noise_is_that_of_the_kinect(depth: float) -> None:
    measured = DepthSensor().capture(wall(depth), NOTHING, np.random.default_rng(1))
    valid = measured[measured > 0]
    expected = 0.0012 + 0.0019 * (depth - 0.4) ** 2
    assert valid.mean() == pytest.approx(depth, abs=5 * expected / np.sqrt(valid.size) + 1e-4)
    # Rounding to millimetres adds a uniform error of 1 mm / sqrt(12).
    assert valid.std() == pytest.approx(np.hypot(expected, 0.001 / np.sqrt(12)), rel=0.03)
    millimetres = valid.astype(np.float64) * 1000
    np.testing.assert_allclose(millimetres, np.rint(millimetres), atol=2e-3)
    assert 1 - valid.size / measured.size == pytest.approx(0.004, abs=0.002)


@pytest.mark.parametrize(("depth", "cosine"), [(0.3, 1.0), (8.5, 1.0), (2.0, 0.05)])
def test_nothing_is_measured_out_of_range_or_at_grazing_angles(depth: float, cosine: float) -> None:
    assert not DepthSensor().capture(wall(depth, cosine), NOTHING, np.random.default_rng(2)).any()


def test_glass_gives_no_depth_and_edges_often_none() -> None:
    hits = wall(1.0)
    hits.depth[:, 100:] = 2.0
    glass = NOTHING.copy()
    glass[:50] = True
    measured = DepthSensor().capture(hits, glass, np.random.default_rng(3))
    assert not measured[:50].any()
    assert (measured[50:, 99:101] == 0).mean() == pytest.approx(0.6, abs=0.1)
    assert (measured[50:, :98] == 0).mean() < 0.01


def test_colour_noise_has_the_stated_size_and_corners_are_darker() -> None:
    sensor = ColorSensor(noise=2.0, vignetting=0.15)
    flat = np.full((240, 320, 3), 128, np.float32)
    image = sensor.capture(flat, np.random.default_rng(4)).astype(np.float64)
    centre = image[110:130, 150:170]
    assert centre.mean() == pytest.approx(128, abs=0.5)
    assert centre.std() == pytest.approx(np.hypot(2.0, 1 / np.sqrt(12)), rel=0.1)
    assert image[:8, :8].mean() == pytest.approx(128 * 0.85, abs=1.5)


def test_measured_frames_are_like_the_exact_ones_and_only_the_generator_decides(renderer: Renderer) -> None:
    pose = camera_pose(0.2, -0.8, 1.2, np.deg2rad(100), -0.05)
    exact = renderer.exact(pose)
    first = renderer.measure(pose, np.random.default_rng(5))
    again = renderer.measure(pose, np.random.default_rng(5))
    other = renderer.measure(pose, np.random.default_rng(6))
    assert np.array_equal(first.color, again.color)
    assert np.array_equal(first.depth, again.depth)
    assert not np.array_equal(first.color, other.color)
    assert not np.array_equal(first.depth, other.depth)
    valid = first.depth > 0
    assert 0.6 < valid.mean() < 0.99  # the windows are glass
    assert np.abs(first.depth - exact.depth)[valid].max() < 6 * 0.07
    assert np.median(np.abs(first.depth - exact.depth)[valid]) < 0.02
    assert np.abs(first.color.astype(int) - exact.color).mean() < 20


def test_a_light_between_two_is_darker_than_one_and_brighter_than_the_other(renderer: Renderer) -> None:
    pose = camera_pose(0, 0, 1.2, np.deg2rad(20))
    levels = []
    for light in (SETTINGS["dim"], between(SETTINGS["dim"], SETTINGS["bright day"], 0.5), SETTINGS["bright day"]):
        renderer.set_light(light)
        levels.append(float(renderer.exact(pose).color.mean()))
    renderer.set_light(SETTINGS["day"])
    assert levels[0] + 5 < levels[1] < levels[2] - 5


def test_furniture_casts_shadows(renderer: Renderer) -> None:
    """In daylight the floor under the desk is darker than the floor before it."""
    renderer.set_light(SETTINGS["day"])
    image = cv2.cvtColor(renderer.exact(camera_pose(1.2, 0.2, 1.3, np.deg2rad(90), np.deg2rad(-30))).color, 6 + 1)

    def level(x: float, y: float) -> float:
        down = np.deg2rad(30)
        z = (y - 0.2) * np.cos(down) + 1.3 * np.sin(down)
        v = 119.5 + 250 * (1.3 * np.cos(down) - (y - 0.2) * np.sin(down)) / z
        u = 159.5 + 250 * (x - 1.2) / z
        return float(image[round(v) - 2 : round(v) + 3, round(u) - 2 : round(u) + 3].mean())

    assert level(0.75, 2.1) < 0.75 * level(0.4, 1.2)


def test_every_direction_looks_different(renderer: Renderer) -> None:
    """No two of sixteen directions from the middle give images that look alike, so that a pose can be told."""
    views = []
    for yaw in np.arange(16) * np.pi / 8:
        small = cv2.resize(renderer.exact(camera_pose(0, 0, 1.2, yaw)).color, (32, 24), interpolation=cv2.INTER_AREA)
        views.append(small.astype(np.float64).ravel())
    likeness = np.corrcoef(views) - np.eye(16)
    assert likeness.max() < 0.75
