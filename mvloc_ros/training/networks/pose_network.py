# SPDX-License-Identifier: Apache-2.0
"""The base class of all networks: interface, and normalisation of both images."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from mvloc_ros.model.modalities import Sensor
from mvloc_ros.training.networks import depth_image
from mvloc_ros.training.networks.encoder import LOG_VARIANCE_LIMIT
from mvloc_ros.training.networks.resnet import ResNet, load_imagenet
from mvloc_ros.training.options import InputConfig


class PoseOutput(NamedTuple):
    """The outputs of a network; the names are those of the exported graph."""

    pose: Tensor  # [B, 6] normalised position, log quaternion
    latent_mean: Tensor  # [B, D]
    latent_log_variance: Tensor  # [B, D]
    expert_share: Tensor  # [B, 1 + M] prior, color, depth, further sensors: share of the joint precision, mean over D


class PoseNetwork(nn.Module, ABC):
    """RGB image and depth map -> pose, including the normalisation of the images.

    `encoder_dtype` is the autocast type of the image encoders in training mode, None for float32. All else is float32
    always: a pose in bfloat16 has three digits, which are meters of a drive.
    """

    encoder_dtype: torch.dtype | None = None

    def __init__(self, inputs: InputConfig) -> None:
        super().__init__()
        self.min_depth, self.max_depth = inputs.min_depth, inputs.max_depth
        self._encode_depth, self.depth_channels = depth_image.ENCODINGS[inputs.depth_encoding]

    @abstractmethod
    def forward(self, color: Tensor, depth: Tensor, present: Tensor) -> PoseOutput:
        """Poses of a batch.

        Args:
            color: uint8 RGB `[B, H, W, 3]`.
            depth: meters `[B, H, W]`; 0, NaN, infinite and out of range are invalid.
            present: `[B, 2]`, 1 where color and depth are present.
        """

    def features_of(self, encoder: nn.Module, image: Tensor) -> Any:
        """Output of an image encoder in float32, a tensor or a tuple; in training computed in `encoder_dtype`.

        The encoders that exported networks have in half precision, too (`mixed_precision`).
        """
        if self.encoder_dtype is None or not self.training:
            return encoder(image)
        with torch.autocast(image.device.type, self.encoder_dtype):
            output = encoder(image)
        return tuple(value.float() for value in output) if isinstance(output, tuple) else output.float()

    def start_from(self, weights: Mapping[str, Tensor]) -> None:
        """Start every image encoder from ImageNet weights (TrainingError where they do not fit)."""
        for encoder in self.modules():
            if isinstance(encoder, ResNet):
                load_imagenet(encoder, weights)

    def normalise_color(self, color: Tensor) -> Tensor:
        """uint8 `[B, H, W, 3]` -> `[B, 3, H, W]` in [-1, 1].

        Converted before it is permuted: TensorRT only accepts uint8 as input of the graph.
        """
        return color.to(torch.float32).permute(0, 3, 1, 2) / 127.5 - 1.0

    def normalise_depth(self, depth: Tensor) -> Tensor:
        """Meters `[B, H, W]` -> `[B, C, H, W]` in [-1, 1], C = `depth_channels`, as `depth_image` describes."""
        return self._encode_depth(depth, self.min_depth, self.max_depth)

    def normalise_image(self, image: Tensor, sensor: Sensor) -> Tensor:
        """Images of a further sensor -> `[B, C, H, W]` in [-1, 1], as those of the pair; gray has one channel."""
        if sensor.kind == "color":
            return self.normalise_color(image)
        if sensor.kind == "gray":
            return image.to(torch.float32).unsqueeze(1) / 127.5 - 1.0
        if sensor.depth_min_m is None or sensor.depth_max_m is None:
            raise ValueError(f"{sensor.name} has no depth range")
        return self._encode_depth(image, sensor.depth_min_m, sensor.depth_max_m)


def deterministic_output(pose: Tensor, latent: Tensor, shares: Tensor) -> PoseOutput:
    """The output of a network without a latent distribution, with the smallest log variance."""
    return PoseOutput(pose, latent, torch.full_like(latent, -LOG_VARIANCE_LIMIT), shares)


def presence_shares(present: Tensor) -> Tensor:
    """Prior, color, depth `[B, 3]` without precisions: equal shares of the present modalities."""
    count = present.sum(dim=1, keepdim=True)
    return torch.cat([1.0 - count.clamp(max=1.0), present / count.clamp(min=1.0)], dim=1)
