# SPDX-License-Identifier: Apache-2.0
"""The objectives of training: the geometric loss (Eq. 11) and stage 1 of the paper.

An objective is a module called with the network and a batch; its state (beta, gamma, lambda) is in the checkpoints.
`multi_sample` is stage 2.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mvloc_ros.training.networks.pose_network import PoseNetwork


class Batch(NamedTuple):
    """Frames and their targets, on one device."""

    color: Tensor  # uint8 [B, H, W, 3]
    depth: Tensor  # float32 [B, H, W], metres
    present: Tensor  # float32 [B, 2]
    target: Tensor  # float32 [B, 6]


class SampleLoss(NamedTuple):
    """Loss of every frame and its two distances, `[B]` each."""

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


class Objective(nn.Module, ABC):
    """The loss of one stage of training."""

    def __init__(self, geometric: GeometricLoss) -> None:
        super().__init__()
        self.geometric = geometric

    @abstractmethod
    def forward(self, network: PoseNetwork, batch: Batch) -> SampleLoss:
        """Loss of every frame of the batch; the mean of `total` is differentiated."""

    def end_step(self, total: Callable[[Tensor], Tensor]) -> None:
        """Called once after each train step, which may have several micro-batches.

        Args:
            total: sums a tensor over all processes.
        """

    def end_epoch(self) -> dict[str, float]:
        """Values for the log of the epoch besides the loss; called once at its end."""
        return {}


class MeanObjective(Objective):
    """Stage 1 of the paper: the mean is decoded. The only stage of systems without a latent distribution."""

    def forward(self, network: PoseNetwork, batch: Batch) -> SampleLoss:
        """As `Objective.forward`."""
        loss: SampleLoss = self.geometric(network(batch.color, batch.depth, batch.present).pose, batch.target)
        return loss
