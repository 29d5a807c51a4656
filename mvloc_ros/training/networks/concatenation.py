# SPDX-License-Identifier: Apache-2.0
"""MVLoc (C) of the paper's Table 3: fusion by concatenation."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mvloc_ros.training.networks.attention import LatentAttention
from mvloc_ros.training.networks.features import FeatureEncoder
from mvloc_ros.training.networks.pose_network import PoseNetwork, PoseOutput, deterministic_output, presence_shares
from mvloc_ros.training.networks.regressor import PoseRegressor
from mvloc_ros.training.networks.resnet import ResNet, load_imagenet
from mvloc_ros.training.options import InputConfig, NetworkConfig


class Concatenation(PoseNetwork):
    """[colour features, depth features] -> Linear(2D -> D) -> attention -> pose.

    The features of a missing image are 0. That is no expert left out: the linear layer has to have met
    zeros in training (--drop-color, --drop-depth) to do well on them.
    """

    def __init__(self, network: NetworkConfig, inputs: InputConfig) -> None:
        super().__init__(inputs)
        size = network.latent_size
        self.color = FeatureEncoder(ResNet(network.backbone, network.width, in_channels=3), size)
        self.depth = FeatureEncoder(ResNet(network.backbone, network.width, in_channels=self.depth_channels), size)
        self.fusion = nn.Linear(2 * size, size)
        self.attention = LatentAttention(size)
        self.regressor = PoseRegressor(size, network.dropout)
        nn.init.kaiming_normal_(self.fusion.weight)
        nn.init.zeros_(self.fusion.bias)

    def start_from(self, weights: Mapping[str, Tensor]) -> None:
        """Start both encoders from ImageNet weights (TrainingError where they do not fit)."""
        load_imagenet(self.color.backbone, weights)
        load_imagenet(self.depth.backbone, weights)

    def forward(self, color: Tensor, depth: Tensor, present: Tensor) -> PoseOutput:
        """Poses from what is there."""
        color_features = self.color(self.normalise_color(color)) * present[:, :1]
        depth_features = self.depth(self.normalise_depth(depth)) * present[:, 1:]
        latent = self.fusion(torch.cat([color_features, depth_features], dim=1))
        return deterministic_output(self.regressor(self.attention(latent)), latent, presence_shares(present))
