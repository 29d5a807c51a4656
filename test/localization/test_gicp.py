# SPDX-License-Identifier: Apache-2.0
"""One step of generalised ICP is that of the paper's covariances, and leads to where two surfaces fit."""

from __future__ import annotations

import numpy as np
import pytest

from mvloc_ros.geometry import quaternion
from mvloc_ros.localization.gicp import ACROSS, SearchedSurface, Surface, _equations, step

Array = np.ndarray


def directions(rng: np.random.Generator, count: int) -> Array:
    found = rng.standard_normal((3, count))
    return np.asarray(found / np.linalg.norm(found, axis=0))


@pytest.mark.parametrize("length", [1.0, 0.7, 0.0])
def test_hessian_and_right_side_are_those_of_the_covariances(length: float):
    """Pair by pair with inverted 3x3 covariances; also for normals that are means of different ones, and none."""
    rng = np.random.default_rng(0)
    apart, arms = rng.standard_normal((2, 3, 40))
    theirs, mine = length * directions(rng, 40), directions(rng, 40)
    hessian, right = np.zeros((6, 6)), np.zeros(6)
    for d, (x, y, z), n, m in zip(apart.T, arms.T, theirs.T, mine.T, strict=True):
        covariance = 2.0 * np.eye(3) - (1.0 - ACROSS) * (np.outer(n, n) + np.outer(m, m))
        information = np.linalg.inv(covariance)
        jacobian = np.hstack([np.eye(3), np.array([[0, z, -y], [-z, 0, x], [y, -x, 0]])])
        hessian += jacobian.T @ information @ jacobian
        right += jacobian.T @ information @ d
    found, pull = _equations(apart, arms, theirs, mine)
    np.testing.assert_allclose(found, hessian, atol=2e-3)  # the damping
    np.testing.assert_allclose(pull, right, atol=1e-9)


def corner(spacing: float) -> tuple[Array, Array]:
    """Points and normals of three walls, 2 m by 2 m, that meet at the origin."""
    across = np.arange(0.5 * spacing, 2.0, spacing)
    a, b = (axis.ravel() for axis in np.meshgrid(across, across))
    sides = [np.insert(np.stack([a, b], axis=1), axis, 0.0, axis=1) for axis in range(3)]
    return np.concatenate(sides), np.repeat(np.eye(3), len(a), axis=0)


@pytest.mark.parametrize("far", [0.0, 4e6])
def test_steps_lead_to_where_the_surfaces_fit(far: float):
    """Whatever the map's origin: coordinates of UTM have millions of metres."""
    points, normals = corner(0.05)
    target = SearchedSurface.of(points + far, normals.astype(np.float32), 1)
    truth = np.eye(4)
    truth[:3, :3] = quaternion.to_matrix(quaternion.exp(np.array([0.2, -0.1, 0.4])))
    truth[:3, 3] = far + np.array([1.0, 1.2, 0.9])
    seen, facing = corner(0.17)
    source = Surface((seen + far - truth[:3, 3]) @ truth[:3, :3], facing @ truth[:3, :3])
    T = truth.copy()
    T[:3, 3] += [0.06, -0.05, 0.04]
    T[:3, :3] = quaternion.to_matrix(quaternion.exp(np.array([0.02, 0.01, -0.02]))) @ T[:3, :3]
    for _ in range(6):
        delta = step(source, target, T, 0.3, 1)
        T[:3, 3] += delta[:3]
        T[:3, :3] = quaternion.to_matrix(quaternion.exp(0.5 * delta[3:])) @ T[:3, :3]
    np.testing.assert_allclose(T - truth, np.zeros((4, 4)), atol=1e-5)


def test_no_point_in_reach_is_left_out_and_those_far_away_are():
    points, normals = corner(0.05)
    some = points[::7]
    outline_m = float(np.linalg.norm(points[:, None] - some, axis=2).min(axis=1).max())
    outline = SearchedSurface.of(some, normals[::7], 1)
    surface = SearchedSurface.of(points, normals, 1, outline, outline_m)
    asked = np.random.default_rng(0).uniform(-1.0, 3.0, (500, 3))
    true = np.linalg.norm(asked[:, None] - points, axis=2)
    found = surface.in_reach(asked, 0.3, 1)
    assert set(np.flatnonzero(true.min(axis=1) < 0.3)) <= set(found)
    assert true.min(axis=1)[found].max() < 0.3 + 2.0 * outline_m
    assert 20 < len(found) < 400
    index, squared = surface.nearest(asked, 1)
    np.testing.assert_array_equal(index, true.argmin(axis=1))
    np.testing.assert_allclose(np.sqrt(squared), true.min(axis=1))


def test_where_nothing_is_in_reach_nothing_moves():
    points, normals = corner(0.05)
    target = SearchedSurface.of(points, normals.astype(np.float32), 1)
    T = np.eye(4)
    T[:3, 3] = 10.0
    np.testing.assert_array_equal(step(Surface(points, normals), target, T, 0.3, 1), np.zeros(6))
