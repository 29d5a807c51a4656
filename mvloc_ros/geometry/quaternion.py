# SPDX-License-Identifier: Apache-2.0
"""Unit quaternions in the order x, y, z, w (the order of geometry_msgs), vectorised.

Every function takes and returns float64 arrays `[..., 4]`; leading axes broadcast as in numpy.
A quaternion and its negative are the same rotation; functions that must choose take w >= 0.
"""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Number = TypeVar("Number", float, Array)

UNIT_TOLERANCE = 1e-2
"""Four decimals of a text file leave 1e-4, float32 1e-7."""


def normalise(q: ArrayLike) -> Array:
    """Scale `[..., 4]` to unit length.

    Raises:
        ValueError: a quaternion has no length or is not finite.
    """
    q = np.asarray(q, dtype=np.float64)
    norm = np.linalg.norm(q, axis=-1, keepdims=True)
    if not np.all(np.isfinite(norm)) or np.any(norm < 1e-12):
        raise ValueError("A quaternion of zero or non-finite length is not a rotation.")
    return q / norm


def is_unit(q: ArrayLike) -> bool:
    """Whether one quaternion's length is 1 but for rounding: Euler angles and half-filled messages have another."""
    # hypot does not overflow, and four numbers take numpy's norm ten times as long.
    return abs(math.hypot(*np.asarray(q, dtype=np.float64).tolist()) - 1.0) <= UNIT_TOLERANCE


def canonical(q: ArrayLike) -> Array:
    """The one of q and -q with w >= 0; w = 0 keeps its sign (a zero sign would erase it)."""
    q = np.asarray(q, dtype=np.float64)
    return np.where(q[..., 3:] < 0.0, -q, q)


def multiply(a: ArrayLike, b: ArrayLike) -> Array:
    """Hamilton product: the rotation b followed by a."""
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    av, aw, bv, bw = a[..., :3], a[..., 3:], b[..., :3], b[..., 3:]
    vector = aw * bv + bw * av + np.cross(av, bv)
    scalar = aw * bw - np.sum(av * bv, axis=-1, keepdims=True)
    return np.concatenate([vector, scalar], axis=-1)


def conjugate(q: ArrayLike) -> Array:
    """The inverse of a unit quaternion."""
    return np.asarray(q, dtype=np.float64) * np.array([-1.0, -1.0, -1.0, 1.0])


def to_matrix(q: ArrayLike) -> Array:
    """Rotation matrices `[..., 3, 3]` of unit quaternions `[..., 4]`."""
    q = np.asarray(q, dtype=np.float64)
    if q.ndim == 1:
        return np.array(_rows_of_matrix(*q.tolist()))
    rows = _rows_of_matrix(q[..., 0], q[..., 1], q[..., 2], q[..., 3])
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def _rows_of_matrix(x: Number, y: Number, z: Number, w: Number) -> list[list[Number]]:
    """The matrix row by row, of plain numbers or of arrays of them."""
    return [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]


def from_matrix(rotation: ArrayLike) -> Array:
    """Unit quaternions `[..., 4]`, w >= 0, of rotation matrices `[..., 3, 3]`.

    Each component squared is a sum of the diagonal; starting from the largest keeps the division
    well conditioned for every angle (Shepperd, 1978).
    """
    r = np.asarray(rotation, dtype=np.float64)
    if r.ndim == 2:
        return _from_one_matrix(r)
    xx, yy, zz = r[..., 0, 0], r[..., 1, 1], r[..., 2, 2]
    x_first = np.stack(
        [1 + xx - yy - zz, r[..., 1, 0] + r[..., 0, 1], r[..., 0, 2] + r[..., 2, 0], r[..., 2, 1] - r[..., 1, 2]],
        axis=-1,
    )
    y_first = np.stack(
        [r[..., 1, 0] + r[..., 0, 1], 1 - xx + yy - zz, r[..., 2, 1] + r[..., 1, 2], r[..., 0, 2] - r[..., 2, 0]],
        axis=-1,
    )
    z_first = np.stack(
        [r[..., 0, 2] + r[..., 2, 0], r[..., 2, 1] + r[..., 1, 2], 1 - xx - yy + zz, r[..., 1, 0] - r[..., 0, 1]],
        axis=-1,
    )
    w_first = np.stack(
        [r[..., 2, 1] - r[..., 1, 2], r[..., 0, 2] - r[..., 2, 0], r[..., 1, 0] - r[..., 0, 1], 1 + xx + yy + zz],
        axis=-1,
    )
    candidates = np.stack([x_first, y_first, z_first, w_first], axis=-2)
    largest = np.argmax(np.stack([xx, yy, zz, xx + yy + zz], axis=-1), axis=-1)
    chosen = np.take_along_axis(candidates, largest[..., None, None], axis=-2)[..., 0, :]
    return canonical(normalise(chosen))


def _from_one_matrix(rotation: Array) -> Array:
    """The same with plain numbers: a node does this a few times a frame, and numpy's calls would take most of it."""
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = rotation.tolist()
    _, largest = max((xx, 0), (yy, 1), (zz, 2), (xx + yy + zz, 3))
    if largest == 0:
        x, y, z, w = 1 + xx - yy - zz, yx + xy, xz + zx, zy - yz
    elif largest == 1:
        x, y, z, w = yx + xy, 1 - xx + yy - zz, zy + yz, xz - zx
    elif largest == 2:
        x, y, z, w = xz + zx, zy + yz, 1 - xx - yy + zz, yx - xy
    else:
        x, y, z, w = zy - yz, xz - zx, yx - xy, 1 + xx + yy + zz
    length = math.sqrt(x * x + y * y + z * z + w * w)
    if not 1e-12 <= length < math.inf:
        raise ValueError("A quaternion of zero or non-finite length is not a rotation.")
    length = -length if w < 0.0 else length
    return np.array([x / length, y / length, z / length, w / length])


def log(q: ArrayLike) -> Array:
    """Logarithm `[..., 3]` of unit quaternions: v / |v| * acos(u) (Eq. 12 of the paper).

    This is HALF the rotation vector. The hemisphere w >= 0 is taken first, so that the length is at
    most pi / 2 and a rotation has one logarithm.
    """
    q = np.asarray(q, dtype=np.float64)
    if q.ndim == 1:
        return _log_of_one(q)
    q = canonical(q)
    vector, scalar = q[..., :3], q[..., 3:]
    length = np.linalg.norm(vector, axis=-1, keepdims=True)
    # atan2 instead of acos: acos loses half of the digits near the identity.
    angle = np.arctan2(length, scalar)
    return vector * np.where(length > 1e-12, angle / np.maximum(length, 1e-12), 1.0)


def _log_of_one(q: Array) -> Array:
    """The same with plain numbers (see `_from_one_matrix`)."""
    x, y, z, w = q.tolist()
    length = math.sqrt(x * x + y * y + z * z)
    sign = -1.0 if w < 0.0 else 1.0
    factor = sign * (math.atan2(length, abs(w)) / length if length > 1e-12 else 1.0)
    return np.array([x * factor, y * factor, z * factor])


def exp(v: ArrayLike) -> Array:
    """Unit quaternions `[..., 4]` of logarithms `[..., 3]`: the inverse of `log`."""
    v = np.asarray(v, dtype=np.float64)
    if v.ndim == 1:
        x, y, z = v.tolist()
        length = math.sqrt(x * x + y * y + z * z)
        factor = math.sin(length) / length if length > 1e-12 else 1.0
        return np.array([x * factor, y * factor, z * factor, math.cos(length)])
    angle = np.linalg.norm(v, axis=-1, keepdims=True)
    return np.concatenate([v * np.sinc(angle / np.pi), np.cos(angle)], axis=-1)


def slerp(q0: ArrayLike, q1: ArrayLike, alpha: ArrayLike) -> Array:
    """Interpolate on the shorter arc: q0 at alpha = 0, q1 at alpha = 1."""
    step = log(multiply(q1, conjugate(q0)))
    return multiply(exp(np.asarray(alpha, dtype=np.float64)[..., None] * step), q0)


def angle_between(a: ArrayLike, b: ArrayLike) -> Array:
    """Angle in radians, in [0, pi], of the rotation that takes a to b."""
    return 2.0 * np.linalg.norm(log(multiply(b, conjugate(a))), axis=-1)


def mean(q: ArrayLike) -> Array:
    """Mean rotation of `[N, 4]`: the largest eigenvector of the sum of q q^T (Markley et al., 2007)."""
    q = np.asarray(q, dtype=np.float64).reshape(-1, 4)
    _, vectors = np.linalg.eigh(q.T @ q)
    return canonical(normalise(vectors[:, -1]))
