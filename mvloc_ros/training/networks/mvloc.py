# SPDX-License-Identifier: Apache-2.0
"""MVLoc: an encoder for each modality, Product of Experts, attention, pose regressor (the paper's Fig. 2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mvloc_ros.model.modalities import PAIR, Sensor
from mvloc_ros.training.networks.attention import LatentAttention
from mvloc_ros.training.networks.encoder import GaussianEncoder
from mvloc_ros.training.networks.pose_network import PoseNetwork, PoseOutput
from mvloc_ros.training.networks.product_of_experts import JointGaussian, product_of_experts
from mvloc_ros.training.networks.regressor import PoseRegressor
from mvloc_ros.training.networks.resnet import ResNet
from mvloc_ros.training.options import InputConfig, NetworkConfig


class MVLoc(PoseNetwork):
    """Images of all modalities -> pose; any of them may be missing.

    These are an RGB image, a depth map, and those of the further sensors of `inputs`, in their order.

    `encode` and `decode` are separate so that an objective can decode samples instead of the mean.
    """

    def __init__(self, network: NetworkConfig, inputs: InputConfig) -> None:
        super().__init__(inputs)
        size = network.latent_size
        self.color = GaussianEncoder(ResNet(network.backbone, network.width, in_channels=3), size)
        self.depth = GaussianEncoder(ResNet(network.backbone, network.width, in_channels=self.depth_channels), size)
        self.attention = LatentAttention(size)
        self.regressor = PoseRegressor(size, network.dropout, network.rotation)
        # Last, so that the pair's weights are initially the same with further sensors and without.
        self.sensors = inputs.sensors
        self.share_encoders = network.share_encoders
        self.further = nn.ModuleDict()
        channels = {"color": 3, "gray": 1, "depth": self.depth_channels}
        for sensor in self.sensors:
            if self._encoder_path(sensor) not in dict(self.named_modules()):
                backbone = ResNet(network.backbone, network.width, in_channels=channels[sensor.kind])
                self.further[self._encoder_path(sensor).removeprefix("further.")] = GaussianEncoder(backbone, size)

    def _encoder_path(self, sensor: Sensor) -> str:
        """The name of the encoder of a further sensor among the modules; shared, it may be one of the pair's."""
        if self.share_encoders and sensor.kind in PAIR:
            return sensor.kind
        # A prefix, since a module cannot have every name: `train`, `float` ... are methods.
        return f"further.of_{sensor.kind if self.share_encoders else sensor.name}"

    def _encoders(self) -> list[nn.Module]:
        """Every encoder once: those of the pair, then those of the further sensors."""
        return [self.color, self.depth, *self.further.values()]

    def experts(self, color: Tensor, depth: Tensor, *further: Tensor) -> tuple[Tensor, Tensor]:
        """Means and log variances of every modality's expert, `[B, M, D]` each: color, depth, further sensors."""
        found = [
            self.features_of(self.color, self.normalise_color(color)),
            self.features_of(self.depth, self.normalise_depth(depth)),
        ]
        for sensor, image in zip(self.sensors, further, strict=True):
            encoder = self.get_submodule(self._encoder_path(sensor))
            found.append(self.features_of(encoder, self.normalise_image(image, sensor)))
        means = torch.stack([mean for mean, _ in found], dim=1)
        return means, torch.stack([log_variance for _, log_variance in found], dim=1)

    def encode(self, color: Tensor, depth: Tensor, present: Tensor, *further: Tensor) -> JointGaussian:
        """The joint latent distribution of all modalities and the prior."""
        return product_of_experts(*self.experts(color, depth, *further), present)

    def decode(self, latent: Tensor) -> Tensor:
        """Latent vectors `[B, D]` -> `[B, 6]`."""
        return self.regressor(self.attention(latent))

    @torch.no_grad()
    def scale_latent(self, factor: float) -> None:
        """Multiply the latent means by `factor` and divide by it in the decoder: the poses of the means do not change.

        The variances are kept, so the noise of a sample relative to the means is divided by the factor.
        """
        attention = self.attention
        means = [encoder.mean for encoder in self._encoders() if isinstance(encoder, GaussianEncoder)]
        for layer in (*means, attention.alpha):
            layer.weight.mul_(factor)
            layer.bias.mul_(factor)
        for layer in (attention.g, attention.theta, attention.phi, *self.regressor.inputs()):
            layer.weight.div_(factor)

    def forward(self, color: Tensor, depth: Tensor, present: Tensor, *further: Tensor) -> PoseOutput:
        """Poses at the mean of the joint distribution; `present` is `[B, 2 + F]` with F images `further`."""
        joint = self.encode(color, depth, present, *further)
        return PoseOutput(self.decode(joint.mean), joint.mean, joint.log_variance, joint.shares.mean(dim=2))
