# SPDX-License-Identifier: Apache-2.0
"""The latent's unit at the start of the second stage: how large its noise is against its means.

The first stage decodes means alone, so nothing in it decides their scale against the standard deviations,
which it never uses: log variances only weigh the experts. What it leaves is arbitrary, and in practice noise
many times the means' spread over the frames, from which no sample tells one frame from another. Scaling
the means, with the decoder's input weights divided by the same factor, sets it without changing any pose.
"""

from __future__ import annotations

import torch

from mvloc_ros.training.datasets import PosedFrames, as_tensor
from mvloc_ros.training.networks.mvloc import MVLoc

BATCH_SIZE = 32


@torch.no_grad()
def noise_of_samples(network: MVLoc, frames: PosedFrames) -> float:
    """Root mean variance of the latent over the standard deviation of its means over the frames.

    The median over the dimensions. The network is judged as it will be used, in eval mode, and left in the mode found.
    """
    was_training = network.training
    network.eval()
    device = next(network.parameters()).device
    means, variances = [], []
    for start in range(0, len(frames), BATCH_SIZE):
        part = slice(start, start + BATCH_SIZE)
        arrays = (frames.color[part], frames.depth[part], frames.present[part])
        joint = network.encode(*(as_tensor(array).to(device) for array in arrays))
        means.append(joint.mean)
        variances.append(joint.log_variance.exp())
    network.train(was_training)
    spread = torch.cat(means).std(dim=0, correction=0)
    noise = torch.cat(variances).mean(dim=0).sqrt()
    # A dimension that says nothing of any frame has no spread.
    return float((noise / spread.clamp(min=1e-6)).median())


def set_noise(network: MVLoc, frames: PosedFrames, noise: float) -> float:
    """Scale the latent so that `noise_of_samples` is `noise`; the factor that took."""
    factor = noise_of_samples(network, frames) / noise
    network.scale_latent(factor)
    return factor
