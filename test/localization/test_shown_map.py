# SPDX-License-Identifier: Apache-2.0
"""What people are shown of the scene map: thinned points, and distances from its surfaces."""

from __future__ import annotations

import numpy as np
import pytest

from mvloc_ros.localization.depth_points import CORRECTION_SHAPE
from mvloc_ros.localization.local_map import LocalMap
from mvloc_ros.localization.scene_map import MapPoints, SceneMap
from mvloc_ros.localization.surface_distance import surface_distances

COUNT = 5000


def scene_map() -> SceneMap:
    rng = np.random.default_rng(1)
    normals = np.tile([0.0, 0.0, 1.0], (COUNT, 1))
    content = MapPoints(20.0 * rng.random((COUNT, 3)) - 10.0, normals, rng.integers(1, 256, COUNT).astype(np.uint8))
    return SceneMap.from_points(content, np.zeros(CORRECTION_SHAPE, np.float32), 4.0, 0.02)


@pytest.mark.parametrize("most", [0, 1, 7, 999, COUNT - 1, COUNT, 10 * COUNT])
def test_thinning_keeps_as_many_points_as_may_be_and_no_more(most: int):
    whole = scene_map()
    points = whole.thinned(most).points
    assert len(points) == min(most, COUNT)
    everything = {tuple(point) for point in whole.content(range(len(whole.tiles))).points.tolist()}
    assert {tuple(point) for point in points.tolist()} <= everything
    assert len({tuple(point) for point in points.tolist()}) == len(points)


def test_thinning_is_the_same_each_time_and_keeps_what_belongs_together():
    whole = scene_map()
    first, second = whole.thinned(700), whole.thinned(700)
    np.testing.assert_array_equal(first.points, second.points)
    everything = whole.content(range(len(whole.tiles)))
    brightness = {tuple(point): value for point, value in zip(everything.points, everything.brightness, strict=True)}
    assert all(brightness[tuple(p)] == b for p, b in zip(first.points, first.brightness, strict=True))


def test_thinning_takes_from_everywhere_alike():
    whole = scene_map()
    chosen = whole.thinned(COUNT // 10).points
    everything = whole.content(range(len(whole.tiles))).points
    for axis in range(3):
        for low in (-10.0, 0.0):
            share = np.mean((chosen[:, axis] >= low) & (chosen[:, axis] < low + 10.0))
            assert share == pytest.approx(
                np.mean((everything[:, axis] >= low) & (everything[:, axis] < low + 10.0)), abs=0.06
            )


def test_a_tile_without_points_is_passed_over():
    tiles = np.array([[0, 0, 0], [1, 0, 0], [2, 0, 0]], np.int32)
    offset = np.zeros((2, 3), np.uint16)
    normal = np.tile(np.array([0, 0, 127], np.int8), (2, 1))
    first = np.array([0, 1, 1, 2], np.int64)
    gap = SceneMap(tiles, first, offset, normal, np.full(2, 9, np.uint8), np.zeros(CORRECTION_SHAPE), 4.0, 0.02)
    np.testing.assert_allclose(gap.thinned(10).points[:, 0], [0.0, 8.0], atol=1e-3)


@pytest.fixture(scope="module")
def wall() -> LocalMap:
    """In the plane z = 0 from -1 to 1, a point each 4 cm."""
    across = np.arange(-1.0, 1.001, 0.04)
    x, y = (axis.ravel() for axis in np.meshgrid(across, across))
    points = np.stack([x, y, np.zeros(x.shape)], axis=1)
    normals = np.tile([0.0, 0.0, 1.0], (len(points), 1))
    content = MapPoints(points, normals, np.full(len(points), 9, np.uint8))
    whole = SceneMap.from_points(content, np.zeros(CORRECTION_SHAPE, np.float32), 4.0, 0.04)
    return LocalMap(whole, range(len(whole.tiles)), 4.5, 1)


def test_distances_are_along_the_normal_near_the_surface_and_to_the_point_beyond(wall: LocalMap):
    # 0.16 m, four resolutions, is where a surface ends.
    points = np.array([[0.013, 0.017, 0.05], [0.013, 0.017, -0.1], [0.0, 0.0, 0.5], [1.1, 0.0, 0.03], [4.0, 0.0, 0.0]])
    np.testing.assert_allclose(surface_distances(points, wall, 0.04), [0.05, 0.1, 0.5, 0.03, 3.0], atol=1e-4)


def test_portions_change_nothing_and_no_points_have_no_distances(wall: LocalMap):
    points = np.random.default_rng(3).random((1733, 3)) * [1.8, 1.8, 0.1] - [0.9, 0.9, 0.0]
    np.testing.assert_allclose(surface_distances(points, wall, 0.04), points[:, 2], atol=1e-4)
    assert surface_distances(np.zeros((0, 3)), wall, 0.04).shape == (0,)
