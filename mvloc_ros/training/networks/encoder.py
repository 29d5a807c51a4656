# SPDX-License-Identifier: Apache-2.0
"""The encoder of one modality: an image -> a Gaussian over the latent space, or a plain feature vector."""

from __future__ import annotations

from torch import Tensor, nn

from mvloc_ros.training.networks.resnet import ResNet

# exp(10) = 22026: wide enough for a certain or an uninformative expert, far from the overflow of float16.
LOG_VARIANCE_LIMIT = 10.0


class GaussianEncoder(nn.Module):
    """ResNet features, then two parallel linear layers for the mean and the log variance.

    The paper calls the second output the "diagonal vector of the variance matrix"; a logarithm keeps the variance
    positive. No ReLU on the mean, which may have both signs.

    With `variance_apart` the gradient of the log variance ends at its own layer: it is learned from the features that
    the pose needs, and does not change them.
    """

    variance_apart: bool = False

    def __init__(self, backbone: ResNet, latent_size: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.mean = nn.Linear(backbone.feature_size, latent_size)
        self.log_variance = nn.Linear(backbone.feature_size, latent_size)
        nn.init.kaiming_normal_(self.mean.weight)
        # Small, so that initially every expert has the weight of the prior.
        nn.init.normal_(self.log_variance.weight, std=1e-3)
        nn.init.zeros_(self.mean.bias)
        nn.init.zeros_(self.log_variance.bias)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Images `[B, C, H, W]` in [-1, 1] -> mean and log variance, each `[B, D]`."""
        features = self.backbone(image)
        limit = LOG_VARIANCE_LIMIT
        log_variance = self.log_variance(features.detach() if self.variance_apart else features)
        return self.mean(features), log_variance.clamp(-limit, limit)


class FeatureEncoder(nn.Module):
    """ResNet features and one linear layer: a `GaussianEncoder` without the variance."""

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
