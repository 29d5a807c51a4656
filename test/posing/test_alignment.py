# SPDX-License-Identifier: Apache-2.0
"""One view aligned to a surface: what depth determines, what features add, and what a prior fills in."""

from __future__ import annotations

import numpy as np
import pytest
import small_gicp
from hypothesis import given, settings
from hypothesis import strategies as st
from posing_scene import box_room, camera, matched, transform, view, wall

from mvloc_ros.geometry import se3
from mvloc_ros.geometry.covariance import pose_error
from mvloc_ros.localization.local_features import Matches
from mvloc_ros.localization.motion import moved
from mvloc_ros.posing.alignment import Prior, Target, align

IN_ROOM = camera(1.0, 1.4, 1.2, yaw=25.0, pitch=10.0)
AT_WALL = camera(0.0, 0.0, 0.0, yaw=0.0)


def target_of(surface: tuple[np.ndarray, np.ndarray]) -> Target:
    return Target.of(*surface, 0.025)


def covariance_of(information: np.ndarray) -> np.ndarray:
    """With what nothing tells at 100 m and 100 rad."""
    return np.linalg.inv(information + 1e-4 * np.eye(6))


@pytest.mark.parametrize("direction", range(3))
def test_a_start_a_decimeter_and_five_degrees_off_is_recovered(direction: int):
    rng = np.random.default_rng(direction)
    target = target_of(box_room(20_000, rng))
    axis = np.roll([1.0, 0.0, 0.0], direction)
    start = moved(IN_ROOM, np.concatenate([0.1 * axis, np.deg2rad(5.0) * np.roll(axis, 1)]))
    found = align(view(box_room(6000, rng), IN_ROOM, rng), target, start)
    assert se3.translation_error(found.T, IN_ROOM) < 0.002
    assert np.rad2deg(se3.rotation_error(found.T, IN_ROOM)) < 0.1
    assert found.inlier_ratio > 0.95
    assert found.in_reach > 0.98
    assert 0.001 < found.residual_m < 0.02
    assert found.spread[0] < 0.01
    assert np.rad2deg(found.spread[1]) < 0.5


def test_the_stated_information_is_no_surer_than_the_errors():
    """Errors of neighboring pixels are alike in real depth, which this has not: the errors must be below the stated."""
    rng = np.random.default_rng(5)
    target = target_of(box_room(20_000, rng))
    squares = []
    for _ in range(12):
        found = align(view(box_room(6000, rng), IN_ROOM, rng), target, IN_ROOM, is_near=True)
        error = pose_error(IN_ROOM, found.T)
        squares.append(error @ found.information @ error)
    assert np.mean(squares) < 6.0


def test_a_wall_alone_tells_distance_and_tilt_and_nothing_else():
    rng = np.random.default_rng(0)
    start = moved(AT_WALL, np.array([0.05, 0.0, 0.0, 0.0, np.deg2rad(2.0), np.deg2rad(-2.0)]))
    found = align(view(wall(4000, rng), AT_WALL, rng), target_of(wall(20_000, rng)), start)
    covariance = covariance_of(found.information)
    sigma = np.sqrt(np.diag(covariance))
    assert sigma[0] < 0.01  # towards the wall
    assert np.rad2deg(sigma[4:]).max() < 1.0  # tilt
    assert sigma[1:3].min() > 10.0  # along it
    assert sigma[3] > 1.0  # about its normal
    assert found.spread[0] > 10.0
    assert abs(found.T[0, 3]) < 0.002
    normal = found.T[:3, :3].T @ [1.0, 0.0, 0.0]
    assert np.rad2deg(np.arccos(normal[2])) < 0.1


def test_a_wall_with_features_is_determined():
    rng = np.random.default_rng(1)
    start = moved(AT_WALL, np.array([0.05, 0.05, -0.08, np.deg2rad(4.0), 0.0, 0.0]))
    found = align(view(wall(4000, rng), AT_WALL, rng), target_of(wall(20_000, rng)), start, matched(20, AT_WALL, rng))
    assert found.matches == 20
    assert found.spread[0] < 0.02
    assert np.rad2deg(found.spread[1]) < 1.0
    assert se3.translation_error(found.T, AT_WALL) < 0.01
    assert np.rad2deg(se3.rotation_error(found.T, AT_WALL)) < 0.5


def test_wrong_matches_among_right_ones_count_little():
    rng = np.random.default_rng(2)
    right, wrong = matched(20, AT_WALL, rng), matched(8, moved(AT_WALL, np.array([0.0, 0.5, 0, 0, 0, 0])), rng)
    mixed = Matches(np.concatenate([right.seen, wrong.seen]), np.concatenate([right.mapped, wrong.mapped]))
    found = align(view(wall(4000, rng), AT_WALL, rng), target_of(wall(20_000, rng)), AT_WALL, mixed)
    assert found.matches == 20
    assert se3.translation_error(found.T, AT_WALL) < 0.01


def test_a_prior_fills_what_is_open_and_bends_nothing_else():
    rng = np.random.default_rng(3)
    expected = moved(AT_WALL, np.array([0.05, 0.04, -0.03, np.deg2rad(3.0), 0.0, 0.0]))
    prior = Prior(expected, np.diag([0.05**-2.0] * 3 + [np.deg2rad(3.0) ** -2.0] * 3))
    surfaces = view(wall(4000, rng), AT_WALL, rng), target_of(wall(20_000, rng))
    found = align(*surfaces, moved(AT_WALL, np.array([0.02, 0.0, 0.0, 0, 0, 0])), prior=prior)
    assert found.T[1:3, 3] == pytest.approx(expected[1:3, 3], abs=0.005)  # along the wall: the prior's
    assert abs(found.T[0, 3]) < 0.002  # towards it: the depth's
    about = pose_error(expected, found.T)[3:]
    assert abs(np.rad2deg(about[0])) < 0.3
    assert found.spread[0] > 10.0  # the information is that of the images alone


def test_a_view_of_another_place_fits_badly():
    rng = np.random.default_rng(4)
    target = target_of(box_room(20_000, rng))
    points, normals = box_room(6000, rng)
    found = align(view((points * [0.6, 1.4, 1.0], normals), IN_ROOM, rng), target, IN_ROOM)
    assert found.inlier_ratio < 0.8
    nothing = align(view((points + 50.0, normals), moved(IN_ROOM, np.full(6, 50.0) * [1, 1, 1, 0, 0, 0]), rng), target,
                    IN_ROOM @ transform(30.0, 0.0, 0.0, 0.0, 0.0, 0.0))  # fmt: skip
    assert nothing.in_reach == 0.0
    assert nothing.inlier_ratio == 0.0
    assert nothing.spread[0] > 10.0


_SIDES = st.tuples(*[st.floats(-5.0, 5.0)] * 3, *[st.floats(-90.0, 90.0)] * 3)


@settings(max_examples=8, deadline=None, derandomize=True)
@given(_SIDES)
def test_the_scene_moved_as_a_whole_moves_the_result(sides: tuple[float, ...]):
    rng = np.random.default_rng(6)
    points, normals = box_room(4000, rng)
    seen, matches = view(box_room(2000, rng), IN_ROOM, rng), matched(10, IN_ROOM, rng)
    G = transform(*sides)
    start = moved(IN_ROOM, np.array([0.05, -0.03, 0.02, 0.03, -0.02, 0.01]))
    information = np.diag([400.0, 100.0, 25.0, 900.0, 400.0, 100.0])
    turn = np.kron(np.eye(2), G[:3, :3])

    def found(T: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        places = points @ T[:3, :3].T + T[:3, 3]
        target = Target(places, normals @ T[:3, :3].T, small_gicp.KdTree(small_gicp.PointCloud(places)))
        R = np.kron(np.eye(2), T[:3, :3])
        prior = Prior(T @ IN_ROOM, R @ information @ R.T)
        mapped = matches.mapped @ T[:3, :3].T + T[:3, 3]
        result = align(seen, target, T @ start, Matches(matches.seen, mapped), prior)
        return result.T, result.information

    here, there = found(np.eye(4)), found(G)
    np.testing.assert_allclose(there[0], G @ here[0], atol=1e-6)
    np.testing.assert_allclose(there[1], turn @ here[1] @ turn.T, rtol=1e-4, atol=1e-4 * np.abs(here[1]).max())


def test_a_step_and_the_difference_are_inverse_to_each_other():
    step = np.array([0.1, -0.2, 0.3, 0.4, -0.3, 0.2])
    np.testing.assert_allclose(pose_error(moved(IN_ROOM, step), IN_ROOM), step, atol=1e-12)


def test_opposite_normals_in_one_cube_tell_no_plane():
    points = np.array([[0.001, 0.001, 0.001], [0.002, 0.001, 0.001], [1.001, 0.001, 0.001]])
    target = Target.of(points, np.array([[0, 0, 1.0], [0, 0, -1.0], [0, 1.0, 0]]), 0.025)
    order = np.argsort(target.points[:, 0])
    assert len(order) == 2
    np.testing.assert_allclose(target.normals[order], [[0, 0, 0], [0, 1, 0]])
    np.testing.assert_allclose(target.points[order[0]], [0.0015, 0.001, 0.001], atol=1e-9)
