# SPDX-License-Identifier: Apache-2.0
"""MVLoc (V) of the paper's Table 3: the colour encoder alone, attention, regressor."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from mvloc_ros.training.networks.attention import LatentAttention
from mvloc_ros.training.networks.features import FeatureEncoder
from mvloc_ros.training.networks.pose_network import PoseNetwork, PoseOutput, deterministic_output, presence_shares
from mvloc_ros.training.networks.regressor import PoseRegressor
from mvloc_ros.training.networks.resnet import ResNet, load_imagenet
from mvloc_ros.training.options import InputConfig, NetworkConfig


class ColorOnly(PoseNetwork):
    """RGB image -> pose. Depth is looked at by nothing; without colour the latent vector is 0.

    So a frame without colour gets one fixed pose, that of no image, and the prior's share is 1.
    """

    def __init__(self, network: NetworkConfig, inputs: InputConfig) -> None:
        super().__init__(inputs)
        size = network.latent_size
        self.color = FeatureEncoder(ResNet(network.backbone, network.width, in_channels=3), size)
        self.attention = LatentAttention(size)
        self.regressor = PoseRegressor(size, network.dropout)

    def start_from(self, weights: Mapping[str, Tensor]) -> None:
        """Start the encoder from ImageNet weights (TrainingError where they do not fit)."""
        load_imagenet(self.color.backbone, weights)

    def forward(self, color: Tensor, depth: Tensor, present: Tensor) -> PoseOutput:
        """Poses from colour alone."""
        seen = torch.cat([present[:, :1], torch.zeros_like(present[:, 1:])], dim=1)
        latent = self.color(self.normalise_color(color)) * present[:, :1]
        return deterministic_output(self.regressor(self.attention(latent)), latent, presence_shares(seen))
