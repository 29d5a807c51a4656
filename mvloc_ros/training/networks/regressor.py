# SPDX-License-Identifier: Apache-2.0
"""The pose regressor: two parallel networks of two fully connected layers each."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mvloc_ros.training.networks.rotation_head import NUMBERS, initialise, log_of

# Initial spread of the outputs: positions are normalised to 1, rotations (log quaternions, half angles) span a few
# tenths. With a wider spread than that of the targets, the strongly weighted rotation loss would deactivate the hidden
# units.
POSITION_SPREAD, ROTATION_SPREAD = 1.0, 0.05


def branch(size: int, dropout: float, spread: float, representation: str = "logq") -> nn.Sequential:
    """D -> D/4 -> 3 (6 for the rotation as `6d`); the paper gives no hidden size."""
    hidden = max(1, size // 4)
    first, last = nn.Linear(size, hidden), nn.Linear(hidden, NUMBERS[representation])
    nn.init.kaiming_normal_(first.weight)
    initialise(last, spread)
    nn.init.zeros_(first.bias)
    return nn.Sequential(first, nn.ReLU(), nn.Dropout(dropout), last)


class PoseRegressor(nn.Module):
    """Latent `[B, D]` -> `[B, 6]`: normalised position, logarithm of the quaternion (3 numbers, not 4)."""

    def __init__(self, size: int, dropout: float, representation: str = "logq") -> None:
        """For latents of D = `size`; `representation` of the rotation inside, `logq` or `6d`."""
        super().__init__()
        self.position = branch(size, dropout, POSITION_SPREAD)
        self.rotation = branch(size, dropout, ROTATION_SPREAD, representation)

    def inputs(self) -> tuple[nn.Linear, nn.Linear]:
        """The two layers that take the latent."""
        position, rotation = self.position[0], self.rotation[0]
        assert isinstance(position, nn.Linear)
        assert isinstance(rotation, nn.Linear)
        return position, rotation

    def forward(self, latent: Tensor) -> Tensor:
        """Latent vectors `[B, D]` to `[B, 6]`."""
        return torch.cat([self.position(latent), log_of(self.rotation(latent))], dim=1)
