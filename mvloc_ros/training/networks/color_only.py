# SPDX-License-Identifier: Apache-2.0
"""MVLoc (V) of the paper's Table 3: the color encoder only, attention, regressor."""

from __future__ import annotations

import torch
from torch import Tensor

from mvloc_ros.training.networks.attention import LatentAttention
from mvloc_ros.training.networks.encoder import FeatureEncoder
from mvloc_ros.training.networks.pose_network import PoseNetwork, PoseOutput, deterministic_output, presence_shares
from mvloc_ros.training.networks.regressor import PoseRegressor
from mvloc_ros.training.networks.resnet import ResNet
from mvloc_ros.training.options import InputConfig, NetworkConfig


class ColorOnly(PoseNetwork):
    """RGB image -> pose; depth is ignored. Without color the latent vector is 0.

    So all frames without color get the same pose, with a share of 1 for the prior.
    """

    def __init__(self, network: NetworkConfig, inputs: InputConfig) -> None:
        super().__init__(inputs)
        size = network.latent_size
        self.color = FeatureEncoder(ResNet(network.backbone, network.width, in_channels=3), size)
        self.attention = LatentAttention(size)
        self.regressor = PoseRegressor(size, network.dropout, network.rotation)

    def forward(self, color: Tensor, depth: Tensor, present: Tensor) -> PoseOutput:
        """Poses from color only."""
        seen = torch.cat([present[:, :1], torch.zeros_like(present[:, 1:])], dim=1)
        latent = self.features_of(self.color, self.normalise_color(color)) * present[:, :1]
        return deterministic_output(self.regressor(self.attention(latent)), latent, presence_shares(seen))
