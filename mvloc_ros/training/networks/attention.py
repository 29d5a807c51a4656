# SPDX-License-Identifier: Apache-2.0
"""Self-attention over the latent vector (Eq. 14 and 15).

Read literally, the softmax of Eq. 14 is over the single number z' W_theta' W_phi z, always 1. The
form of its source (AtLoc, after the non-local networks) is the outer product of the two embeddings:
a map of D/8 x D/8 that is normalised by rows.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

REDUCTION = 8


class LatentAttention(nn.Module):
    """z -> z + W_alpha softmax(phi(z) theta(z)') g(z), `[B, D]` to `[B, D]`."""

    def __init__(self, size: int) -> None:
        super().__init__()
        inner = max(1, size // REDUCTION)
        self.g = nn.Linear(size, inner)
        self.theta = nn.Linear(size, inner)
        self.phi = nn.Linear(size, inner)
        self.alpha = nn.Linear(inner, size)
        for layer in (self.g, self.theta, self.phi, self.alpha):
            nn.init.kaiming_normal_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, z: Tensor) -> Tensor:
        """Latent vectors `[B, D]` to `[B, D]`."""
        scores = self.phi(z).unsqueeze(2) * self.theta(z).unsqueeze(1)
        weights = torch.softmax(scores.float(), dim=2).to(scores.dtype)
        attended = torch.matmul(weights, self.g(z).unsqueeze(2)).squeeze(2)
        return z + self.alpha(attended)
