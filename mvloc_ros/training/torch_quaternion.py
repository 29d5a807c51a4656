# SPDX-License-Identifier: Apache-2.0
"""Unit quaternions x, y, z, w in torch, as in `mvloc_ros.geometry.quaternion`, with operators that ONNX has."""

from __future__ import annotations

import torch
from torch import Tensor

# Below this length the series' first term is exact in float32, and the division would not be.
SMALL = 1e-6


def exp(v: Tensor) -> Tensor:
    """Logarithms `[B, 3]` -> unit quaternions x, y, z, w `[B, 4]`."""
    length = torch.sqrt((v * v).sum(dim=1, keepdim=True))
    sinc = torch.where(length < SMALL, torch.ones_like(length), torch.sin(length) / length.clamp(min=SMALL))
    return torch.cat([v * sinc, torch.cos(length)], dim=1)


def log(q: Tensor) -> Tensor:
    """Unit quaternions `[B, 4]` -> logarithms `[B, 3]` of the hemisphere w >= 0 (Eq. 12).

    acos(w) = 2 atan(|v| / (1 + w)) for unit quaternions: exact near the identity, where acos loses
    half of the digits, and an operator that every runtime has.
    """
    q = torch.where(q[:, 3:] < 0.0, -q, q)
    vector, scalar = q[:, :3], q[:, 3:]
    length = torch.sqrt((vector * vector).sum(dim=1, keepdim=True))
    angle = 2.0 * torch.atan(length / (1.0 + scalar))
    return vector * torch.where(length < SMALL, torch.ones_like(length), angle / length.clamp(min=SMALL))


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
