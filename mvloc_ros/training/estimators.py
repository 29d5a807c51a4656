# SPDX-License-Identifier: Apache-2.0
"""Gradient estimators of stage 2: from k samples of the latent to one loss per frame.

Each is one function `(loss, z, posterior, latent_weight) -> Estimate`:

- `loss` `[k, B]`: -log p(y | z) of every decoded sample, nats: the geometric loss L_p (Eq. 11) or the likelihood made
  of it (`GeometricLoss.negative_log_likelihood`);
- `z` `[k, B, D]`: the samples, reparameterised (z = mean + deviation * noise; the paper's "epsilon mu +
  sigma" is a typing error), from which `loss` was computed;
- `posterior`: the joint Gaussian q(z | x1, x2), `[B, D]` each; the prior p(z) is N(0, I);
- `latent_weight`: lambda of Eq. 13, a scalar.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

LOG_TWO_PI = math.log(2.0 * math.pi)


class Gaussian(NamedTuple):
    """Mean and log variance, `[B, D]` each."""

    mean: Tensor
    log_variance: Tensor

    def sample(self, count: int) -> Tensor:
        """Reparameterised samples `[count, B, D]`, with the global generator of torch."""
        noise = torch.randn(count, *self.mean.shape, device=self.mean.device, dtype=self.mean.dtype)
        return self.mean + torch.exp(0.5 * self.log_variance) * noise

    def log_density(self, z: Tensor) -> Tensor:
        """Log q(z), nats, of points `[..., B, D]`: `[..., B]`."""
        distance = (z - self.mean) ** 2 * torch.exp(-self.log_variance)
        return -0.5 * (distance + self.log_variance + LOG_TWO_PI).sum(dim=-1)

    def divergence(self) -> Tensor:
        """KL(q || N(0, I)), nats, `[B]`, in closed form."""
        return 0.5 * (self.mean**2 + torch.exp(self.log_variance) - 1.0 - self.log_variance).sum(dim=-1)

    def detached(self) -> Gaussian:
        """The same distribution with constant parameters."""
        return Gaussian(self.mean.detach(), self.log_variance.detach())


def prior_log_density(z: Tensor) -> Tensor:
    """Log p(z) of N(0, I), nats, of points `[..., D]`: `[...]`."""
    return -0.5 * (z**2 + LOG_TWO_PI).sum(dim=-1)


class Estimate(NamedTuple):
    """The result of an estimator for a batch.

    Attributes:
        total: `[B]`; its value is the negative bound in nats, its gradient the estimator's.
        weights: `[k, B]`, normalised over k, without gradient.
    """

    total: Tensor
    weights: Tensor


def log_weights(loss: Tensor, z: Tensor, posterior: Gaussian, latent_weight: Tensor) -> Tensor:
    """Log w_i = log p(y | z_i) + lambda (log p(z_i) - log q(z_i | x1, x2)) of Eq. 13, `[k, B]`."""
    return latent_weight * (prior_log_density(z) - posterior.log_density(z)) - loss


def normalised(log_w: Tensor) -> Tensor:
    """w_i / sum_j w_j as constants, `[k, B]`."""
    return torch.softmax(log_w.detach(), dim=0)


def negative_bound(log_w: Tensor) -> Tensor:
    """-log (1/k) sum_i w_i, the negative of the bound of Eq. 7, `[B]`."""
    return math.log(len(log_w)) - torch.logsumexp(log_w, dim=0)


def with_gradient_of(value: Tensor, surrogate: Tensor) -> Tensor:
    """A tensor with the value of `value` and the gradient of `surrogate`."""
    return value.detach() + (surrogate - surrogate.detach())


def effective_sample_size(weights: Tensor) -> Tensor:
    """1 / sum of squared normalised weights, `[B]`: from 1 (one sample has all weight) to k (equal weights)."""
    return 1.0 / (weights**2).sum(dim=0)


def elbo(loss: Tensor, _z: Tensor, posterior: Gaussian, latent_weight: Tensor) -> Estimate:
    """The evidence lower bound, E[L_p] + lambda KL(q || p): Eq. 3 after Eq. 10 and 13, the paper's MVLoc (P) at k = 1.

    Several samples are averaged with equal weights.
    """
    return Estimate(loss.mean(dim=0) + latent_weight * posterior.divergence(), torch.full_like(loss, 1.0 / len(loss)))


def iwae(loss: Tensor, z: Tensor, posterior: Gaussian, latent_weight: Tensor) -> Estimate:
    """The importance-weighted bound and its own gradient (Eq. 7 and 8; Burda, Grosse, Salakhutdinov 2016).

    Eq. 8 without its leading w_i, which is one too many: sum_i w~_i d log w_i, score term included.
    Unbiased: the derivative of Eq. 7; the score term makes the gradient of the encoder noisy.
    """
    log_w = log_weights(loss, z, posterior, latent_weight)
    return Estimate(negative_bound(log_w), normalised(log_w))


def dreg(loss: Tensor, z: Tensor, posterior: Gaussian, latent_weight: Tensor) -> Estimate:
    """The doubly reparameterised gradient (Eq. 9; Tucker, Lawson, Gu, Maddison 2019): that of `iwae`, with less noise.

    Eq. 9 on the encoder's path, the plain weights w~_i on the decoder.
    The score term -lambda sum_i w~_i d log q(z_i) of Eq. 8 is reparameterised once more: its expectation
    is that of -lambda sum_i (w~_i - w~_i^2) d log w_i / dz_i dz_i. So the encoder's weights are
    (1 - lambda) w~_i + lambda w~_i^2: the squares of Eq. 9 at lambda = 1, for which it was derived, and
    nearly the plain weights at the small lambda of Eq. 13, where bare squares would be biased.
    """
    log_w = log_weights(loss, z, posterior.detached(), latent_weight)
    weights = normalised(log_w)
    if z.requires_grad:
        # The gradient at z has the weights of the decoder; it is scaled for the encoder.
        scale = (1.0 - latent_weight + latent_weight * weights).detach().unsqueeze(-1)
        z.register_hook(lambda gradient: gradient * scale)
    return Estimate(with_gradient_of(negative_bound(log_w), -(weights * log_w).sum(dim=0)), weights)


def paper(loss: Tensor, z: Tensor, posterior: Gaussian, latent_weight: Tensor) -> Estimate:
    """Eq. 13 as printed, for comparison: sum_i w~_i^2 d log w_i for encoder and decoder alike.

    The gradient of the decoder is too small by about sum_i w~_i^2 = 1 / effective sample size, and for
    lambda below 1 that of the encoder is biased, too; see `dreg`.
    """
    log_w = log_weights(loss, z, posterior.detached(), latent_weight)
    weights = normalised(log_w)
    return Estimate(with_gradient_of(negative_bound(log_w), -(weights**2 * log_w).sum(dim=0)), weights)


ESTIMATORS: dict[str, Callable[[Tensor, Tensor, Gaussian, Tensor], Estimate]] = {
    "elbo": elbo,
    "iwae": iwae,
    "dreg": dreg,
    "paper": paper,
}
