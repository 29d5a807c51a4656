# SPDX-License-Identifier: Apache-2.0
"""Unit quaternions x, y, z, w in torch, as in `mvloc_ros.geometry.quaternion`, with operators that ONNX has."""

from __future__ import annotations

import torch
from torch import Tensor

# Below this length the series' first term is exact in float32, and the division would not be.
SMALL = 1e-6
# Under a square root: at 0 its derivative would be infinite, and infinity times 0 is NaN.
_POSITIVE = 1e-24


def exp(v: Tensor) -> Tensor:
    """Logarithms `[B, 3]` -> unit quaternions x, y, z, w `[B, 4]`."""
    length = _length(v)
    sinc = torch.where(length < SMALL, torch.ones_like(length), torch.sin(length) / length.clamp(min=SMALL))
    return torch.cat([v * sinc, torch.cos(length)], dim=1)


def log(q: Tensor) -> Tensor:
    """Unit quaternions `[B, 4]` -> logarithms `[B, 3]` of the hemisphere w >= 0 (Eq. 12).

    acos(w) = 2 atan(|v| / (1 + w)) for unit quaternions: exact near the identity, where acos loses
    half of the digits, and an operator that every runtime has.
    """
    q = torch.where(q[:, 3:] < 0.0, -q, q)
    vector, scalar = q[:, :3], q[:, 3:]
    length = _length(vector)
    angle = 2.0 * torch.atan(length / (1.0 + scalar))
    return vector * torch.where(length < SMALL, torch.ones_like(length), angle / length.clamp(min=SMALL))


def half_angle(a: Tensor, b: Tensor) -> Tensor:
    """Half the angle between the rotations of two logarithms `[B, 3]`: `[B]`, radians from 0 to pi / 2."""
    relative = multiply(exp(-b), exp(a))
    return torch.atan2(_length(relative[:, :3]), relative[:, 3:].abs()).squeeze(1)


def multiply(a: Tensor, b: Tensor) -> Tensor:
    """Hamilton product of `[B, 4]` each (B may be 1): the rotation b followed by a."""
    av, aw, bv, bw = a[:, :3], a[:, 3:], b[:, :3], b[:, 3:]
    av, bv = torch.broadcast_tensors(av, bv)
    vector = aw * bv + bw * av + torch.linalg.cross(av, bv)
    return torch.cat([vector, aw * bw - (av * bv).sum(dim=1, keepdim=True)], dim=1)


def rotation_matrix(q: Tensor) -> Tensor:
    """`[B, 3, 3]` of unit quaternions `[B, 4]`."""
    x, y, z, w = q.unbind(dim=1)
    rows = [
        torch.stack([1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)], dim=1),
        torch.stack([2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)], dim=1),
        torch.stack([2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)], dim=1),
    ]
    return torch.stack(rows, dim=1)


def from_matrix(matrix: Tensor) -> Tensor:
    """Rotation matrices `[B, 3, 3]` -> unit quaternions `[B, 4]`, of either sign.

    Four times q_i q for each component i of q is linear in the matrix; that of the largest component is normalised, so
    nothing is divided by a small number.
    """
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = (row.unbind(dim=1) for row in matrix.unbind(dim=1))
    by_x = torch.stack([1.0 + xx - yy - zz, xy + yx, xz + zx, zy - yz], dim=1)
    by_y = torch.stack([xy + yx, 1.0 - xx + yy - zz, yz + zy, xz - zx], dim=1)
    by_z = torch.stack([xz + zx, yz + zy, 1.0 - xx - yy + zz, yx - xy], dim=1)
    by_w = torch.stack([zy - yz, xz - zx, yx - xy, 1.0 + xx + yy + zz], dim=1)
    # The length of each row is four times its component: the longest row has the largest.
    by_xy = torch.where(_length(by_x) < _length(by_y), by_y, by_x)
    by_zw = torch.where(_length(by_z) < _length(by_w), by_w, by_z)
    chosen = torch.where(_length(by_xy) < _length(by_zw), by_zw, by_xy)
    return chosen / _length(chosen)


def _length(vectors: Tensor) -> Tensor:
    """Lengths `[B, 1]` of vectors `[B, N]`, with a derivative of 0 at 0."""
    return torch.sqrt((vectors * vectors).sum(dim=1, keepdim=True).clamp(min=_POSITIVE))
