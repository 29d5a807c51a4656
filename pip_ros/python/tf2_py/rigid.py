# SPDX-License-Identifier: Apache-2.0
"""Rigid transforms as plain tuples: at one 4-vector a call they are faster than arrays.

Quaternions are (x, y, z, w), Hamilton, of unit length. A transform (translation, rotation) takes coordinates of the
child frame to the parent frame: p_parent = rotation * p_child + translation.
"""

from __future__ import annotations

import math
from typing import NamedTuple

Vector = tuple[float, float, float]
Quaternion = tuple[float, float, float, float]


class Rigid(NamedTuple):
    """A frame's place in another frame."""

    translation: Vector
    rotation: Quaternion


IDENTITY = Rigid((0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0))


def multiply(a: Quaternion, b: Quaternion) -> Quaternion:
    """The rotation b followed by the rotation a."""
    ax, ay, az, aw = a
    bx, by, bz, bw = b
    return (
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
        aw * bw - ax * bx - ay * by - az * bz,
    )


def conjugate(q: Quaternion) -> Quaternion:
    """The rotation the other way round."""
    return (-q[0], -q[1], -q[2], q[3])


def rotate(q: Quaternion, v: Vector) -> Vector:
    """The vector, turned."""
    x, y, z, _ = multiply(multiply(q, (v[0], v[1], v[2], 0.0)), conjugate(q))
    return (x, y, z)


def normalise(q: Quaternion) -> Quaternion:
    """The same rotation at unit length."""
    length = math.sqrt(sum(value * value for value in q))
    return (q[0] / length, q[1] / length, q[2] / length, q[3] / length)


def compose(outer: Rigid, inner: Rigid) -> Rigid:
    """The transform that applies `inner` first."""
    x, y, z = rotate(outer.rotation, inner.translation)
    tx, ty, tz = outer.translation
    return Rigid((x + tx, y + ty, z + tz), normalise(multiply(outer.rotation, inner.rotation)))


def inverse(transform: Rigid) -> Rigid:
    """The transform from the parent to the child."""
    back = conjugate(transform.rotation)
    x, y, z = rotate(back, transform.translation)
    return Rigid((-x, -y, -z), back)


def slerp(a: Quaternion, b: Quaternion, share: float) -> Quaternion:
    """The rotation at `share` (0 to 1) of the shorter great arc from a to b."""
    cosine = sum(p * q for p, q in zip(a, b, strict=True))
    sign = 1.0 if cosine >= 0.0 else -1.0
    # The chord keeps its precision where the rotations are almost equal; the arccosine loses it there.
    chord = math.sqrt(sum((sign * q - p) ** 2 for p, q in zip(a, b, strict=True)))
    angle = 2.0 * math.asin(min(1.0, chord / 2.0))
    if angle < 1e-9:
        return a
    weight_a = math.sin((1.0 - share) * angle) / math.sin(angle)
    weight_b = sign * math.sin(share * angle) / math.sin(angle)
    x, y, z, w = (weight_a * p + weight_b * q for p, q in zip(a, b, strict=True))
    return normalise((x, y, z, w))


def interpolate(a: Rigid, b: Rigid, share: float) -> Rigid:
    """Linear in the translation, spherical in the rotation."""
    x, y, z = (p + share * (q - p) for p, q in zip(a.translation, b.translation, strict=True))
    return Rigid((x, y, z), slerp(a.rotation, b.rotation, share))
