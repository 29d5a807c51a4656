# SPDX-License-Identifier: Apache-2.0
"""MVLoc (C) of the paper's Table 3: fusion by concatenation."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mvloc_ros.training.networks.attention import LatentAttention
from mvloc_ros.training.networks.encoder import FeatureEncoder
from mvloc_ros.training.networks.pose_network import PoseNetwork, PoseOutput, deterministic_output, presence_shares
from mvloc_ros.training.networks.regressor import PoseRegressor
from mvloc_ros.training.networks.resnet import ResNet
from mvloc_ros.training.options import InputConfig, NetworkConfig


class Concatenation(PoseNetwork):
    """[color features, depth features] -> Linear(2D -> D) -> attention -> pose.

    The features of a missing image are 0. Unlike with a product of experts, the linear layer must be trained with such
    zeros (--drop-color, --drop-depth) to handle them.
    """

    def __init__(self, network: NetworkConfig, inputs: InputConfig) -> None:
        super().__init__(inputs)
        size = network.latent_size
        self.color = FeatureEncoder(ResNet(network.backbone, network.width, in_channels=3), size)
        self.depth = FeatureEncoder(ResNet(network.backbone, network.width, in_channels=self.depth_channels), size)
        self.fusion = nn.Linear(2 * size, size)
        self.attention = LatentAttention(size)
        self.regressor = PoseRegressor(size, network.dropout, network.rotation)
        # No ReLU follows: a gain of 1, so that the latent vector is as large as that of one encoder.
        nn.init.kaiming_normal_(self.fusion.weight, nonlinearity="linear")
        nn.init.zeros_(self.fusion.bias)

    def forward(self, color: Tensor, depth: Tensor, present: Tensor) -> PoseOutput:
        """Poses from the present modalities."""
        color_features = self.features_of(self.color, self.normalise_color(color)) * present[:, :1]
        depth_features = self.features_of(self.depth, self.normalise_depth(depth)) * present[:, 1:]
        latent = self.fusion(torch.cat([color_features, depth_features], dim=1))
        return deterministic_output(self.regressor(self.attention(latent)), latent, presence_shares(present))
