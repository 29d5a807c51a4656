# SPDX-License-Identifier: Apache-2.0
"""Homogeneous 4x4 matrices, float64. Euler angles are in radians; `axes` names the 24 conventions ('sxyz', ...)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from transforms3d import affines, axangles, euler


def identity_matrix() -> np.ndarray:
    """4x4, does nothing."""
    return np.identity(4)


def translation_matrix(direction: ArrayLike) -> np.ndarray:
    """4x4 that moves by a vector [3]."""
    return affines.compose(np.asarray(direction, dtype=np.float64)[:3], np.identity(3), np.ones(3))


def translation_from_matrix(matrix: ArrayLike) -> np.ndarray:
    """The vector [3] that a matrix moves the origin to."""
    return np.array(matrix, dtype=np.float64)[:3, 3]


def rotation_matrix(angle: float, direction: ArrayLike, point: ArrayLike | None = None) -> np.ndarray:
    """4x4 that turns by an angle about an axis, which runs through a point (the origin unless told)."""
    return axangles.axangle2aff(np.asarray(direction, dtype=np.float64)[:3], angle, point=point)


def rotation_from_matrix(matrix: ArrayLike) -> tuple[float, np.ndarray, np.ndarray]:
    """(angle, axis [3], point on the axis) of a rotation."""
    direction, angle, point = axangles.aff2axangle(np.asarray(matrix, dtype=np.float64))
    return angle, direction, point


def euler_matrix(ai: float, aj: float, ak: float, axes: str = "sxyz") -> np.ndarray:
    """4x4 from three Euler angles."""
    matrix = np.identity(4)
    matrix[:3, :3] = euler.euler2mat(ai, aj, ak, axes=axes)
    return matrix


def euler_from_matrix(matrix: ArrayLike, axes: str = "sxyz") -> tuple[float, float, float]:
    """Three Euler angles of a 3x3 or 4x4 matrix."""
    return euler.mat2euler(np.asarray(matrix, dtype=np.float64)[:3, :3], axes=axes)


def concatenate_matrices(*matrices: ArrayLike) -> np.ndarray:
    """The product of all, the last being applied first."""
    product = np.identity(4)
    for matrix in matrices:
        product = product @ np.asarray(matrix, dtype=np.float64)
    return product


def inverse_matrix(matrix: ArrayLike) -> np.ndarray:
    """The inverse; raises numpy.linalg.LinAlgError where there is none."""
    return np.linalg.inv(np.asarray(matrix, dtype=np.float64))


def compose_matrix(
    scale: ArrayLike | None = None,
    shear: ArrayLike | None = None,
    angles: ArrayLike | None = None,
    translate: ArrayLike | None = None,
) -> np.ndarray:
    """4x4 that shears (xy, xz, yz), scales [3], turns by the Euler angles ('sxyz') and moves."""
    rotation = np.identity(3) if angles is None else euler.euler2mat(*np.asarray(angles), axes="sxyz")
    return affines.compose(
        np.zeros(3) if translate is None else translate,
        rotation,
        np.ones(3) if scale is None else scale,
        np.zeros(3) if shear is None else shear,
    )


def is_same_transform(matrix0: ArrayLike, matrix1: ArrayLike) -> bool:
    """Whether two matrices do the same to every point."""
    a, b = np.asarray(matrix0, dtype=np.float64), np.asarray(matrix1, dtype=np.float64)
    return bool(np.allclose(a / a[3, 3], b / b[3, 3]))


def vector_norm(data: ArrayLike, axis: int | None = None) -> Any:
    """The Euclidean length, of the whole array or along an axis."""
    return np.linalg.norm(np.asarray(data, dtype=np.float64).ravel() if axis is None else data, axis=axis)


def unit_vector(data: ArrayLike, axis: int | None = None) -> np.ndarray:
    """The data divided by its Euclidean length, of the whole array or along an axis."""
    values = np.array(data, dtype=np.float64)
    length = vector_norm(values, axis)
    return values / (length if axis is None else np.expand_dims(length, axis))
