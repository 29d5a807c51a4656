# SPDX-License-Identifier: Apache-2.0
"""Rigid transforms as 4x4 float64 matrices.

`T_map_camera` maps camera coordinates into map coordinates, so frames chain by their inner names:
`T_map_camera = T_map_base @ T_base_camera`. Functions are vectorised over leading axes.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mvloc_ros.geometry import quaternion

Array = NDArray[np.float64]


def from_parts(position: ArrayLike, orientation: ArrayLike) -> Array:
    """`[..., 4, 4]` of positions `[..., 3]` in metres and unit quaternions x, y, z, w `[..., 4]`."""
    position = np.asarray(position, dtype=np.float64)
    rotation = quaternion.to_matrix(orientation)
    T = np.zeros((*position.shape[:-1], 4, 4))
    T[..., :3, :3] = rotation
    T[..., :3, 3] = position
    T[..., 3, 3] = 1.0
    return T


def to_parts(T: ArrayLike) -> tuple[Array, Array]:
    """Positions `[..., 3]` and unit quaternions x, y, z, w `[..., 4]` (w >= 0) of `[..., 4, 4]`."""
    T = np.asarray(T, dtype=np.float64)
    return T[..., :3, 3].copy(), quaternion.from_matrix(T[..., :3, :3])


def inverse(T: ArrayLike) -> Array:
    """Inverse of a rigid transform: the rotation transposed, the translation carried through it."""
    T = np.asarray(T, dtype=np.float64)
    result = np.zeros_like(T)
    rotation = np.swapaxes(T[..., :3, :3], -1, -2)
    result[..., :3, :3] = rotation
    result[..., :3, 3] = -(rotation @ T[..., :3, 3:])[..., 0]
    result[..., 3, 3] = 1.0
    return result


def project_to_so3(matrix: ArrayLike) -> Array:
    """The rotation `[..., 3, 3]` nearest to `matrix` in the Frobenius norm (by its SVD).

    Recorded rotations are often orthonormal only to a few 1e-4, which would leak into every inverse.
    """
    u, _, vt = np.linalg.svd(np.asarray(matrix, dtype=np.float64))
    sign = np.sign(np.linalg.det(u @ vt))
    u[..., :, 2] *= sign[..., None]
    return u @ vt


def translation_error(T_a: ArrayLike, T_b: ArrayLike) -> Array:
    """Distance of the two origins in metres, `[...]`."""
    T_a, T_b = np.asarray(T_a, dtype=np.float64), np.asarray(T_b, dtype=np.float64)
    return np.linalg.norm(T_a[..., :3, 3] - T_b[..., :3, 3], axis=-1)


def rotation_error(T_a: ArrayLike, T_b: ArrayLike) -> Array:
    """Angle of the rotation between the two in radians, in [0, pi], `[...]`."""
    T_a, T_b = np.asarray(T_a, dtype=np.float64), np.asarray(T_b, dtype=np.float64)
    return quaternion.angle_between(quaternion.from_matrix(T_a[..., :3, :3]), quaternion.from_matrix(T_b[..., :3, :3]))


def rotation_vector(rotation: ArrayLike) -> Array:
    """Axis times angle in radians, `[..., 3]`, of rotation matrices `[..., 3, 3]`."""
    return 2.0 * quaternion.log(quaternion.from_matrix(rotation))


def interpolate(T_0: ArrayLike, T_1: ArrayLike, alpha: ArrayLike) -> Array:
    """Straight line between the positions and slerp between the rotations, alpha in [0, 1]."""
    position_0, orientation_0 = to_parts(T_0)
    position_1, orientation_1 = to_parts(T_1)
    alpha = np.asarray(alpha, dtype=np.float64)
    position = position_0 + alpha[..., None] * (position_1 - position_0)
    return from_parts(position, quaternion.slerp(orientation_0, orientation_1, alpha))


def is_rigid(T: ArrayLike, tolerance: float = 1e-6) -> bool:
    """Whether one 4x4 matrix is finite, has a rotation within `tolerance`, and the last row 0 0 0 1.

    With plain numbers: a node asks this each frame, and numpy's calls on so few would take ten times as long.
    """
    T = np.asarray(T, dtype=np.float64)
    if T.shape != (4, 4):
        return False
    rows = T.tolist()
    if not all(math.isfinite(value) for row in rows for value in row):
        return False
    a, b, c = (row[:3] for row in rows[:3])
    faults = [_dot(a, a) - 1.0, _dot(b, b) - 1.0, _dot(c, c) - 1.0, _dot(a, b), _dot(a, c), _dot(b, c)]
    faults += [value - wanted for value, wanted in zip(rows[3], (0.0, 0.0, 0.0, 1.0), strict=True)]
    determinant = (
        a[0] * (b[1] * c[2] - b[2] * c[1]) - a[1] * (b[0] * c[2] - b[2] * c[0]) + a[2] * (b[0] * c[1] - b[1] * c[0])
    )
    return determinant > 0.0 and max(map(abs, faults)) <= tolerance


def _dot(a: list[float], b: list[float]) -> float:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
