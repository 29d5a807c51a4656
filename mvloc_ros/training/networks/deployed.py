# SPDX-License-Identifier: Apache-2.0
"""The network as the node runs it: rotations in the map frame instead of relative to a reference."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mvloc_ros.training.networks.pose_network import PoseNetwork, PoseOutput

# Below this length the series' first term is exact in float32, and the division would not be.
SMALL = 1e-6


class Deployed(nn.Module):
    """Wraps a trained network; `pose` becomes normalised position and log quaternion in the map frame.

    The positions stay normalised: their offset may need float64, which a graph on a GPU has not.
    """

    reference: Tensor

    def __init__(self, network: PoseNetwork, reference: tuple[float, float, float, float]) -> None:
        super().__init__()
        self.network = network
        x, y, z, w = reference
        # Left multiplication by the reference (x, y, z, w) as a matrix, transposed for row vectors.
        left = torch.tensor([[w, -z, y, x], [z, w, -x, y], [-y, x, w, z], [-x, -y, -z, w]], dtype=torch.float64)
        self.register_buffer("reference", left.T.to(torch.float32).contiguous())

    def forward(self, color: Tensor, depth: Tensor, present: Tensor) -> PoseOutput:
        """As `PoseNetwork.forward`."""
        output: PoseOutput = self.network(color, depth, present)
        relative = quaternion_exp(output.pose[:, 3:])
        in_map = quaternion_log(relative @ self.reference)
        return output._replace(pose=torch.cat([output.pose[:, :3], in_map], dim=1))


def quaternion_exp(v: Tensor) -> Tensor:
    """Logarithms `[B, 3]` -> unit quaternions x, y, z, w `[B, 4]`."""
    length = torch.sqrt((v * v).sum(dim=1, keepdim=True))
    sinc = torch.where(length < SMALL, torch.ones_like(length), torch.sin(length) / length.clamp(min=SMALL))
    return torch.cat([v * sinc, torch.cos(length)], dim=1)


def quaternion_log(q: Tensor) -> Tensor:
    """Unit quaternions `[B, 4]` -> logarithms `[B, 3]` of the hemisphere w >= 0 (Eq. 12).

    acos(w) = 2 atan(|v| / (1 + w)) for unit quaternions: exact near the identity, where acos loses
    half of the digits, and an operator that every runtime has.
    """
    q = torch.where(q[:, 3:] < 0.0, -q, q)
    vector, scalar = q[:, :3], q[:, 3:]
    length = torch.sqrt((vector * vector).sum(dim=1, keepdim=True))
    angle = 2.0 * torch.atan(length / (1.0 + scalar))
    return vector * torch.where(length < SMALL, torch.ones_like(length), angle / length.clamp(min=SMALL))
