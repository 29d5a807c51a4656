# SPDX-License-Identifier: Apache-2.0
"""tf_transformations: 4x4 matrices and quaternions x, y, z, w."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import tf_transformations as tf
from hypothesis import assume, given, settings
from hypothesis import strategies as st

angles = st.floats(-3.1, 3.1)
vectors = st.tuples(*[st.floats(-10.0, 10.0)] * 3).map(np.asarray)
axes = vectors.filter(lambda v: np.linalg.norm(v) > 0.1)
quaternions = (
    st.tuples(*[st.floats(-1.0, 1.0)] * 4)
    .filter(lambda q: np.linalg.norm(q) > 0.1)
    .map(lambda q: np.asarray(q) / np.linalg.norm(q))
)
fast = settings(deadline=None, max_examples=60)
HALF = math.sqrt(0.5)


def same_rotation(a: Any, b: Any, atol: float = 1e-9) -> None:
    """A quaternion and its negative are one rotation."""
    assert min(np.linalg.norm(np.asarray(a) - b), np.linalg.norm(np.asarray(a) + b)) < atol


def test_the_order_is_x_y_z_w() -> None:
    np.testing.assert_allclose(tf.quaternion_about_axis(math.pi / 2, (0, 0, 1)), [0, 0, HALF, HALF], atol=1e-12)
    np.testing.assert_allclose(tf.quaternion_from_euler(math.pi / 2, 0, 0), [HALF, 0, 0, HALF], atol=1e-12)
    np.testing.assert_allclose(tf.quaternion_multiply([0, 0, 0, 1], [1, 0, 0, 0]), [1, 0, 0, 0], atol=1e-12)


def test_a_quarter_turn_about_z_takes_x_to_y() -> None:
    for matrix in (
        tf.quaternion_matrix([0, 0, HALF, HALF]),
        tf.rotation_matrix(math.pi / 2, [0, 0, 2.0]),
        tf.euler_matrix(0, 0, math.pi / 2),
    ):
        assert np.shape(matrix) == (4, 4)
        np.testing.assert_allclose(matrix @ [1, 0, 0, 1], [0, 1, 0, 1], atol=1e-12)


@fast
@given(q=quaternions)
def test_matrix_and_back(q: np.ndarray) -> None:
    matrix = tf.quaternion_matrix(q)
    np.testing.assert_allclose(matrix[:3, :3] @ matrix[:3, :3].T, np.eye(3), atol=1e-12)
    assert np.linalg.det(matrix) == pytest.approx(1.0)
    back = tf.quaternion_from_matrix(matrix)
    assert np.linalg.norm(back) == pytest.approx(1.0)
    same_rotation(back, q, 1e-7)


@fast
@given(q=quaternions, length=st.floats(0.2, 5.0))
def test_the_matrix_does_not_depend_on_the_length(q: np.ndarray, length: float) -> None:
    np.testing.assert_allclose(tf.quaternion_matrix(q * length), tf.quaternion_matrix(q), atol=1e-9)


@fast
@given(first=quaternions, second=quaternions)
def test_products_agree_with_matrices(first: np.ndarray, second: np.ndarray) -> None:
    product = tf.quaternion_multiply(second, first)
    np.testing.assert_allclose(
        tf.quaternion_matrix(product), tf.quaternion_matrix(second) @ tf.quaternion_matrix(first), atol=1e-9
    )


@fast
@given(q=quaternions, length=st.floats(0.2, 5.0))
def test_inverse_and_conjugate(q: np.ndarray, length: float) -> None:
    np.testing.assert_allclose(tf.quaternion_conjugate(q), q * [-1, -1, -1, 1])
    scaled = q * length
    np.testing.assert_allclose(tf.quaternion_multiply(scaled, tf.quaternion_inverse(scaled)), [0, 0, 0, 1], atol=1e-9)


@fast
@given(angle=angles, axis=axes)
def test_three_ways_to_turn_about_an_axis(angle: float, axis: np.ndarray) -> None:
    matrix = tf.rotation_matrix(angle, axis)
    np.testing.assert_allclose(matrix, tf.quaternion_matrix(tf.quaternion_about_axis(angle, axis)), atol=1e-9)
    np.testing.assert_allclose(matrix[:3, :3] @ axis, axis, atol=1e-9)
    assert np.trace(matrix[:3, :3]) == pytest.approx(1.0 + 2.0 * math.cos(angle))


@fast
@given(angle=angles, axis=axes, point=vectors)
def test_turning_about_an_axis_through_a_point_leaves_it(angle: float, axis: np.ndarray, point: np.ndarray) -> None:
    matrix = tf.rotation_matrix(angle, axis, point)
    np.testing.assert_allclose(matrix @ [*point, 1.0], [*point, 1.0], atol=1e-8)


@fast
@given(roll=angles, pitch=st.floats(-1.5, 1.5), yaw=angles)
def test_euler_angles_and_back(roll: float, pitch: float, yaw: float) -> None:
    """By default about the fixed axes x, y, z: ROS's roll, pitch, yaw."""
    q = tf.quaternion_from_euler(roll, pitch, yaw)
    matrix = tf.euler_matrix(roll, pitch, yaw)
    np.testing.assert_allclose(tf.quaternion_matrix(q), matrix, atol=1e-9)
    expected = (
        tf.rotation_matrix(yaw, (0, 0, 1)) @ tf.rotation_matrix(pitch, (0, 1, 0)) @ tf.rotation_matrix(roll, (1, 0, 0))
    )
    np.testing.assert_allclose(matrix, expected, atol=1e-9)
    np.testing.assert_allclose(tf.euler_from_quaternion(q), (roll, pitch, yaw), atol=1e-6)
    np.testing.assert_allclose(tf.euler_from_matrix(matrix), (roll, pitch, yaw), atol=1e-6)


@pytest.mark.parametrize("convention", ["sxyz", "rzyx", "szyx", "rxyz", "sxyx"])
def test_other_conventions_of_angles(convention: str) -> None:
    matrix = tf.euler_matrix(0.3, 0.4, 0.5, convention)
    q = tf.quaternion_from_euler(0.3, 0.4, 0.5, convention)
    np.testing.assert_allclose(tf.quaternion_matrix(q), matrix, atol=1e-12)
    np.testing.assert_allclose(tf.euler_from_matrix(matrix, convention), (0.3, 0.4, 0.5), atol=1e-12)
    np.testing.assert_allclose(tf.euler_from_quaternion(q, convention), (0.3, 0.4, 0.5), atol=1e-9)


@fast
@given(first=quaternions, second=quaternions, fraction=st.floats(0.0, 1.0))
def test_slerp_is_a_part_of_the_shorter_turn(first: np.ndarray, second: np.ndarray, fraction: float) -> None:
    assume(1e-3 < abs(first @ second) < 1.0 - 1e-9)  # the two ways are not equally long, and there is one to go
    between = tf.quaternion_slerp(first, second, fraction)
    assert np.linalg.norm(between) == pytest.approx(1.0)
    whole = math.acos(min(1.0, abs(first @ second)))
    assert math.acos(min(1.0, abs(first @ between))) == pytest.approx(fraction * whole, abs=1e-6)
    assert math.acos(min(1.0, abs(second @ between))) == pytest.approx((1.0 - fraction) * whole, abs=1e-6)


def test_slerp_ends_where_it_should() -> None:
    a = np.array(tf.quaternion_about_axis(0.2, (1, 2, 3)))
    b = np.array(tf.quaternion_about_axis(1.7, (3, 1, -1)))
    same_rotation(tf.quaternion_slerp(a, b, 0.0), a)
    same_rotation(tf.quaternion_slerp(a, b, 1.0), b)
    same_rotation(tf.quaternion_slerp(a, a, 0.4), a)
    same_rotation(tf.quaternion_slerp(a, -a, 0.4), a)


@fast
@given(vector=vectors)
def test_translation_and_back(vector: np.ndarray) -> None:
    matrix = tf.translation_matrix(vector)
    np.testing.assert_allclose(matrix @ [1.0, 2.0, 3.0, 1.0], [*np.add(vector, (1.0, 2.0, 3.0)), 1.0])
    np.testing.assert_allclose(tf.translation_from_matrix(matrix), vector)


@fast
@given(q=quaternions, vector=vectors)
def test_a_pose_as_a_product_and_its_inverse(q: np.ndarray, vector: np.ndarray) -> None:
    pose = tf.concatenate_matrices(tf.translation_matrix(vector), tf.quaternion_matrix(q))
    np.testing.assert_allclose(pose[:3, 3], vector)
    np.testing.assert_allclose(pose[:3, :3], tf.quaternion_matrix(q)[:3, :3])
    np.testing.assert_allclose(tf.translation_from_matrix(pose), vector, atol=1e-12)
    same_rotation(tf.quaternion_from_matrix(pose), q, 1e-7)
    np.testing.assert_allclose(tf.concatenate_matrices(pose, tf.inverse_matrix(pose)), tf.identity_matrix(), atol=1e-9)


@fast
@given(roll=angles, pitch=st.floats(-1.5, 1.5), yaw=angles, vector=vectors)
def test_a_pose_from_angles(roll: float, pitch: float, yaw: float, vector: np.ndarray) -> None:
    pose = tf.compose_matrix(angles=(roll, pitch, yaw), translate=vector)
    np.testing.assert_allclose(pose, tf.translation_matrix(vector) @ tf.euler_matrix(roll, pitch, yaw), atol=1e-9)


def test_scale_comes_first() -> None:
    matrix = tf.compose_matrix(scale=(2.0, 3.0, 4.0), angles=(0.0, 0.0, math.pi / 2), translate=(1.0, 0.0, 0.0))
    np.testing.assert_allclose(matrix @ [1.0, 1.0, 1.0, 1.0], [-2.0, 2.0, 4.0, 1.0], atol=1e-12)


def test_unit_vectors() -> None:
    np.testing.assert_allclose(tf.unit_vector([3.0, 0.0, 4.0]), [0.6, 0.0, 0.8])
    rows = np.array([[3.0, 4.0], [0.0, 2.0]])
    np.testing.assert_allclose(tf.unit_vector(rows, axis=1), [[0.6, 0.8], [0.0, 1.0]])


def test_identity() -> None:
    np.testing.assert_array_equal(tf.identity_matrix(), np.eye(4))
    np.testing.assert_array_equal(tf.concatenate_matrices(), np.eye(4))
