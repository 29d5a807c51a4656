# SPDX-License-Identifier: Apache-2.0
"""The network as exported for the node: rotations in the map frame instead of relative to a reference."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mvloc_ros.training import torch_quaternion
from mvloc_ros.training.networks.pose_network import PoseNetwork, PoseOutput


class Deployed(nn.Module):
    """Wraps a trained network; `pose` becomes normalised position and log quaternion in the map frame.

    The positions stay normalised: their offset may need float64, which a graph on a GPU lacks.
    """

    reference: Tensor

    def __init__(self, network: PoseNetwork, reference: tuple[float, float, float, float]) -> None:
        super().__init__()
        self.network = network
        x, y, z, w = reference
        # Left multiplication by the reference (x, y, z, w) as a matrix, transposed for row vectors.
        left = torch.tensor([[w, -z, y, x], [z, w, -x, y], [-y, x, w, z], [-x, -y, -z, w]], dtype=torch.float64)
        self.register_buffer("reference", left.T.to(torch.float32).contiguous())

    def forward(self, color: Tensor, depth: Tensor, present: Tensor, *further: Tensor) -> PoseOutput:
        """As that of the network, with an image of every further sensor that it has."""
        output: PoseOutput = self.network(color, depth, present, *further)
        relative = torch_quaternion.exp(output.pose[:, 3:])
        in_map = torch_quaternion.log(relative @ self.reference)
        return output._replace(pose=torch.cat([output.pose[:, :3], in_map], dim=1))
