# SPDX-License-Identifier: Apache-2.0
"""Quaternions, transforms, covariances and trajectories against independent formulas."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mvloc_ros.errors import MvlocError
from mvloc_ros.geometry import covariance, quaternion, se3
from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.geometry.motion_limits import MotionLimits
from mvloc_ros.geometry.trajectory import Interpolation, NoPose, Trajectory, read_tum, write_tum

numbers = st.floats(-1.0, 1.0)
vectors = arrays(np.float64, 3, elements=numbers)
rotations = arrays(np.float64, 4, elements=numbers).filter(lambda q: np.linalg.norm(q) > 1e-3).map(quaternion.normalise)


def rodrigues(rotation_vector: np.ndarray) -> np.ndarray:
    """Rotation matrix of axis times angle, by the textbook's series in closed form."""
    angle = np.linalg.norm(rotation_vector)
    K = covariance.skew(rotation_vector)
    if angle < 1e-9:
        return np.eye(3) + K
    return np.eye(3) + np.sin(angle) / angle * K + (1 - np.cos(angle)) / angle**2 * K @ K


@given(rotations)
def test_matrix_and_back_is_the_same_rotation(q):
    back = quaternion.from_matrix(quaternion.to_matrix(q))
    assert min(np.abs(back - q).max(), np.abs(back + q).max()) < 1e-9
    assert back[3] >= 0


@given(vectors)
def test_exp_is_rodrigues_of_twice_the_logarithm(v):
    np.testing.assert_allclose(quaternion.to_matrix(quaternion.exp(v)), rodrigues(2 * v), atol=1e-12)


@given(rotations)
def test_log_is_half_the_angle_and_inverts_exp(q):
    v = quaternion.log(q)
    assert np.linalg.norm(v) <= np.pi / 2 + 1e-12
    assert np.linalg.norm(2 * v) == pytest.approx(2 * np.arccos(np.clip(abs(q[3]), 0, 1)), abs=1e-6)
    np.testing.assert_allclose(quaternion.exp(v), quaternion.canonical(q), atol=1e-9)


def test_log_keeps_a_half_turn():
    # sign(0) = 0 would turn this into the zero quaternion.
    np.testing.assert_allclose(quaternion.log([1.0, 0.0, 0.0, 0.0]), [np.pi / 2, 0, 0], atol=1e-15)


@given(rotations, rotations)
def test_product_is_the_product_of_matrices(a, b):
    expected = quaternion.to_matrix(a) @ quaternion.to_matrix(b)
    np.testing.assert_allclose(quaternion.to_matrix(quaternion.multiply(a, b)), expected, atol=1e-12)


@given(rotations, rotations, st.floats(0, 1))
def test_slerp_moves_at_a_constant_rate_on_the_shorter_arc(a, b, alpha):
    total = quaternion.angle_between(a, b)
    middle = quaternion.slerp(a, b, alpha)
    assert quaternion.angle_between(a, middle) == pytest.approx(alpha * total, abs=1e-7)
    assert quaternion.angle_between(middle, b) == pytest.approx((1 - alpha) * total, abs=1e-7)


def test_mean_ignores_signs():
    q = np.array([quaternion.exp([0, 0, angle]) for angle in (0.1, 0.2, 0.3)])
    q[1] *= -1
    np.testing.assert_allclose(quaternion.mean(q), quaternion.exp([0, 0, 0.2]), atol=1e-12)


@example(np.sqrt([0.5, 0.5, 0.0, 0.0]) * [-1, 1, 1, 1], np.full(4, 0.5))
@given(rotations, rotations)
def test_one_is_computed_like_many(a, b):
    """Single quaternions and matrices take a way of their own, with plain numbers."""
    both = np.stack([a, b])
    np.testing.assert_allclose(quaternion.to_matrix(a), quaternion.to_matrix(both)[0], atol=1e-15)
    np.testing.assert_allclose(quaternion.log(a), quaternion.log(both)[0], atol=1e-15)
    logs = quaternion.log(both)
    np.testing.assert_allclose(quaternion.exp(logs[0]), quaternion.exp(logs)[0], atol=1e-15)
    matrices = quaternion.to_matrix(both)
    one, many = quaternion.from_matrix(matrices[0]), quaternion.from_matrix(matrices)[0]
    if abs(one[3]) < 1e-12:  # half a turn, about an axis of either sign
        many = many * np.sign(one @ many)
    np.testing.assert_allclose(one, many, atol=1e-14)


@pytest.mark.parametrize(
    ("change", "rigid"),
    [
        ((0, 3, 1e9), True),
        ((0, 0, 1.0 + 1e-7), True),
        ((0, 0, 1.0 + 1e-5), False),
        ((0, 1, 1e-5), False),
        ((2, 2, -1.0), False),
        ((3, 0, 1e-5), False),
        ((3, 3, 2.0), False),
        ((1, 3, np.nan), False),
        ((1, 3, np.inf), False),
    ],
)
def test_what_is_a_rigid_transform(change, rigid):
    row, column, value = change
    T = np.eye(4)
    T[row, column] = value
    assert se3.is_rigid(T) is rigid
    assert not se3.is_rigid(T[:3])


def test_quaternion_without_length_is_refused():
    with pytest.raises(ValueError, match="not a rotation"):
        quaternion.normalise([0, 0, 0, 0])


@given(rotations, vectors)
def test_inverse_of_a_transform(q, p):
    T = se3.from_parts(p, q)
    np.testing.assert_allclose(se3.inverse(T) @ T, np.eye(4), atol=1e-12)
    np.testing.assert_allclose(se3.inverse(T), np.linalg.inv(T), atol=1e-12)


@given(rotations, arrays(np.float64, (3, 3), elements=st.floats(-4e-4, 4e-4)))
def test_projection_onto_so3_is_near_and_orthonormal(q, noise):
    R = quaternion.to_matrix(q)
    projected = se3.project_to_so3(R + noise)
    np.testing.assert_allclose(projected @ projected.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(projected) == pytest.approx(1.0)
    assert np.abs(projected - R).max() < 2e-3


def test_rotation_error_reaches_half_a_turn():
    T = se3.from_parts([1, 2, 3], quaternion.exp([0, np.pi / 2, 0]))
    assert se3.rotation_error(np.eye(4), T) == pytest.approx(np.pi)
    assert se3.translation_error(np.eye(4), T) == pytest.approx(np.sqrt(14))


def test_covariance_through_an_extrinsic_matches_samples():
    rng = np.random.default_rng(0)
    T_map_camera = se3.from_parts([1, -2, 0.5], quaternion.exp([0.2, -0.4, 0.3]))
    T_camera_base = se3.from_parts([0.3, -0.2, 0.8], quaternion.exp([0.1, 0.5, -0.2]))
    root = 1e-3 * rng.normal(size=(6, 6))
    cov = root @ root.T
    errors = rng.multivariate_normal(np.zeros(6), cov, size=40_000)
    noisy = np.tile(np.eye(4), (len(errors), 1, 1))
    noisy[:, :3, :3] = quaternion.to_matrix(quaternion.exp(errors[:, 3:] / 2)) @ T_map_camera[:3, :3]
    noisy[:, :3, 3] = T_map_camera[:3, 3] + errors[:, :3]
    sampled = covariance.pose_error(noisy @ T_camera_base, T_map_camera @ T_camera_base)
    carried = covariance.through_extrinsic(cov, T_map_camera, T_camera_base)
    np.testing.assert_allclose(np.cov(sampled.T), carried, atol=0.03 * np.abs(carried).max())


def test_resized_camera_sees_the_same_ray_in_the_same_place():
    camera = PinholeCamera(640, 480, 525.0, 525.0, 319.5, 239.5)
    half = camera.scaled_to(320, 240)
    assert (half.fx, half.cx, half.cy) == (262.5, 159.5, 119.5)
    # The image's right edge is at pixel 639.5 before and at 319.5 after: the same ray.
    assert (639.5 - camera.cx) / camera.fx == pytest.approx((319.5 - half.cx) / half.fx)


def test_camera_from_dict_says_what_is_wrong():
    with pytest.raises(ValueError, match="fx"):
        PinholeCamera.from_dict({"width": 1, "height": 1})
    with pytest.raises(ValueError, match="positive"):
        PinholeCamera.from_dict({"width": 1, "height": 1, "fx": -1, "fy": 1, "cx": 0, "cy": 0})
    for width in (640.5, True, float("inf"), 10**400):  # not 640, 1, or a traceback
        with pytest.raises(ValueError, match=r"width, height, fx|at most"):
            PinholeCamera.from_dict({"width": width, "height": 480, "fx": 500, "fy": 500, "cx": 320, "cy": 240})
    assert PinholeCamera.from_dict({"width": 640.0, "height": 480, "fx": 500, "fy": 500, "cx": 0, "cy": 0}).width == 640


def _trajectory() -> Trajectory:
    stamps = np.array([1_700_000_000_000_000_001, 1_700_000_000_100_000_001, 1_700_000_001_000_000_001])
    orientations = quaternion.exp(np.array([[0, 0, 0], [0, 0, 0.5], [0, 0, 0.5]]))
    return Trajectory(stamps, se3.from_parts([[0, 0, 0], [1, 0, 0], [1, 1, 0]], orientations))


def test_trajectory_interpolates_inside_and_refuses_gaps():
    trajectory = _trajectory()
    start = int(trajectory.stamps_ns[0])
    fast = MotionLimits(max_speed=20.0, max_turn_rate=20.0)
    pose = trajectory.sample(start + 25_000_000, Interpolation(200_000_000, fast))
    assert pose is not None
    np.testing.assert_allclose(pose[:3, 3], [0.25, 0, 0], atol=1e-12)
    np.testing.assert_allclose(quaternion.log(quaternion.from_matrix(pose[:3, :3])), [0, 0, 0.125], atol=1e-12)
    assert trajectory.sample(start + 500_000_000, Interpolation(200_000_000, fast)) is NoPose.GAP
    assert trajectory.sample(start - 1, Interpolation(10**9, fast)) is NoPose.OUTSIDE
    assert trajectory.sample(start - 1, Interpolation(10**9, fast)) is NoPose.OUTSIDE
    np.testing.assert_array_equal(trajectory.sample(start, Interpolation(0)), trajectory.poses[0])


def test_tum_file_keeps_every_nanosecond(tmp_path: Path):
    trajectory = _trajectory()
    write_tum(tmp_path / "t.tum", trajectory)
    back = read_tum(tmp_path / "t.tum")
    np.testing.assert_array_equal(back.stamps_ns, trajectory.stamps_ns)
    np.testing.assert_allclose(back.poses, trajectory.poses, atol=1e-8)


@pytest.mark.parametrize(
    "text", ["1 2 3\n", "1 0 0 0 0 0 0 0\n", "x 0 0 0 0 0 0 1\n", "1 nan 0 0 0 0 0 1\n", "# none\n"]
)
def test_damaged_tum_file_is_named(tmp_path: Path, text: str):
    path = tmp_path / "t.tum"
    path.write_text(text)
    with pytest.raises(MvlocError, match=r"t\.tum"):
        read_tum(path)
