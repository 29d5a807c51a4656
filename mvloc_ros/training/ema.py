# SPDX-License-Identifier: Apache-2.0
"""An exponential moving average of a network's weights: less noisy than the weights of any one step."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from itertools import chain

import torch
from torch import Tensor

from mvloc_ros.training.networks.pose_network import PoseNetwork


class WeightAverage:
    """A second network that follows the trained one: average <- d average + (1 - d) weights, once per step.

    d is the smaller of the decay and (1 + t) / (10 + t) in step t = 0, 1, ...: in a run with few steps compared to
    1 / (1 - decay), the initial random weights would dominate the average otherwise.

    The running means and variances of the batch norms are averaged like the weights, so that both have the same delay;
    counters are copied. The number of steps is a plain number (`AveragedModel` of torch has it on the device, where
    reading it in each step would wait for the GPU).
    """

    def __init__(self, network: PoseNetwork, decay: float) -> None:
        """Start with a copy of the network."""
        self.network = copy.deepcopy(network).requires_grad_(False).eval()
        self.decay = decay
        self.steps = 0

    @torch.no_grad()
    def update(self, network: PoseNetwork) -> None:
        """Add the weights after a train step."""
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        self.steps += 1
        for average, value in zip(_tensors(self.network), _tensors(network), strict=True):
            if average.is_floating_point():
                average.lerp_(value, 1.0 - decay)
            else:
                average.copy_(value)


def _tensors(network: PoseNetwork) -> Iterator[Tensor]:
    return chain(network.parameters(), network.buffers())
