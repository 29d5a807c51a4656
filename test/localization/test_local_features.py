# SPDX-License-Identifier: Apache-2.0
"""Local features have their places in space, and their matches tell a pose."""

from __future__ import annotations

import io
from dataclasses import replace

import cv2
import numpy as np
import pytest

from mvloc_ros.geometry import se3
from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.localization.depth_points import CORRECTION_SHAPE, DepthCamera
from mvloc_ros.localization.descriptors import COLOR_LENGTH, DEPTH_LENGTH, Descriptor
from mvloc_ros.localization.keyframes import Keyframes
from mvloc_ros.localization.local_features import (
    LENGTH,
    LocalFeatures,
    Matches,
    extract,
    match,
    none_found,
    normalized,
    pose_of,
)
from mvloc_ros.localization.motion import moved
from mvloc_ros.localization.sensor_rig import SensorRig
from mvloc_ros.model.frame import ColorImage, DepthImage

COLOR = PinholeCamera(320, 240, 280.0, 280.0, 159.5, 119.5)
WALL_M = 2.0


def rig(baseline_m: float = 0.0) -> SensorRig:
    """A depth camera that many metres to the right of the colour camera."""
    T_color_depth = np.eye(4)
    T_color_depth[0, 3] = baseline_m
    depth = DepthCamera(COLOR, 0.3, 6.0, np.zeros(CORRECTION_SHAPE, np.float32))
    return SensorRig(COLOR, depth, T_color_depth, T_color_depth)


def wall(seed: int = 0) -> np.ndarray:
    """A picture of squares and discs."""
    rng = np.random.default_rng(seed)
    image = np.full((240, 320, 3), 120, np.uint8)
    for _ in range(60):
        center, size = tuple(int(value) for value in rng.integers(0, (320, 240))), int(rng.integers(4, 14))
        level = tuple(int(value) for value in rng.integers(0, 255, 3))
        cv2.circle(image, center, size, level, -1)
    return image


def flat(depth_m: float = WALL_M) -> DepthImage:
    return DepthImage(np.full((240, 320), round(1000 * depth_m), np.uint16), 0.001)


@pytest.mark.parametrize("baseline_m", [0.0, 0.05])
def test_a_feature_lies_where_the_wall_is(baseline_m: float):
    found = extract(ColorImage(wall(), "rgb"), flat(), rig(baseline_m), 150)
    assert 60 < len(found) <= 150
    assert found.descriptors.shape == (len(found), LENGTH)
    np.testing.assert_allclose(found.points[:, 2], WALL_M, atol=1e-6)
    assert np.ptp(found.points[:, 0]) > 1.2


def test_features_are_spread_over_the_image():
    image = wall()
    image[:, :220] = cv2.addWeighted(image[:, :220], 0.15, np.full_like(image[:, :220], 120), 0.85, 0)
    found = extract(ColorImage(image, "rgb"), flat(), rig(), 60)
    assert np.count_nonzero(found.points[:, 0] < 0.0) > 15, "the clear ones of one side do not take all places"


def test_where_nothing_was_measured_or_at_an_edge_there_is_none():
    depth = flat()
    depth.values[:, :160] = 0
    found = extract(ColorImage(wall(), "rgb"), depth, rig())
    assert found.points[:, 0].min() > -0.02
    edges = flat()
    edges.values[::2] = 1000
    assert len(extract(ColorImage(wall(), "rgb"), edges, rig())) == 0
    assert len(extract(ColorImage(np.full((240, 320, 3), 90, np.uint8), "rgb"), flat(), rig())) == 0


def test_a_pose_is_found_among_wrong_matches_and_in_another_light():
    known = extract(ColorImage(wall(), "rgb"), flat(), rig(), 200)
    truth = moved(np.eye(4), np.array([1.0, -0.5, 0.2, 0.1, 0.4, -0.2]))
    dark = np.clip(255.0 * (wall() / 255.0) ** 2 * [0.8, 0.6, 0.4], 0, 255).astype(np.uint8)
    matches = match(extract(ColorImage(dark, "rgb"), flat(), rig()), known, truth)
    count = len(matches.seen)
    assert count > 30
    rng = np.random.default_rng(1)
    wrong = Matches(
        np.concatenate([matches.seen, rng.uniform(-1, 3, (count, 3))]),
        np.concatenate([matches.mapped, rng.uniform(-1, 3, (count, 3))]),
    )
    T = pose_of(wrong)
    assert se3.translation_error(T, truth) < 0.02
    assert se3.rotation_error(T, truth) < np.radians(1.0)
    assert wrong.consensus(T) >= 0.8 * count
    np.testing.assert_array_equal(T, pose_of(wrong))


def paper() -> np.ndarray:
    """A picture of faint spots that a light can drown: wallpaper, a floor."""
    rng = np.random.default_rng(5)
    return np.clip(120.0 + cv2.GaussianBlur(rng.normal(0.0, 40.0, (240, 320, 3)), (0, 0), 3.0), 0, 255).astype(np.uint8)


def evening(image: np.ndarray, gain: float) -> np.ndarray:
    """The same in a third of the light, that of a lamp at one side, with a dark image's noise."""
    lamp = np.linspace(0.5, 0.15, image.shape[1])[None, :, None] * gain
    noise = np.random.default_rng(3).normal(0.0, 2.0, image.shape)
    return np.clip(image * lamp * [1.0, 0.8, 0.6] + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("gain", [1.0, 0.7])
def test_faint_things_are_matched_in_a_dark_and_noisy_image(gain: float):
    known = extract(ColorImage(paper(), "rgb"), flat(), rig(), 200)
    matches = match(extract(ColorImage(evening(paper(), gain), "rgb"), flat(), rig()), known, np.eye(4))
    assert matches.consensus(np.eye(4)) >= 40
    T = pose_of(matches)
    assert T is not None
    assert se3.translation_error(T, np.eye(4)) < 0.03


def test_a_light_changes_little_of_the_normalized_image():
    image = cv2.cvtColor(wall(), cv2.COLOR_RGB2GRAY)
    lit = np.clip(image * np.linspace(1.0, 0.3, 320)[None], 0, 255).astype(np.uint8)
    before, after = normalized(image).astype(float), normalized(lit).astype(float)
    assert np.corrcoef(before.ravel(), after.ravel())[0, 1] > 0.98
    np.testing.assert_array_equal(normalized(np.full((240, 320), 90, np.uint8)), 128)


def test_too_few_matches_or_points_in_a_row_tell_no_pose():
    points = np.column_stack([np.linspace(0.0, 1.0, 20), np.zeros(20), np.full(20, 2.0)])
    assert pose_of(Matches(points[:5], points[:5])) is None
    assert pose_of(Matches(points[:0], points[:0])) is None
    rng = np.random.default_rng(0)
    assert pose_of(Matches(rng.uniform(0, 9, (30, 3)), rng.uniform(0, 9, (30, 3)))) is None
    assert len(match(none_found(), none_found(), np.eye(4)).seen) == 0


def test_features_of_images_prepared_otherwise_are_not_used():
    keyframes = Keyframes.of(
        np.eye(4)[None],
        [Descriptor(np.ones(COLOR_LENGTH, np.float32), np.ones(DEPTH_LENGTH, np.float32))],
        [LocalFeatures(np.ones((3, 3)), np.ones((3, LENGTH), np.uint8))],
    )
    assert len(Keyframes.from_bytes(keyframes.to_bytes()).features(0)) == 3
    stream = io.BytesIO()
    np.savez_compressed(stream, **{**vars(keyframes), "version": np.array([2], np.int64)})
    read = Keyframes.from_bytes(stream.getvalue())
    np.testing.assert_array_equal(read.position, keyframes.position)
    assert len(read.features(0)) == 0


def test_keyframes_keep_features_to_the_millimetre_and_read_files_without():
    rng = np.random.default_rng(4)
    some = [
        LocalFeatures(rng.uniform(-5, 5, (n, 3)), rng.integers(0, 255, (n, LENGTH)).astype(np.uint8)) for n in (3, 0, 5)
    ]
    far = LocalFeatures(np.array([[0.0, 0.0, 40.0]]), np.zeros((1, LENGTH), np.uint8))
    images = [Descriptor(np.ones(COLOR_LENGTH, np.float32), np.ones(DEPTH_LENGTH, np.float32))] * 4
    keyframes = Keyframes.from_bytes(Keyframes.of(np.tile(np.eye(4), (4, 1, 1)), images, [*some, far]).to_bytes())
    for i, one in enumerate(some):
        np.testing.assert_allclose(keyframes.features(i).points, one.points, atol=5.1e-4)
        np.testing.assert_array_equal(keyframes.features(i).descriptors, one.descriptors)
    assert len(keyframes.features(3)) == 0
    two = keyframes.chosen(np.array([False, False, True, True]))
    assert len(two) == 2
    np.testing.assert_array_equal(two.features(0).descriptors, some[2].descriptors)
    damaged = replace(keyframes, first=np.array([0, 3, 2, 8, 8], np.int64))
    with pytest.raises(ValueError, match="local features"):
        Keyframes.from_bytes(damaged.to_bytes())
