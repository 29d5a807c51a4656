# SPDX-License-Identifier: Apache-2.0
"""Mixed precision: image encoders in half precision, everything else in float32.

The image encoders have nearly all operations and weights, and compute in float16 or bfloat16. The rest stays float32:
exponentials of log variances above 11 overflow float16, and in softmax, regressor and rotations small errors become
centimeters. Its share of the computation is small.

The types are part of the network, and so of an exported graph, so that all runtimes give the same results (TensorRT
from version 10 takes the precision from the graph).
"""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn

from mvloc_ros.training.networks.encoder import FeatureEncoder, GaussianEncoder
from mvloc_ros.training.networks.folding import fold_batch_norms
from mvloc_ros.training.networks.resnet import ResNet

M = TypeVar("M", bound=nn.Module)
_ENCODERS = (GaussianEncoder, FeatureEncoder, ResNet)


class LowerPrecision(nn.Module):
    """An encoder in another precision, with float32 images and float32 features."""

    def __init__(self, encoder: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.encoder = encoder.to(dtype)
        self.dtype = dtype

    def forward(self, image: Tensor) -> Tensor | tuple[Tensor, ...]:
        """As `forward` of the encoder."""
        output = self.encoder(image.to(self.dtype))
        if isinstance(output, tuple):
            return tuple(value.float() for value in output)
        features: Tensor = output.float()
        return features


def lower_precision(network: M, dtype: torch.dtype) -> M:
    """A copy in evaluation mode with folded batch norms, whose image encoders compute in `dtype`."""
    network = fold_batch_norms(network)
    _lower(network, dtype)
    return network


def _lower(module: nn.Module, dtype: torch.dtype) -> None:
    for name, child in module.named_children():
        if isinstance(child, _ENCODERS):
            setattr(module, name, LowerPrecision(child, dtype))
        else:
            _lower(child, dtype)
