# SPDX-License-Identifier: Apache-2.0
"""The doubly reparameterised gradient (Eq. 9; Tucker, Lawson, Gu, Maddison 2019)."""

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


def dreg(loss: Tensor, z: Tensor, posterior: Gaussian, latent_weight: Tensor) -> Estimate:
    """Eq. 9 on the encoder's path, the plain weights w~_i on the decoder; the gradient of `iwae`, less noise.

    The score term -lambda sum_i w~_i d log q(z_i) of Eq. 8 is reparameterised once more: its expectation
    is that of -lambda sum_i (w~_i - w~_i^2) d log w_i / dz_i dz_i. So the encoder's weights are
    (1 - lambda) w~_i + lambda w~_i^2: the squares of Eq. 9 at lambda = 1, for which it was derived, and
    nearly the plain weights at the small lambda of Eq. 13, where bare squares would be biased.
    """
    log_w = log_weights(loss, z, posterior.detached(), latent_weight)
    weights = normalised(log_w)
    if z.requires_grad:
        # The gradient arrives at z with the decoder's weights; on its way to the encoder it is scaled.
        scale = (1.0 - latent_weight + latent_weight * weights).detach().unsqueeze(-1)
        z.register_hook(lambda gradient: gradient * scale)
    return Estimate(with_gradient_of(negative_bound(log_w), -(weights * log_w).sum(dim=0)), weights)
