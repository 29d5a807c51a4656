# SPDX-License-Identifier: Apache-2.0
"""Quaternions in ROS's order, (x, y, z, w). transforms3d has w first; the order is turned here and nowhere else.

As in the package that this stands in for, some results are tuples and some are arrays.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from transforms3d import affines, euler, quaternions

from tf_transformations.matrices import unit_vector

Quaternion = tuple[float, float, float, float]


def _w_first(quaternion: ArrayLike) -> np.ndarray:
    return np.roll(np.asarray(quaternion, dtype=np.float64), 1)


def _w_last(quaternion: np.ndarray) -> Quaternion:
    w, x, y, z = quaternion
    return x, y, z, w


def quaternion_matrix(quaternion: ArrayLike) -> np.ndarray:
    """4x4 that turns like the quaternion, whose length does not matter."""
    matrix = np.identity(4)
    matrix[:3, :3] = quaternions.quat2mat(_w_first(quaternion))
    return matrix


def quaternion_from_matrix(matrix: ArrayLike) -> Quaternion:
    """The unit quaternion, w >= 0, of the rotation in a 4x4 matrix."""
    _, rotation, _, _ = affines.decompose(np.asarray(matrix, dtype=np.float64))
    return _w_last(quaternions.mat2quat(rotation))


def quaternion_multiply(quaternion1: ArrayLike, quaternion0: ArrayLike) -> Quaternion:
    """The product: `quaternion0` is applied first."""
    return _w_last(quaternions.qmult(_w_first(quaternion1), _w_first(quaternion0)))


def quaternion_conjugate(quaternion: ArrayLike) -> np.ndarray:
    """The quaternion with its axis turned round."""
    return np.asarray(quaternion, dtype=np.float64) * (-1.0, -1.0, -1.0, 1.0)


def quaternion_inverse(quaternion: ArrayLike) -> np.ndarray:
    """The quaternion that undoes it, of any length."""
    # Not transforms3d's qinverse: that one is right for unit quaternions only in its current release.
    return quaternion_conjugate(quaternion) / np.dot(quaternion, quaternion)


def quaternion_about_axis(angle: float, axis: ArrayLike) -> Quaternion:
    """The unit quaternion that turns by an angle about an axis [3] of any length."""
    return _w_last(quaternions.axangle2quat(np.asarray(axis, dtype=np.float64), angle))


def quaternion_from_euler(ai: float, aj: float, ak: float, axes: str = "sxyz") -> Quaternion:
    """The unit quaternion of three Euler angles."""
    return _w_last(euler.euler2quat(ai, aj, ak, axes=axes))


def euler_from_quaternion(quaternion: ArrayLike, axes: str = "sxyz") -> tuple[float, float, float]:
    """Three Euler angles of a quaternion."""
    return euler.quat2euler(_w_first(quaternion), axes=axes)


def quaternion_slerp(
    quat0: ArrayLike, quat1: ArrayLike, fraction: float, spin: int = 0, shortestpath: bool = True
) -> np.ndarray:
    """The unit quaternion at a fraction of the great arc from one to the other.

    :param spin: full turns to add.
    :param shortestpath: take the shorter of the two arcs.
    """
    start, end = unit_vector(np.asarray(quat0)[:4]), unit_vector(np.asarray(quat1)[:4])
    if fraction in (0.0, 1.0):
        return start if fraction == 0.0 else end
    cosine = float(start @ end)
    if shortestpath and cosine < 0.0:
        cosine, end = -cosine, -end
    angle = math.acos(min(1.0, max(-1.0, cosine))) + spin * math.pi
    if abs(math.sin(angle)) < 1e-12:
        return start
    return (math.sin((1.0 - fraction) * angle) * start + math.sin(fraction * angle) * end) / math.sin(angle)
