# SPDX-License-Identifier: Apache-2.0
"""Product of Gaussian experts with the prior N(0, I) (Eq. 5; Wu and Goodman, 2018).

The product of Gaussians is a Gaussian whose precision is the sum of the precisions, and whose mean
is the precision-weighted mean. A missing modality contributes precision 0: exactly the product
without its expert. With no modality at all the prior remains.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class JointGaussian(NamedTuple):
    """The product, `[B, D]` each, and every expert's share of its precision, `[B, 1 + M, D]`."""

    mean: Tensor
    log_variance: Tensor
    shares: Tensor


def product_of_experts(means: Tensor, log_variances: Tensor, present: Tensor) -> JointGaussian:
    """Fuse `[B, M, D]` experts and the prior; `present` is `[B, M]`, 1 where the modality is present.

    The order of the shares is prior, then the experts as given; they sum to 1 in every dimension. Computed in float32
    even with autocast: float16 ends at exp(11).
    """
    with torch.autocast(device_type=means.device.type, enabled=False):
        means, log_variances = means.float(), log_variances.float()
        # A missing expert does not affect the scale either: its log precision becomes that of the prior.
        mask = present.float().unsqueeze(-1)
        log_precisions = -log_variances * mask
        # Dividing by the greatest precision first keeps every term in [0, 1], for any log variance.
        # The log precision of the prior is 0, so the greatest is never below it.
        greatest = torch.clamp(torch.amax(log_precisions, dim=1, keepdim=True), min=0.0)
        experts = mask * torch.exp(log_precisions - greatest)
        precisions = torch.cat([torch.exp(-greatest), experts], dim=1)
        total = precisions.sum(dim=1)
        shares = precisions / total.unsqueeze(1)
        mean = (shares[:, 1:] * means).sum(dim=1)
        return JointGaussian(mean, -torch.log(total) - greatest.squeeze(1), shares)
