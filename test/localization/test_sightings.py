# SPDX-License-Identifier: Apache-2.0
"""The pose that features tell by their directions, where the depth sensor does not reach them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mvloc_ros.geometry import se3
from mvloc_ros.geometry.covariance import pose_error
from mvloc_ros.localization.local_features import LENGTH, ImageFeatures, LocalFeatures
from mvloc_ros.localization.motion import moved
from mvloc_ros.localization.sightings import Sightings

TRUTH = moved(np.eye(4), np.array([40.0, -20.0, 1.0, 0.3, 2.0, -0.2]))
# The camera that poses are of is 3 cm beside the colour camera.
T_CAMERA_COLOR = se3.from_parts([0.03, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0])
PIXEL = 1.0 / 277.0


def hall(seed: int = 0, noise: float = 0.0, count: int = 40, near_m: float = 2.0, far_m: float = 14.0) -> Sightings:
    """Features all over an image with that many pixels of noise, none of which was measured."""
    rng = np.random.default_rng(seed)
    depth = rng.uniform(near_m, far_m, count)
    rays = np.column_stack([rng.uniform(-0.55, 0.55, count), rng.uniform(-0.4, 0.4, count), np.ones(count)])
    T = TRUTH @ T_CAMERA_COLOR
    mapped = (rays * depth[:, None]) @ T[:3, :3].T + T[:3, 3]
    rays[:, :2] += noise * PIXEL * rng.standard_normal((count, 2))
    return Sightings(rays, np.full(count, np.nan), mapped, T_CAMERA_COLOR)


def with_wrong(found: Sightings, count: int) -> Sightings:
    """With so many more that look like places anywhere."""
    rng = np.random.default_rng(9)
    rays = np.column_stack([rng.uniform(-0.55, 0.55, count), rng.uniform(-0.4, 0.4, count), np.ones(count)])
    return Sightings(
        np.concatenate([found.rays, rays]),
        np.concatenate([found.depth, np.full(count, np.nan)]),
        np.concatenate([found.mapped, TRUTH[:3, 3] + rng.uniform(-12, 12, (count, 3))]),
        found.T_camera_color,
    )


def test_directions_alone_tell_a_pose_among_as_many_wrong_ones():
    found = with_wrong(hall(noise=0.7), 40)
    T = found.pose()
    assert se3.translation_error(T, TRUTH) < 0.05
    assert se3.rotation_error(T, TRUTH) < np.radians(0.6)
    assert 36 <= found.consensus(T) <= 44
    np.testing.assert_array_equal(T, found.pose())


def test_what_was_measured_must_agree_in_depth_as_well():
    found = hall()
    assert found.consensus(TRUTH) == len(found)
    depth = np.linalg.inv(TRUTH @ T_CAMERA_COLOR)[2] @ np.column_stack([found.mapped, np.ones(len(found))]).T
    assert replace(found, depth=depth).consensus(TRUTH) == len(found)
    assert replace(found, depth=1.2 * depth).consensus(TRUTH) == 0
    half = np.where(np.arange(len(found)) % 2 == 0, 1.2 * depth, np.nan)
    np.testing.assert_array_equal(replace(found, depth=half).agree(TRUTH), np.isnan(half))


def test_a_pose_that_is_off_or_looks_the_other_way_brings_nothing_together():
    found = hall()
    assert found.consensus(moved(TRUTH, np.array([0.0, 0.0, 0.0, 0.0, 0.0, np.radians(3.0)]))) < 5
    around = TRUTH @ T_CAMERA_COLOR @ np.diag([1.0, -1.0, -1.0, 1.0]) @ se3.inverse(T_CAMERA_COLOR)
    assert found.consensus(around) == 0


def test_the_covariance_holds_the_errors():
    errors, squared = [], []
    for seed in range(40):
        found = hall(seed, noise=1.0, count=25)
        T = found.pose()
        error = pose_error(T[None], TRUTH[None])[0]
        errors.append(error)
        squared.append(error @ np.linalg.solve(found.covariance(T), error) / 6.0)
    assert 0.2 < np.mean(squared) < 1.2
    assert np.sqrt(np.mean(np.square(errors)[:, :3])) < 0.05


def test_the_information_is_that_of_the_residuals():
    """Against numerical derivatives of the distances across the rays, and along those that were measured."""
    found, T_map_color, origin = hall(), TRUTH @ T_CAMERA_COLOR, TRUTH[:3, 3] + [0.3, -0.2, 0.1]
    along = (found.mapped - T_map_color[:3, 3]) @ T_map_color[:3, 2]
    found = replace(found, depth=np.where(along < 6.0, along, np.nan))
    sigmas = 0.5 * (0.02 + 0.0108 * along)[:, None]

    def residuals(error: np.ndarray) -> np.ndarray:
        about = np.eye(4)
        about[:3, 3] = origin
        T = about @ moved(np.eye(4), error) @ se3.inverse(about) @ T_map_color
        seen = (found.mapped - T[:3, 3]) @ T[:3, :3]
        across = seen[:, :2] - found.rays[:, :2] * seen[:, 2:]
        return (np.column_stack([across, np.where(along < 6.0, seen[:, 2] - along, 0.0)]) / sigmas).ravel()

    jacobian = np.stack([(residuals(step) - residuals(-step)) / 2e-5 for step in 1e-5 * np.eye(6)], axis=1)
    expected = jacobian.T @ jacobian
    np.testing.assert_allclose(found.information(TRUTH, origin), expected, atol=1e-6 * np.abs(expected).max())


@pytest.mark.parametrize(("kind", "more"), [("fewer", 1.3), ("further", 1.5)])
def test_fewer_or_further_ones_tell_less(kind: str, more: float):
    usual, less = hall(count=40), hall(count=15) if kind == "fewer" else hall(count=40, near_m=10.0)
    sd = [float(np.sqrt(np.trace(found.covariance(TRUTH)[:3, :3]))) for found in (usual, less)]
    assert sd[1] > more * sd[0]


def test_measured_ones_tell_a_pose_where_directions_are_too_few():
    found = hall(count=8, far_m=4.0)
    T = TRUTH @ T_CAMERA_COLOR
    depth = (found.mapped - T[:3, 3]) @ T[:3, 2]
    assert se3.translation_error(replace(found, depth=depth).pose(), TRUTH) < 0.01
    few = Sightings(found.rays[:5], depth[:5], found.mapped[:5], T_CAMERA_COLOR)
    assert few.pose() is None
    assert replace(few, depth=np.full(5, np.nan)).pose() is None


def test_each_feature_of_a_frame_is_matched_with_the_place_of_the_keyframes():
    rng = np.random.default_rng(2)
    descriptors = rng.integers(0, 255, (12, LENGTH)).astype(np.uint8)
    rays = np.column_stack([rng.uniform(-0.5, 0.5, (12, 2)), np.ones(12)])
    order = rng.permutation(12)
    known = LocalFeatures(rays[order] * 3.0, descriptors[order])
    depth = np.where(np.arange(12) < 6, 3.0, np.nan)
    found = Sightings.of(ImageFeatures(rays, depth, descriptors, np.eye(4)), known, TRUTH)
    assert len(found) == 12
    np.testing.assert_allclose(found.mapped, (rays * 3.0) @ TRUTH[:3, :3].T + TRUTH[:3, 3], atol=1e-9)
    assert found.consensus(TRUTH) == 12
