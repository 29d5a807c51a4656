# SPDX-License-Identifier: Apache-2.0
"""What the estimators share: importance weights, the bound, the effective sample size."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from mvloc_ros.training.estimators.gaussian import Gaussian, prior_log_density


class Estimate(NamedTuple):
    """What an estimator says of a batch.

    Attributes:
        total: `[B]`; its value is the negative bound in nats, its gradient the estimator's.
        weights: `[k, B]`, normalised over k, without gradient.
    """

    total: Tensor
    weights: Tensor


def log_weights(loss: Tensor, z: Tensor, posterior: Gaussian, latent_weight: Tensor) -> Tensor:
    """Log w_i = -L_p + lambda (log p(z_i) - log q(z_i | x1, x2)) of Eq. 13, `[k, B]`."""
    return latent_weight * (prior_log_density(z) - posterior.log_density(z)) - loss


def normalised(log_w: Tensor) -> Tensor:
    """w_i / sum_j w_j as constants, `[k, B]`."""
    return torch.softmax(log_w.detach(), dim=0)


def negative_bound(log_w: Tensor) -> Tensor:
    """-log (1/k) sum_i w_i, the negative of the bound of Eq. 7, `[B]`."""
    return math.log(len(log_w)) - torch.logsumexp(log_w, dim=0)


def with_gradient_of(value: Tensor, surrogate: Tensor) -> Tensor:
    """A tensor that has the one's value and the other's gradient."""
    return value.detach() + (surrogate - surrogate.detach())


def effective_sample_size(weights: Tensor) -> Tensor:
    """1 / sum of squared normalised weights, `[B]`: between 1 (one sample counts) and k (all do)."""
    return 1.0 / (weights**2).sum(dim=0)
