# SPDX-License-Identifier: Apache-2.0
"""Stage 2 of the paper (MVGAL, section 3.2): k samples of the latent are decoded."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from mvloc_ros.training.estimators import ESTIMATORS, Gaussian, effective_sample_size, log_weights, normalised
from mvloc_ros.training.networks.mvloc import MVLoc
from mvloc_ros.training.networks.pose_network import PoseNetwork
from mvloc_ros.training.networks.product_of_experts import product_of_experts
from mvloc_ros.training.objective import Batch, GeometricLoss, Objective, SampleLoss
from mvloc_ros.training.options import StageConfig
from mvloc_ros.training.single_experts import with_single_experts

_LOG = logging.getLogger(__name__)
# The effective sample size that steers lambda is smoothed over about this many steps.
SMOOTHING_STEPS = 10
# Lambda's factor for every step below the target: halved in 70 steps.
SHRINK = 0.99
# The distribution of the effective sample size over the frames of an epoch, in bins from 1 to k.
ESS_BINS = 400
LOW_SHARE = 0.05


def effective_samples(row: Mapping[str, float], samples: int) -> str:
    """The effective sample size of an epoch of stage 2 in words, from its row of the log."""
    return f"ESS {row['train/ess']:.1f} of {samples} (5 % of the frames below {row['train/ess_5_percent']:.1f})"


class Term(NamedTuple):
    """One bound: its loss `[B]`, the normalised weights `[k, B]`, those that steer lambda, and the posterior."""

    loss: SampleLoss
    weights: Tensor
    steering: Tensor
    posterior: Gaussian


class MultiSample(Objective):
    """The bound on log p(y) with k weighted samples; beta and gamma are those of stage 1.

    They are fixed to keep the scale of the weights: they are the width of the Laplace likelihood that `likelihood: sum`
    makes of L_p. With `likelihood: mean` the weights are exp(-L_p), its cube root, and so nearly equal.

    Lambda increases linearly during its warm-up, and is reduced while the effective sample size is below its target, at
    most k / 2: with many latent dimensions log p - log q differs so much that one sample would get all the weight. With
    `sum` that is the effective sample size of exp(lambda (log p - log q)) alone: lambda does not change the likelihood.
    """

    step: Tensor
    shrink: Tensor
    smoothed_ess: Tensor
    step_sums: Tensor
    epoch_sums: Tensor

    def __init__(self, geometric: GeometricLoss, config: StageConfig, steps: int) -> None:
        """For a stage of `steps` steps."""
        super().__init__(geometric)
        geometric.requires_grad_(False)
        self.config = config
        self.warmup_steps = config.latent_warmup * steps
        self.target_ess = min(config.target_ess, 0.5 * config.samples)
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))
        self.register_buffer("shrink", torch.ones(()))
        self.register_buffer("smoothed_ess", torch.tensor(float(config.samples)))
        # Effective sample size, that which steers lambda, KL divergence, and over how many frames of this step, or
        # steps of this epoch; then the frames by their effective sample size. A checkpoint is written between epochs.
        self.register_buffer("step_sums", torch.zeros(4 + ESS_BINS), persistent=False)
        self.register_buffer("epoch_sums", torch.zeros(4 + ESS_BINS), persistent=False)

    def latent_weight(self) -> Tensor:
        """The present lambda of Eq. 13."""
        ramp = (self.step / self.warmup_steps).clamp(max=1.0) if self.warmup_steps > 0.0 else 1.0
        return self.config.latent_weight * self.shrink * ramp

    def forward(self, network: PoseNetwork, batch: Batch) -> SampleLoss:
        """The negative bound of every frame; the distances are the weighted means over the samples."""
        if not isinstance(network, MVLoc):
            raise TypeError(f"{type(network).__name__} has no latent distribution to sample")
        means, log_variances = network.experts(batch.color, batch.depth, *batch.further)
        weight = self.latent_weight()

        def term(present: Tensor) -> Term:
            joint = product_of_experts(means, log_variances, present)
            return self._term(network, Gaussian(joint.mean, joint.log_variance), batch.target, weight)

        joint = term(batch.present)
        total = with_single_experts(
            joint.loss.total, lambda alone: term(alone).loss.total, batch.present, self.config.single_experts
        )
        if self.training:
            self._observe(joint)
        return joint.loss._replace(total=total)

    @torch.no_grad()
    def end_step(self, total: Callable[[Tensor], Tensor], changed: bool) -> None:
        """Adapt lambda to the effective sample size of all frames of the step, equally in every process."""
        sums = total(self.step_sums)
        means = sums[:4] / sums[3]
        self.epoch_sums += torch.cat([means, sums[4:]])
        self.step_sums.zero_()  # last: with one process the total is this very tensor
        if not changed:
            return
        self.smoothed_ess.lerp_(means[1], 1.0 / SMOOTHING_STEPS)
        self.shrink *= torch.where(self.smoothed_ess < self.target_ess, SHRINK, 1.0)
        self.step += 1

    def end_epoch(self) -> dict[str, float]:
        """Means of effective sample size and KL divergence (nats), the ESS that 5 % of the frames are below, lambda."""
        *sums, steps = self.epoch_sums[:4].tolist()
        low = self._ess_quantile(self.epoch_sums[4:], LOW_SHARE)
        self.epoch_sums.zero_()
        ess, steering, divergence = (value / steps for value in sums)
        least = min(2.0, 0.5 * self.config.samples)
        if ess < least:
            _LOG.warning(
                "The effective sample size is %.1f of %d: one sample has nearly all the weight; %s.",
                ess,
                self.config.samples,
                "lower --latent-weight" if steering < least else "lower --latent-noise or raise --samples",
            )
        weight = self.latent_weight().item()
        return {"train/ess": ess, "train/ess_5_percent": low, "train/lambda": weight, "train/kl": divergence}

    def _term(self, network: MVLoc, posterior: Gaussian, target: Tensor, weight: Tensor) -> Term:
        z = posterior.sample(self.config.samples)
        losses = self._decoded_losses(network, z, target)
        loss = self.geometric.negative_log_likelihood(losses.total, self.config.likelihood)
        total, weights = ESTIMATORS[self.config.estimator](loss, z, posterior, weight)
        position, rotation = ((weights * part.detach()).sum(dim=0) for part in losses[1:])
        steering = weights
        if self.config.likelihood == "sum" and self.config.estimator != "elbo":
            with torch.no_grad():
                steering = normalised(log_weights(torch.zeros_like(loss), z, posterior, weight))
        return Term(SampleLoss(total, position, rotation), weights, steering, posterior)

    def _decoded_losses(self, network: MVLoc, z: Tensor, target: Tensor) -> SampleLoss:
        """Geometric loss of every sample, `[k, B]` each part.

        Only the samples of a chunk are kept; in the backward pass the decoder is evaluated again, chunk by chunk. So
        the memory is that of one chunk, with the same gradient.
        """

        def chunk_losses(chunk: Tensor) -> tuple[Tensor, ...]:
            count = len(chunk)
            loss = self.geometric(network.decode(chunk.flatten(0, 1)), target.repeat(count, 1))
            return tuple(part.unflatten(0, (count, -1)) for part in loss)

        if self.config.samples_at_once >= len(z):
            return SampleLoss(*chunk_losses(z))
        chunks = [
            checkpoint(chunk_losses, chunk, use_reentrant=False) for chunk in z.split(self.config.samples_at_once)
        ]
        return SampleLoss(*(torch.cat(parts) for parts in zip(*chunks, strict=True)))

    @torch.no_grad()
    def _observe(self, joint: Term) -> None:
        ess = effective_sample_size(joint.weights)
        steering, divergence = effective_sample_size(joint.steering), joint.posterior.divergence()
        sums = torch.stack([values.sum() for values in (ess, steering, divergence, torch.ones_like(ess))])
        share = (ess - 1.0) / max(self.config.samples - 1, 1)  # from 1 (one sample has all the weight) to k
        bins = (share * ESS_BINS).long().clamp(0, ESS_BINS - 1)
        counts = torch.zeros_like(self.step_sums[4:]).index_add_(0, bins, torch.ones_like(ess))
        self.step_sums += torch.cat([sums, counts])

    def _ess_quantile(self, counts: Tensor, share: float) -> float:
        """The effective sample size below which this share of the counted frames is, to a bin's width."""
        below = torch.cumsum(counts, dim=0)
        index = int(torch.searchsorted(below, share * below[-1]).item())
        return 1.0 + (min(index, ESS_BINS - 1) + 0.5) / ESS_BINS * (self.config.samples - 1)
