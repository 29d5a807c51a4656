# SPDX-License-Identifier: Apache-2.0
"""Points to depth maps: the exact pixel, the nearest point, and back again."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvloc_ros.geometry import quaternion, se3
from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.geometry.projection import (
    Panorama,
    project_cylindrical,
    project_pinhole,
    register_depth,
    transform_points,
    unproject,
    visible_points,
)

CAMERA = PinholeCamera(16, 12, 10.0, 11.0, 7.3, 5.6)


def at_pixel(column: float, row: float, z: float, camera: PinholeCamera = CAMERA) -> list[float]:
    return [(column - camera.cx) / camera.fx * z, (row - camera.cy) / camera.fy * z, z]


@given(
    column=st.integers(0, 15),
    row=st.integers(0, 11),
    z=st.floats(0.01, 100.0),
    du=st.floats(-0.499, 0.499),
    dv=st.floats(-0.499, 0.499),
)
def test_a_point_lands_in_the_pixel_whose_area_contains_it(column, row, z, du, dv):
    depth = project_pinhole([at_pixel(column + du, row + dv, z)], CAMERA)
    assert depth.dtype == np.float32
    assert depth[row, column] == np.float32(z)
    assert np.count_nonzero(depth) == 1


@given(
    depths=st.lists(st.floats(0.1, 50.0), min_size=1, max_size=20),
    order=st.randoms(use_true_random=False),
)
def test_the_nearest_point_wins_in_any_order(depths, order):
    order.shuffle(depths)
    depth = project_pinhole([at_pixel(4, 3, z) for z in depths], CAMERA)
    assert depth[3, 4] == np.float32(min(depths))


def test_what_the_camera_does_not_see_is_dropped():
    outside = [at_pixel(-0.51, 3, 2.0), at_pixel(15.51, 3, 2.0), at_pixel(4, -0.51, 2.0), at_pixel(4, 11.51, 2.0)]
    behind = [[0.0, 0.0, -1.0], [0.0, 0.0, 0.0], [1.0, 0.0, 1e-300], [5.0, 5.0, 1e-4]]
    broken = [[np.nan, 0.0, 1.0], [0.0, np.inf, 1.0], [0.0, 0.0, np.nan], [0.0, 0.0, np.inf]]
    assert not project_pinhole(outside + behind + broken, CAMERA).any()
    assert not project_pinhole(np.zeros((0, 3)), CAMERA).any()
    assert project_pinhole(np.zeros((0, 3)), CAMERA).shape == (12, 16)


@given(seed=st.integers(0, 2**32 - 1))
def test_projecting_what_was_unprojected_gives_the_depth_map_back(seed):
    rng = np.random.default_rng(seed)
    depth = rng.uniform(0.3, 40.0, (12, 16)).astype(np.float32)
    depth[rng.random((12, 16)) < 0.3] = 0.0
    points = unproject(depth, CAMERA)
    assert points.shape == (np.count_nonzero(depth), 3)
    np.testing.assert_array_equal(project_pinhole(points[::-1], CAMERA), depth)


def test_unproject_takes_only_measurements():
    depth = np.full((12, 16), 2.0)
    depth[0, :4] = 0.0, np.nan, np.inf, -1.0
    assert len(unproject(depth, CAMERA)) == 12 * 16 - 4
    with pytest.raises(ValueError, match="not of the camera"):
        unproject(depth.T, CAMERA)


def test_a_splat_covers_its_square_and_hides_what_is_behind():
    near, far = at_pixel(4, 3, 2.0), at_pixel(5, 4, 9.0)
    depth = project_pinhole([near, far, at_pixel(0, 0, 3.0)], CAMERA, splat=3)
    assert (depth[2:5, 3:6] == 2.0).all()
    np.testing.assert_array_equal(depth[5, 4:7], [9.0, 9.0, 9.0])
    np.testing.assert_array_equal(depth[0:2, 0:2], np.full((2, 2), 3.0))
    assert np.count_nonzero(depth) == 9 + 5 + 4
    with pytest.raises(ValueError, match="splat must be 1 or more"):
        project_pinhole([near], CAMERA, splat=0)


def test_a_slanted_plane_has_its_depth_in_every_pixel():
    """n . p = d, sampled more densely than the pixels: each pixel holds the depth of its own area."""
    rows, columns = np.mgrid[-0.4:12:0.1, -0.4:16:0.1]
    rays = np.stack([(columns - CAMERA.cx) / CAMERA.fx, (rows - CAMERA.cy) / CAMERA.fy, np.ones_like(rows)], axis=-1)
    normal, distance = np.array([0.1, -0.2, 1.0]), 3.0
    points = rays * (distance / (rays @ normal))[..., None]
    depth = project_pinhole(points, CAMERA)
    exact = distance / (np.stack([(np.arange(16) - CAMERA.cx) / CAMERA.fx] * 12) * 0.1
                        - 0.2 * ((np.arange(12) - CAMERA.cy) / CAMERA.fy)[:, None] + 1.0)  # fmt: skip
    assert (depth > 0).all()
    assert np.abs(depth - exact).max() < 0.06


# ---- cylindrical


PANORAMA = Panorama(72, 20, top=math.radians(10), bottom=math.radians(-30))


def towards(azimuth: float, elevation: float, distance: float) -> list[float]:
    level = math.cos(elevation) * distance
    return [level * math.sin(azimuth), -math.sin(elevation) * distance, level * math.cos(azimuth)]


@given(
    column=st.integers(0, 71),
    row=st.integers(0, 19),
    distance=st.floats(0.1, 80.0),
    du=st.floats(0.01, 0.99),
    dv=st.floats(0.01, 0.99),
)
def test_azimuth_and_elevation_choose_the_pixel_and_range_is_its_value(column, row, distance, du, dv):
    azimuth = math.radians(-180 + 5 * (column + du))
    elevation = math.radians(10 - 2 * (row + dv))
    image = project_cylindrical([towards(azimuth, elevation, distance)], PANORAMA)
    assert image[row, column] == pytest.approx(distance, rel=1e-6)
    assert np.count_nonzero(image) == 1


def test_forward_is_in_the_middle_right_is_right_and_up_is_up():
    image = project_cylindrical([[0.01, 0.01, 5.0], [5.0, 0.01, 0.0], [0.01, -0.5, 5.0]], PANORAMA)
    assert image[5, 36] == pytest.approx(5.0, abs=1e-4)
    assert image[5, 54] == pytest.approx(5.0, abs=1e-4)
    assert image[2, 36] == pytest.approx(math.hypot(0.5, 5.0), abs=1e-4)


def test_height_on_the_cylinder_is_linear_in_rows():
    panorama = Panorama(8, 10, top=math.atan(0.5), bottom=math.atan(-0.5), vertical="height")
    points = [[0.0, -h * 2.0, 2.0] for h in np.arange(0.45, -0.5, -0.1)]
    image = project_cylindrical(points, panorama)
    np.testing.assert_allclose(image[:, 4], np.linalg.norm(points, axis=1), rtol=1e-6)


def test_a_whole_turn_closes_and_half_a_turn_does_not():
    behind = [towards(math.radians(179.9), 0.0, 4.0)]
    assert project_cylindrical(behind, PANORAMA, splat=3)[5, [70, 71, 0]].all()
    half = Panorama(36, 20, left=-math.pi / 2, right=math.pi / 2)
    assert not project_cylindrical(behind, half).any()
    edge = [towards(math.radians(89.0), 0.0, 4.0)]
    image = project_cylindrical(edge, half, splat=3)
    assert not image[:, 0].any()
    assert image[:, 35].any()


@pytest.mark.parametrize("wrong", [{"width": 0}, {"right": 4.0}, {"top": -1.0}, {"vertical": "rows"}])
def test_impossible_panoramas_are_refused(wrong):
    with pytest.raises(ValueError, match="panorama needs"):
        Panorama(**{"width": 8, "height": 4, **wrong})


# ---- registration

DEPTH = PinholeCamera(32, 24, 29.25, 29.25, 15.5, 11.5)


@given(
    scale=st.floats(0.6, 4.0),
    x=st.floats(-0.05, 0.05),
    y=st.floats(-0.05, 0.05),
    z=st.floats(-0.05, 0.05),
    turn=st.lists(st.floats(-0.01, 0.01), min_size=3, max_size=3),
)
def test_a_wall_seen_from_beside_is_whole_and_where_it_is(scale, x, y, z, turn):
    """All of the colour image that looks at what the depth camera saw of a wall has the wall's depth."""
    color = PinholeCamera(round(32 * scale), round(24 * scale), 26.25 * scale, 26.25 * scale,
                          16.0 * scale - 0.5, 12.0 * scale - 0.5)  # fmt: skip
    T_color_depth = se3.from_parts([x, y, z], quaternion.exp(np.array(turn)))
    wall = np.full((24, 32), 2.0)
    registered = register_depth(wall, DEPTH, color, T_color_depth)
    # Cast each colour pixel's ray into the depth camera's frame and onto the wall z = 2.
    T = se3.inverse(T_color_depth)
    v, u = np.mgrid[0 : color.height, 0 : color.width]
    rays = np.stack([(u - color.cx) / color.fx, (v - color.cy) / color.fy, np.ones(u.shape)], axis=-1)
    turned = rays @ T[:3, :3].T
    true_depth = (2.0 - T[2, 3]) / turned[..., 2]
    hit = turned * true_depth[..., None] + T[:3, 3]
    column, row = (hit[..., i] / 2.0 * DEPTH.fx + c for i, c in ((0, DEPTH.cx), (1, DEPTH.cy)))
    seen = (column > 0) & (column < 31) & (row > 0) & (row < 23)
    assert seen.any()
    assert (registered[seen] > 0).all()
    np.testing.assert_allclose(registered[seen], true_depth[seen], atol=0.01)


def test_a_wall_seen_from_much_closer_has_no_holes():
    T_color_depth = se3.from_parts([0.0, 0.0, -3.0], [0.0, 0.0, 0.0, 1.0])  # the colour camera is 3 m further ahead
    registered = register_depth(np.full((24, 32), 4.0), DEPTH, DEPTH, T_color_depth)
    np.testing.assert_array_equal(registered, 1.0)


def test_registration_with_itself_changes_nothing():
    depth = np.random.default_rng(1).uniform(0.5, 6.0, (24, 32)).astype(np.float32)
    smooth = np.sort(depth, axis=1)
    same = register_depth(smooth, DEPTH, DEPTH, np.eye(4))
    # A footprint a tenth larger than a pixel never reaches the next pixel's centre.
    np.testing.assert_array_equal(same, smooth)


def test_a_near_object_hides_the_wall_and_leaves_a_shadow():
    depth = np.full((24, 32), 4.0)
    depth[8:16, 12:20] = 1.0
    T_color_depth = se3.from_parts([-0.1, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0])  # the colour camera is 0.1 m to the right
    registered = register_depth(depth, DEPTH, DEPTH, T_color_depth)
    # The object moves left by fx * 0.1 / 1 = 2.9 pixels, the wall by 0.7.
    row = registered[12]
    np.testing.assert_allclose(row[9:17], 1.0)
    assert row[8] == 4.0
    assert (row[17:19] == 0).all()
    np.testing.assert_allclose(row[20:30], 4.0)


def test_points_are_transformed_as_columns():
    T = se3.from_parts([1.0, 2.0, 3.0], quaternion.exp(np.array([0.0, 0.0, math.pi / 4])))
    np.testing.assert_allclose(transform_points(T, [[1.0, 0.0, 0.0]]), [[1.0, 3.0, 3.0]], atol=1e-12)


@pytest.mark.parametrize("count", [0, 1, 16_384, 40_000])
def test_so_many_points_are_transformed_each_alike(count):
    T = se3.from_parts([1.0, -2.0, 3.0], [0.5, -0.5, 0.5, 0.5])
    points = np.random.default_rng(0).standard_normal((count, 3))
    moved = transform_points(T, points)
    assert moved.shape == (count, 3)
    for one in range(0, count, 4_999):
        np.testing.assert_allclose(moved[one], T[:3, :3] @ points[one] + T[:3, 3], atol=1e-12)
    np.testing.assert_allclose(transform_points(se3.inverse(T), moved), points, atol=1e-12)


def test_a_pixel_shows_the_nearest_point_that_covers_it():
    behind, before, beside = at_pixel(4, 3, 2.0), at_pixel(4, 3, 1.0), at_pixel(12, 9, 5.0)
    lens, away = [0.0, 0.0, -1.0], at_pixel(200, 3, 1.0)
    shown = visible_points(np.array([behind, before, beside, lens, away]), CAMERA, 0.0)
    assert shown[3, 4] == 1
    assert shown[9, 12] == 2
    assert np.count_nonzero(shown >= 0) == 2


@pytest.mark.parametrize("z", [0.35, 1.1, 2.7])
def test_a_point_covers_the_square_that_its_surface_would(z: float):
    size_m = 0.5
    shown = visible_points(np.array([at_pixel(7.0, 5.0, z)]), CAMERA, size_m)
    wide = max(1.0, 11.0 * size_m / z)
    covered = [column for column in range(16) if 7.0 - 0.5 * wide < column <= 7.0 + 0.5 * wide]
    assert np.flatnonzero(shown[5] == 0).tolist() == covered


def test_a_surface_has_no_holes_and_hides_what_is_behind_it():
    x, y = (axis.ravel() for axis in np.meshgrid(np.arange(-2, 2, 0.1), np.arange(-2, 2, 0.1)))
    surface = np.column_stack([x, y, np.full(len(x), 1.0)])
    points = np.vstack([2.0 * surface, surface])
    shown = visible_points(points, CAMERA, 0.1 * 1.01)
    assert (shown >= len(surface)).all()


def test_nothing_is_shown_where_there_are_no_points():
    assert (visible_points(np.zeros((0, 3)), CAMERA, 0.02) == -1).all()
