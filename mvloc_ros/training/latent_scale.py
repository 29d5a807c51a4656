# SPDX-License-Identifier: Apache-2.0
"""The scale of the latent at the start of stage 2: its noise relative to the spread of its means.

Stage 1 only decodes means, so their scale relative to the standard deviations is arbitrary: log variances only weight
the experts. In practice the noise is many times the spread of the means over the frames, so that samples of different
frames cannot be distinguished. Scaling the means, with the input weights of the decoder divided by the same factor,
sets the ratio without changing any pose.
"""

from __future__ import annotations

import torch

from mvloc_ros.training.datasets import PosedFrames
from mvloc_ros.training.networks.mvloc import MVLoc
from mvloc_ros.training.predict import evaluation_mode, input_batches

BATCH_SIZE = 32


@torch.no_grad()
def noise_of_samples(network: MVLoc, frames: PosedFrames) -> float:
    """Root mean variance of the latent over the standard deviation of its means over the frames.

    The median over the dimensions. Computed in evaluation mode; the mode of the network is kept.
    """
    device = next(network.parameters()).device
    with evaluation_mode(network):
        encoded = [network.encode(*inputs) for inputs in input_batches(frames, BATCH_SIZE, device)]
    spread = torch.cat([joint.mean for joint in encoded]).std(dim=0, correction=0)
    noise = torch.cat([joint.log_variance.exp() for joint in encoded]).mean(dim=0).sqrt()
    # A dimension that does not depend on the frame has no spread.
    return float((noise / spread.clamp(min=1e-6)).median())


def set_noise(network: MVLoc, frames: PosedFrames, noise: float) -> float:
    """Scale the latent so that `noise_of_samples` becomes `noise`; returns the factor."""
    factor = noise_of_samples(network, frames) / noise
    network.scale_latent(factor)
    return factor
