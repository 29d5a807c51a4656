# SPDX-License-Identifier: Apache-2.0
"""Products and matrices of unit quaternions x, y, z, w in torch, as in `mvloc_ros.geometry.quaternion`."""

from __future__ import annotations

import torch
from torch import Tensor


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
