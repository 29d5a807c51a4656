# SPDX-License-Identifier: Apache-2.0
"""Half precision where it saves time, float32 where it decides.

The image encoders hold nearly all operations and weights, and compute in float16 or bfloat16. What
follows them stays float32: exponentials of log variances overflow float16 beyond 11, and the softmax,
the regressor and the rotations turn small errors into centimetres. Their share of the work is small.

The types are part of the network, so that an exported graph carries them: runtimes that take precision
from the graph (TensorRT from 10) and those that compute as they are told give the same numbers.
"""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn

from mvloc_ros.training.networks.encoder import GaussianEncoder
from mvloc_ros.training.networks.features import FeatureEncoder
from mvloc_ros.training.networks.folding import folded
from mvloc_ros.training.networks.resnet import ResNet

M = TypeVar("M", bound=nn.Module)
_ENCODERS = (GaussianEncoder, FeatureEncoder, ResNet)


class LowerPrecision(nn.Module):
    """An encoder computed in another type: float32 images in, float32 features out."""

    def __init__(self, encoder: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.encoder = encoder.to(dtype)
        self.dtype = dtype

    def forward(self, image: Tensor) -> Tensor | tuple[Tensor, ...]:
        """As the encoder's, whatever it gives."""
        output = self.encoder(image.to(self.dtype))
        if isinstance(output, tuple):
            return tuple(value.float() for value in output)
        features: Tensor = output.float()
        return features


def lowered(network: M, dtype: torch.dtype) -> M:
    """A copy in eval mode whose image encoders compute in `dtype`, with batch norms folded before that."""
    network = folded(network)
    _lower(network, dtype)
    return network


def _lower(module: nn.Module, dtype: torch.dtype) -> None:
    for name, child in module.named_children():
        if isinstance(child, _ENCODERS):
            setattr(module, name, LowerPrecision(child, dtype))
        else:
            _lower(child, dtype)
