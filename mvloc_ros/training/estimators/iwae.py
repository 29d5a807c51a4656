# SPDX-License-Identifier: Apache-2.0
"""The importance-weighted bound and its own gradient (Eq. 7 and 8; Burda, Grosse, Salakhutdinov 2016)."""

from __future__ import annotations

from torch import Tensor

from mvloc_ros.training.estimators.gaussian import Gaussian
from mvloc_ros.training.estimators.importance import Estimate, log_weights, negative_bound, normalised


def iwae(loss: Tensor, z: Tensor, posterior: Gaussian, latent_weight: Tensor) -> Estimate:
    """Eq. 8 without its leading w_i, which is one too many: sum_i w~_i d log w_i, score term included.

    Unbiased, and simply the derivative of Eq. 7; the score term makes the encoder's gradient noisy.
    """
    log_w = log_weights(loss, z, posterior, latent_weight)
    return Estimate(negative_bound(log_w), normalised(log_w))
