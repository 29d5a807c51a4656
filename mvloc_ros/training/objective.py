# SPDX-License-Identifier: Apache-2.0
"""The objectives of training: the geometric loss (Eq. 11) and stage 1 of the paper.

An objective is a module called with the network and a batch; its state (beta, gamma, lambda) is in the checkpoints.
`multi_sample` is stage 2.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mvloc_ros.training import torch_quaternion
from mvloc_ros.training.networks.encoder import GaussianEncoder
from mvloc_ros.training.networks.mvloc import MVLoc
from mvloc_ros.training.networks.pose_network import PoseNetwork
from mvloc_ros.training.networks.product_of_experts import product_of_experts
from mvloc_ros.training.single_experts import with_single_experts

AXES = 3  # of a position, and of a rotation
# Of three Laplace densities exp(-|d| / b) / 2b, and of exp(-|d| / b) / 8 pi b^3 in three dimensions, besides log b.
LOG_OF_AXES, LOG_OF_ANGLE = AXES * math.log(2.0), math.log(8.0 * math.pi)
# An expert alone whose errors are this many times the typical ones, exp(beta) and exp(gamma), weighs as the prior does.
# A good image then has nearly all of the weight, and one that gives no more than the mean pose nearly none.
LOG_ERROR_OF_PRIOR = math.log(4.0)


class Batch(NamedTuple):
    """Frames and their targets, on one device."""

    color: Tensor  # uint8 [B, H, W, 3]
    depth: Tensor  # float32 [B, H, W], metres
    present: Tensor  # float32 [B, M]
    target: Tensor  # float32 [B, 6]
    further: tuple[Tensor, ...] = ()  # images of the further sensors; `present` then has a column for each

    def inputs(self) -> tuple[Tensor, ...]:
        """What the network takes, in its order."""
        return (self.color, self.depth, self.present, *self.further)


class SampleLoss(NamedTuple):
    """Loss of every frame and its two distances, `[B]` each."""

    total: Tensor
    position: Tensor
    rotation: Tensor


class GeometricLoss(nn.Module):
    """|p - p*| exp(-beta) + beta + |log q - log q*| exp(-gamma) + gamma, with beta and gamma learned.

    |.| is the mean absolute difference over the three axes, as in the papers this loss comes from.
    exp(-|d| / b) / 2b with b = exp(beta) is the Laplace density of one axis: beta is the log scale of the position
    error in normalised units, gamma that of the rotation's. The likelihood of a pose is the product over the axes, so
    -log p = 3 L_p + 6 log 2: exp(-L_p) itself is its cube root, up to a factor.

    With `rotation` "6d" |log q - log q*| is replaced by a third of the length of log (q*^-1 q), which is half the angle
    between the two: the same unit, and gamma the log scale of the errors as before, without the seam of logarithms at
    180 degrees from the mean orientation. Its density exp(-|d| / b) / (8 pi b^3) in the three dimensions of the
    logarithm needs the third to have exp(gamma) as b.
    """

    def __init__(self, beta: float, gamma: float, rotation: str = "logq") -> None:
        """With initial beta and gamma, and the representation of rotations (`NetworkConfig.rotation`)."""
        super().__init__()
        self.by_angle = rotation == "6d"
        self.beta = nn.Parameter(torch.tensor(float(beta)))
        self.gamma = nn.Parameter(torch.tensor(float(gamma)))

    def forward(self, pose: Tensor, target: Tensor) -> SampleLoss:
        """Poses and targets `[B, 6]`: normalised position, log quaternion."""
        pose = pose.float()
        position = (pose[:, :3] - target[:, :3]).abs().mean(dim=1)
        if self.by_angle:
            rotation = torch_quaternion.half_angle(pose[:, 3:], target[:, 3:]) / AXES
        else:
            rotation = (pose[:, 3:] - target[:, 3:]).abs().mean(dim=1)
        total = position * torch.exp(-self.beta) + self.beta + rotation * torch.exp(-self.gamma) + self.gamma
        return SampleLoss(total, position, rotation)

    @torch.no_grad()
    def relative_error(self, loss: SampleLoss) -> Tensor:
        """Errors of `forward` as multiples of exp(beta) and exp(gamma), the mean of both, `[B]`; without gradient."""
        return 0.5 * (loss.position * torch.exp(-self.beta) + loss.rotation * torch.exp(-self.gamma))

    def negative_log_likelihood(self, total: Tensor, likelihood: str) -> Tensor:
        """-log p(y | z) of Eq. 10, nats, from L_p of any shape.

        Args:
            total: L_p, as `forward` returns it.
            likelihood: "sum": the Laplace density of all axes; "mean": L_p itself (the paper's replacement).
        """
        if likelihood == "mean":
            return total
        return AXES * total + LOG_OF_AXES + (LOG_OF_ANGLE if self.by_angle else LOG_OF_AXES)


class Objective(nn.Module, ABC):
    """The loss of one stage of training."""

    def __init__(self, geometric: GeometricLoss) -> None:
        super().__init__()
        self.geometric = geometric

    @abstractmethod
    def forward(self, network: PoseNetwork, batch: Batch) -> SampleLoss:
        """Loss of every frame of the batch; the mean of `total` is differentiated."""

    def end_step(self, total: Callable[[Tensor], Tensor], changed: bool) -> None:
        """Called once after each train step, which may have several micro-batches.

        Args:
            total: sums a tensor over all processes.
            changed: whether the weights changed; a step that was left out advances nothing.
        """

    def end_epoch(self) -> dict[str, float]:
        """Values for the log of the epoch besides the loss; called once at its end."""
        return {}


class MeanObjective(Objective):
    """Stage 1 of the paper: the mean is decoded. The only stage of systems without a latent distribution.

    With a weight for `single_experts`, each expert alone is a task as well, as in MVAE. Nothing is sampled here, so the
    variances would only matter as weights in the product, and little would tell an expert that its image is bad. So
    these terms fit the mean log variance of each expert to the error of the pose that it gives alone: the greater that
    is, the less the expert weighs beside the other and the prior. Poses and features have no gradient from this part:
    frames with large errors are learned like all others.
    """

    def __init__(self, geometric: GeometricLoss, single_experts: float = 0.0) -> None:
        """With the weight of the additional terms of each expert alone, which only a product of experts can have."""
        super().__init__(geometric)
        self.single_experts = single_experts

    def forward(self, network: PoseNetwork, batch: Batch) -> SampleLoss:
        """As `Objective.forward`; the distances are those with all modalities of the frame."""
        if self.single_experts <= 0.0:
            pose = network(*batch.inputs()).pose
            loss: SampleLoss = self.geometric(pose, batch.target)
            return loss
        if not isinstance(network, MVLoc):
            raise TypeError(f"{type(network).__name__} has no experts of single modalities")
        for encoder in network.modules():
            if isinstance(encoder, GaussianEncoder):
                encoder.variance_apart = True
        means, log_variances = network.experts(batch.color, batch.depth, *batch.further)
        log_deviations = 0.5 * log_variances.float().mean(dim=2)

        def pose_loss(present: Tensor) -> SampleLoss:
            joint = product_of_experts(means, log_variances, present)
            loss: SampleLoss = self.geometric(network.decode(joint.mean), batch.target)
            return loss

        def of_one(alone: Tensor) -> Tensor:
            loss = pose_loss(alone)
            # -log of a Laplace density of the error, whose scale is the expert's deviation; least where it fits.
            spread = (alone * log_deviations).sum(dim=1) + LOG_ERROR_OF_PRIOR
            return loss.total + self.geometric.relative_error(loss) * torch.exp(-spread) + spread

        joint = pose_loss(batch.present)
        return joint._replace(total=with_single_experts(joint.total, of_one, batch.present, self.single_experts))
