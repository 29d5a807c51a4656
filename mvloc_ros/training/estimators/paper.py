# SPDX-License-Identifier: Apache-2.0
"""Eq. 13 as it is printed, for comparison."""

from __future__ import annotations

from torch import Tensor

from mvloc_ros.training.estimators.gaussian import Gaussian
from mvloc_ros.training.estimators.importance import (
    Estimate,
    log_weights,
    negative_bound,
    normalised,
    with_gradient_of,
)


def paper(loss: Tensor, z: Tensor, posterior: Gaussian, latent_weight: Tensor) -> Estimate:
    """sum_i w~_i^2 d log w_i for encoder and decoder alike (Eq. 13).

    The decoder's gradient comes out too small by about sum_i w~_i^2 = 1 / effective sample size, and for
    lambda below 1 the encoder's is biased too; see `dreg`.
    """
    log_w = log_weights(loss, z, posterior.detached(), latent_weight)
    weights = normalised(log_w)
    return Estimate(with_gradient_of(negative_bound(log_w), -(weights**2 * log_w).sum(dim=0)), weights)
