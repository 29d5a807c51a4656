# SPDX-License-Identifier: Apache-2.0
"""The plain evidence lower bound (Eq. 3), with the KL divergence in closed form."""

from __future__ import annotations

import torch
from torch import Tensor

from mvloc_ros.training.estimators.gaussian import Gaussian
from mvloc_ros.training.estimators.importance import Estimate


def elbo(loss: Tensor, _z: Tensor, posterior: Gaussian, latent_weight: Tensor) -> Estimate:
    """E[L_p] + lambda KL(q || p): Eq. 3 after Eq. 10 and 13, the paper's MVLoc (P) at k = 1.

    More samples are averaged, all with the same weight.
    """
    return Estimate(loss.mean(dim=0) + latent_weight * posterior.divergence(), torch.full_like(loss, 1.0 / len(loss)))
