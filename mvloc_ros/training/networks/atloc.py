# SPDX-License-Identifier: Apache-2.0
"""AtLoc (Wang et al. 2020): PoseNet with attention over the features."""

from __future__ import annotations

from torch import Tensor

from mvloc_ros.training.networks.attention import LatentAttention
from mvloc_ros.training.networks.posenet import PoseNet
from mvloc_ros.training.options import InputConfig, NetworkConfig


class AtLoc(PoseNet):
    """RGB image -> ResNet -> Linear, ReLU -> attention -> dropout -> two linear heads."""

    def __init__(self, network: NetworkConfig, inputs: InputConfig) -> None:
        super().__init__(network, inputs)
        self.attention = LatentAttention(network.latent_size)

    def refine(self, features: Tensor) -> Tensor:
        """Attention over the features `[B, D]`."""
        refined: Tensor = self.attention(features)
        return refined
