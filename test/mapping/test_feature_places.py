# SPDX-License-Identifier: Apache-2.0
"""Features that are further away than the depth sensor measures lie where the map has a surface."""

from __future__ import annotations

import numpy as np

from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.localization.depth_points import CORRECTION_SHAPE
from mvloc_ros.localization.local_features import LENGTH, ImageFeatures
from mvloc_ros.localization.scene_map import MapPoints, SceneMap
from mvloc_ros.mapping.feature_places import places_of

STEP = 0.04
WALL_M = 9.0
CAMERA = PinholeCamera(320, 240, 280.0, 280.0, 159.5, 119.5)
# Looks along x; y of the image is down.
R_MAP_CAMERA = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])


def hall() -> SceneMap:
    """A wall across the view, and nearer by a panel that hides its left part."""
    y, z = (axis.ravel() for axis in np.meshgrid(np.arange(-3.0, 3.0, STEP), np.arange(-1.5, 1.5, STEP)))
    wall = np.column_stack([np.full(len(y), WALL_M), y, z])
    panel = np.column_stack([np.full(len(y), 5.0), y, z])[y > 0.8]
    points = np.vstack([wall, panel])
    normals = np.tile([-1.0, 0.0, 0.0], (len(points), 1))
    content = MapPoints(points, normals, np.full(len(points), 51, np.uint8))
    return SceneMap.from_points(content, np.zeros(CORRECTION_SHAPE, np.float32), 4.0, STEP)


def pose(x: float) -> np.ndarray:
    T = np.eye(4)
    T[:3, :3], T[0, 3] = R_MAP_CAMERA, x
    return T


def features(rays: list[tuple[float, float]], depth: list[float]) -> ImageFeatures:
    directions = np.column_stack([np.array(rays), np.ones(len(rays))])
    numbers = np.arange(len(rays), dtype=np.uint8)
    return ImageFeatures(directions, np.array(depth), np.tile(numbers[:, None], (1, LENGTH)), np.eye(4))


def places(x: float, rays: list[tuple[float, float]], depth: list[float]) -> dict[int, np.ndarray]:
    """By the number of the feature: its place in the map."""
    (found,) = places_of([features(rays, depth)], pose(x)[None], hall(), CAMERA)
    placed = found.points @ R_MAP_CAMERA.T + [x, 0.0, 0.0]
    return dict(zip(found.descriptors[:, 0].tolist(), placed, strict=True))


def test_they_lie_on_the_nearest_surface_of_the_map():
    unknown = float("nan")
    found = places(1.0, [(0.1, 0.05), (-0.4, 0.0), (0.2, -0.1), (0.1, 0.45)], [unknown, unknown, 2.0, unknown])
    assert set(found) == {0, 1, 2}, "above the wall there is nothing"
    assert abs(found[0][0] - WALL_M) < 2 * STEP
    assert abs(found[0][1] + 0.8) < 0.05
    assert abs(found[1][0] - 5.0) < 2 * STEP, "the panel hides the wall"
    np.testing.assert_allclose(found[2], [3.0, -0.4, 0.2], atol=1e-9)


def test_at_an_edge_it_is_not_known_which_side_is_meant():
    edge = -0.8 / 4.0
    assert set(places(1.0, [(edge, 0.0), (edge + 0.06, 0.0), (edge - 0.06, 0.0)], [float("nan")] * 3)) == {1, 2}


def test_each_frame_has_its_own_map_around_it():
    rays, depth = [(0.1, 0.0)], [float("nan")]
    poses = np.stack([pose(x) for x in (6.0, 1.0, -30.0)])
    near, middle, far = places_of([features(rays, depth)] * 3, poses, hall(), CAMERA)
    assert abs(near.points[0, 2] - 3.0) < 2 * STEP
    assert abs(middle.points[0, 2] - 8.0) < 2 * STEP
    assert len(far) == 0, "30 m away"
