# SPDX-License-Identifier: Apache-2.0
"""MVLoc: two encoders, Product of Experts, attention, pose regressor (the paper's Fig. 2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mvloc_ros.training.config import InputConfig, NetworkConfig
from mvloc_ros.training.networks.attention import LatentAttention
from mvloc_ros.training.networks.encoder import GaussianEncoder
from mvloc_ros.training.networks.product_of_experts import JointGaussian, product_of_experts
from mvloc_ros.training.networks.regressor import PoseRegressor
from mvloc_ros.training.networks.resnet import ResNet, load_imagenet


class PoseOutput(NamedTuple):
    """What the network says of each frame; the names are those of the exported graph's outputs."""

    pose: Tensor  # [B, 6] normalised position, log quaternion
    latent_mean: Tensor  # [B, D]
    latent_log_variance: Tensor  # [B, D]
    expert_share: Tensor  # [B, 3] prior, colour, depth: share of the joint precision, mean over D


class MVLoc(nn.Module):
    """RGB image and depth map -> pose, with either of the two allowed to be missing.

    `encode` and `decode` are apart so that an objective may decode samples instead of the mean.
    """

    def __init__(self, network: NetworkConfig, inputs: InputConfig) -> None:
        super().__init__()
        self.min_depth, self.max_depth = inputs.min_depth, inputs.max_depth
        size = network.latent_size
        self.color = GaussianEncoder(ResNet(network.backbone, network.width, in_channels=3), size)
        self.depth = GaussianEncoder(ResNet(network.backbone, network.width, in_channels=1), size)
        self.attention = LatentAttention(size)
        self.regressor = PoseRegressor(size, network.dropout)

    def start_from(self, weights: Mapping[str, Tensor]) -> None:
        """Start both encoders from ImageNet weights (TrainingError where they do not fit)."""
        load_imagenet(self.color.backbone, weights)
        load_imagenet(self.depth.backbone, weights)

    def normalise_color(self, color: Tensor) -> Tensor:
        """uint8 `[B, H, W, 3]` -> `[B, 3, H, W]` in [-1, 1]."""
        return color.permute(0, 3, 1, 2).to(torch.float32) / 127.5 - 1.0

    def normalise_depth(self, depth: Tensor) -> Tensor:
        """Metres `[B, H, W]` -> `[B, 1, H, W]` in [-1, 1]; all that is invalid becomes -1.

        Invalid is what lies outside the depth range, 0 and infinity with it, and NaN, which is inside
        no range.
        """
        depth = depth.to(torch.float32)
        valid = (depth >= self.min_depth) & (depth <= self.max_depth)
        scaled = (depth - self.min_depth) * (2.0 / (self.max_depth - self.min_depth)) - 1.0
        return torch.where(valid, scaled, torch.full_like(scaled, -1.0)).unsqueeze(1)

    def encode(self, color: Tensor, depth: Tensor, present: Tensor) -> JointGaussian:
        """The joint latent distribution of both modalities and the prior."""
        color_mean, color_log_variance = self.color(self.normalise_color(color))
        depth_mean, depth_log_variance = self.depth(self.normalise_depth(depth))
        means = torch.stack([color_mean, depth_mean], dim=1)
        log_variances = torch.stack([color_log_variance, depth_log_variance], dim=1)
        return product_of_experts(means, log_variances, present)

    def decode(self, latent: Tensor) -> Tensor:
        """Latent vectors `[B, D]` -> `[B, 6]`."""
        return self.regressor(self.attention(latent))

    def forward(self, color: Tensor, depth: Tensor, present: Tensor) -> PoseOutput:
        """Poses at the mean of the joint distribution.

        Args:
            color: uint8 RGB `[B, H, W, 3]`.
            depth: metres `[B, H, W]`; 0, NaN, infinite and out of range mean invalid.
            present: `[B, 2]`, 1 where colour and depth are there.
        """
        joint = self.encode(color, depth, present)
        return PoseOutput(self.decode(joint.mean), joint.mean, joint.log_variance, joint.shares.mean(dim=2))
