# SPDX-License-Identifier: Apache-2.0
"""What training minimises: the geometric loss (Eq. 11) and the paper's first stage.

An objective is a module called with the network and a batch. It returns the loss of every sample,
so that an objective that draws samples can weight each by itself.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from mvloc_ros.training.networks.mvloc import MVLoc


class Batch(NamedTuple):
    """Frames and their targets, on one device."""

    color: Tensor  # uint8 [B, H, W, 3]
    depth: Tensor  # float32 [B, H, W], metres
    present: Tensor  # float32 [B, 2]
    target: Tensor  # float32 [B, 6]


class SampleLoss(NamedTuple):
    """Loss of every sample and its two distances, `[B]` each."""

    total: Tensor
    position: Tensor
    rotation: Tensor


class GeometricLoss(nn.Module):
    """|p - p*| exp(-beta) + beta + |log q - log q*| exp(-gamma) + gamma, with beta and gamma learned.

    |.| is the mean absolute difference over the three axes, as in the papers this loss comes from.
    exp(-|d| / b) / 2b with b = exp(beta) is the Laplace density: beta is the log scale of the position
    error in normalised units, gamma that of the rotation's, up to the factor of the mean over axes.
    """

    def __init__(self, beta: float, gamma: float) -> None:
        super().__init__()
        self.beta = nn.Parameter(torch.tensor(float(beta)))
        self.gamma = nn.Parameter(torch.tensor(float(gamma)))

    def forward(self, pose: Tensor, target: Tensor) -> SampleLoss:
        """Poses and targets `[B, 6]`: normalised position, log quaternion."""
        difference = (pose.float() - target).abs()
        position, rotation = difference[:, :3].mean(dim=1), difference[:, 3:].mean(dim=1)
        total = position * torch.exp(-self.beta) + self.beta + rotation * torch.exp(-self.gamma) + self.gamma
        return SampleLoss(total, position, rotation)


class MeanObjective(nn.Module):
    """First stage of the paper's training: no sampling, the joint mean is decoded."""

    def __init__(self, geometric: GeometricLoss) -> None:
        super().__init__()
        self.geometric = geometric

    def forward(self, network: MVLoc, batch: Batch) -> SampleLoss:
        """Loss of every sample of the batch."""
        joint = network.encode(batch.color, batch.depth, batch.present)
        loss: SampleLoss = self.geometric(network.decode(joint.mean), batch.target)
        return loss


