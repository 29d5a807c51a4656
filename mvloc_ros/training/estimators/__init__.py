# SPDX-License-Identifier: Apache-2.0
"""Gradient estimators of the second stage: k samples of the latent in, one loss a frame out.

Each is one function `(loss, z, posterior, latent_weight) -> Estimate`:

- `loss` `[k, B]`: the geometric loss L_p (Eq. 11) of every decoded sample;
- `z` `[k, B, D]`: the samples, reparameterised (z = mean + deviation * noise; the paper's "epsilon mu +
  sigma" is a slip of the pen), and what `loss` was computed from;
- `posterior`: the joint Gaussian q(z | x1, x2), `[B, D]` each; the prior p(z) is N(0, I);
- `latent_weight`: lambda of Eq. 13, a scalar.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from mvloc_ros.training.estimators.dreg import dreg
from mvloc_ros.training.estimators.elbo import elbo
from mvloc_ros.training.estimators.gaussian import Gaussian
from mvloc_ros.training.estimators.importance import Estimate
from mvloc_ros.training.estimators.iwae import iwae
from mvloc_ros.training.estimators.paper import paper

Estimator = Callable[[Tensor, Tensor, Gaussian, Tensor], Estimate]
ESTIMATORS: dict[str, Estimator] = {"elbo": elbo, "iwae": iwae, "dreg": dreg, "paper": paper}

__all__ = ["ESTIMATORS", "Estimate", "Estimator", "Gaussian"]
