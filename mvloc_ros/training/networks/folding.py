# SPDX-License-Identifier: Apache-2.0
"""Folds batch norms into the preceding convolutions: in inference both are one linear map."""

from __future__ import annotations

import copy
from typing import TypeVar

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from mvloc_ros.training.networks.resnet import BasicBlock, ResNet

M = TypeVar("M", bound=nn.Module)


def fold_batch_norms(network: M) -> M:
    """A copy in evaluation mode with the norms of every ResNet folded."""
    network = copy.deepcopy(network).eval()
    for module in network.modules():
        if isinstance(module, (ResNet, BasicBlock)) and isinstance(module.bn1, nn.BatchNorm2d):
            _fold(module)
    return network


def _fold(module: ResNet | BasicBlock) -> None:
    pairs = [("conv1", "bn1")] if isinstance(module, ResNet) else [("conv1", "bn1"), ("conv2", "bn2")]
    for convolution, norm in pairs:
        setattr(module, convolution, fuse_conv_bn_eval(getattr(module, convolution), getattr(module, norm)))
        setattr(module, norm, nn.Identity())
    if isinstance(module, BasicBlock) and module.downsample is not None:
        convolution_module, norm_module = module.downsample
        assert isinstance(convolution_module, nn.Conv2d)
        assert isinstance(norm_module, nn.BatchNorm2d)
        module.downsample = nn.Sequential(fuse_conv_bn_eval(convolution_module, norm_module))
