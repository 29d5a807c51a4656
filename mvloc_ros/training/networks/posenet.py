# SPDX-License-Identifier: Apache-2.0
"""PoseNet as in the comparison of the paper: ResNet, one wide layer, two linear heads.

Kendall, Cipolla 2017 for the learned loss weights; ResNet-34 and logarithms of quaternions after
Brahmbhatt et al. 2018.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mvloc_ros.training.networks.encoder import FeatureEncoder
from mvloc_ros.training.networks.pose_network import PoseNetwork, PoseOutput, deterministic_output, presence_shares
from mvloc_ros.training.networks.regressor import POSITION_SPREAD, ROTATION_SPREAD
from mvloc_ros.training.networks.resnet import ResNet
from mvloc_ros.training.networks.rotation_head import head, log_of
from mvloc_ros.training.options import InputConfig, NetworkConfig


class PoseNet(PoseNetwork):
    """RGB image -> ResNet -> Linear, ReLU -> dropout -> Linear(D -> 3) for position and for rotation.

    Depth is ignored. Without color the features are 0, with a share of 1 for the prior.
    """

    def __init__(self, network: NetworkConfig, inputs: InputConfig) -> None:
        super().__init__(inputs)
        size = network.latent_size
        self.color = FeatureEncoder(ResNet(network.backbone, network.width, in_channels=3), size)
        self.dropout = nn.Dropout(network.dropout)
        self.position = head(size, POSITION_SPREAD)
        self.rotation = head(size, ROTATION_SPREAD, network.rotation)

    def refine(self, features: Tensor) -> Tensor:
        """The layer of AtLoc between features and heads; none here."""
        return features

    def forward(self, color: Tensor, depth: Tensor, present: Tensor) -> PoseOutput:
        """Poses from color only."""
        seen = torch.cat([present[:, :1], torch.zeros_like(present[:, 1:])], dim=1)
        encoded = self.features_of(self.color, self.normalise_color(color))
        features = self.refine(torch.relu(encoded) * present[:, :1])
        dropped = self.dropout(features)
        pose = torch.cat([self.position(dropped), log_of(self.rotation(dropped))], dim=1)
        return deterministic_output(pose, features, presence_shares(seen))
