# SPDX-License-Identifier: Apache-2.0
"""One modality's encoder where nothing is said of its certainty: an image -> a feature vector."""

from __future__ import annotations

from torch import Tensor, nn

from mvloc_ros.training.networks.resnet import ResNet


class FeatureEncoder(nn.Module):
    """ResNet features and one linear layer: the mean's half of `GaussianEncoder`."""

    def __init__(self, backbone: ResNet, size: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.features = nn.Linear(backbone.feature_size, size)
        nn.init.kaiming_normal_(self.features.weight)
        nn.init.zeros_(self.features.bias)

    def forward(self, image: Tensor) -> Tensor:
        """Images `[B, C, H, W]` in [-1, 1] -> `[B, size]`."""
        features: Tensor = self.features(self.backbone(image))
        return features
