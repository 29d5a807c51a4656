# SPDX-License-Identifier: Apache-2.0
"""Diagonal Gaussians over the latent space: samples, log density, distance to the prior N(0, I)."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

LOG_TWO_PI = math.log(2.0 * math.pi)


class Gaussian(NamedTuple):
    """Mean and log variance, `[B, D]` each."""

    mean: Tensor
    log_variance: Tensor

    def sample(self, count: int) -> Tensor:
        """Reparameterised samples `[count, B, D]`; the noise is of torch's global generator."""
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
        """The same distribution with its parameters taken for constants."""
        return Gaussian(self.mean.detach(), self.log_variance.detach())


def prior_log_density(z: Tensor) -> Tensor:
    """Log p(z) of N(0, I), nats, of points `[..., D]`: `[...]`."""
    return -0.5 * (z**2 + LOG_TWO_PI).sum(dim=-1)
