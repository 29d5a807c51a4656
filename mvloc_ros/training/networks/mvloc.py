# SPDX-License-Identifier: Apache-2.0
"""MVLoc: two encoders, Product of Experts, attention, pose regressor (the paper's Fig. 2)."""

from __future__ import annotations

import torch
from torch import Tensor

from mvloc_ros.training.networks.attention import LatentAttention
from mvloc_ros.training.networks.encoder import GaussianEncoder
from mvloc_ros.training.networks.pose_network import PoseNetwork, PoseOutput
from mvloc_ros.training.networks.product_of_experts import JointGaussian, product_of_experts
from mvloc_ros.training.networks.regressor import PoseRegressor
from mvloc_ros.training.networks.resnet import ResNet
from mvloc_ros.training.options import InputConfig, NetworkConfig


class MVLoc(PoseNetwork):
    """RGB image and depth map -> pose; one of the two may be missing.

    `encode` and `decode` are separate so that an objective can decode samples instead of the mean.
    """

    def __init__(self, network: NetworkConfig, inputs: InputConfig) -> None:
        super().__init__(inputs)
        size = network.latent_size
        self.color = GaussianEncoder(ResNet(network.backbone, network.width, in_channels=3), size)
        self.depth = GaussianEncoder(ResNet(network.backbone, network.width, in_channels=self.depth_channels), size)
        self.attention = LatentAttention(size)
        self.regressor = PoseRegressor(size, network.dropout, network.rotation)

    def experts(self, color: Tensor, depth: Tensor) -> tuple[Tensor, Tensor]:
        """Means and log variances of the color and the depth expert, `[B, 2, D]` each."""
        color_mean, color_log_variance = self.features_of(self.color, self.normalise_color(color))
        depth_mean, depth_log_variance = self.features_of(self.depth, self.normalise_depth(depth))
        means = torch.stack([color_mean, depth_mean], dim=1)
        log_variances = torch.stack([color_log_variance, depth_log_variance], dim=1)
        return means, log_variances

    def encode(self, color: Tensor, depth: Tensor, present: Tensor) -> JointGaussian:
        """The joint latent distribution of both modalities and the prior."""
        return product_of_experts(*self.experts(color, depth), present)

    def decode(self, latent: Tensor) -> Tensor:
        """Latent vectors `[B, D]` -> `[B, 6]`."""
        return self.regressor(self.attention(latent))

    @torch.no_grad()
    def scale_latent(self, factor: float) -> None:
        """Multiply the latent means by `factor` and divide by it in the decoder: the poses of the means do not change.

        The variances are kept, so the noise of a sample relative to the means is divided by the factor.
        """
        attention = self.attention
        for layer in (self.color.mean, self.depth.mean, attention.alpha):
            layer.weight.mul_(factor)
            layer.bias.mul_(factor)
        for layer in (attention.g, attention.theta, attention.phi, *self.regressor.inputs()):
            layer.weight.div_(factor)

    def forward(self, color: Tensor, depth: Tensor, present: Tensor) -> PoseOutput:
        """Poses at the mean of the joint distribution."""
        joint = self.encode(color, depth, present)
        return PoseOutput(self.decode(joint.mean), joint.mean, joint.log_variance, joint.shares.mean(dim=2))
