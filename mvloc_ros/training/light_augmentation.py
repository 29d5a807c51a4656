# SPDX-License-Identifier: Apache-2.0
"""Another light on a batch of color images: exposure, a gamma curve, a cast, a lamp from one side, a spot.

What `mapping.lighting` does to single images for trials, on the device of the batch and with random strengths: a
network that is to work in the evening must have seen evenings, and its depth expert must be asked to carry dark frames.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

# At full strength: exposure and exponent lie within these, evenly in their logarithms.
_EXPOSURE, _GAMMA = (0.15, 2.5), (0.4, 2.5)
# Largest relative change of red against blue, and of the gain from the middle to an edge.
_WARMTH, _SLOPE = 0.35, 0.75
# A spot: radius as a share of the width, gain far from it, and what its middle has more.
_RADIUS, _FLOOR, _PEAK = (0.15, 0.35), (0.2, 0.6), 1.6
_USUAL = 0.25


def relight(color: Tensor, strength: float) -> Tensor:
    """Each frame of uint8 `[B, H, W, 3]` in a light of its own, float32; a quarter stays as recorded.

    Args:
        color: the frames.
        strength: 0 for none, 1 for the full range.
    """
    x = color.float()
    if strength <= 0.0:
        return x
    batch, height, width, _ = x.shape
    draw = torch.rand(batch, 9, device=x.device)
    gamma = _scale(draw[:, 0], _GAMMA, strength)
    gain = _scale(draw[:, 1], _EXPOSURE, strength)
    one = draw[:, 2] < 0.5  # one of both alone, or both a little
    first = draw[:, 2] < 0.25
    gamma = torch.where(one, torch.where(first, gamma, torch.ones_like(gamma)), gamma.sqrt())
    gain = torch.where(one, torch.where(first, torch.ones_like(gain), gain), gain.sqrt())
    gains = gain[:, None, None] * _lamp(draw[:, 3:7], height, width, strength)
    warmth = strength * _WARMTH * (2.0 * draw[:, 7] - 1.0)
    cast = torch.stack([1.0 + warmth, torch.ones_like(warmth), 1.0 - warmth], dim=1)
    lit = 255.0 * (x / 255.0) ** gamma[:, None, None, None] * gains[..., None] * cast[:, None, None, :]
    usual = (draw[:, 8] < _USUAL)[:, None, None, None]
    return torch.where(usual, x, lit.clamp(0.0, 255.0))


def _scale(draw: Tensor, limits: tuple[float, float], strength: float) -> Tensor:
    low, high = (strength * math.log(limit) for limit in limits)
    return torch.exp(low + (high - low) * draw)


def _lamp(draw: Tensor, height: int, width: int, strength: float) -> Tensor:
    """Gains `[B, H, W]`: of a third a slope, of a third a spot, of a third none."""
    u = torch.linspace(0.0, 1.0, width, device=draw.device)[None, None, :]
    v = torch.linspace(0.0, 1.0, height, device=draw.device)[None, :, None]
    kind, a, b, c = (draw[:, i, None, None] for i in range(4))
    slope = strength * _SLOPE
    across, down = slope * (2.0 * a - 1.0), slope * (2.0 * b - 1.0)
    sloped = (1.0 + across * (2.0 * u - 1.0)) * (1.0 + down * (2.0 * v - 1.0))
    squared = (u - a) ** 2 + (height / width * (v - b)) ** 2
    radius, floor = _RADIUS[0] + (_RADIUS[1] - _RADIUS[0]) * c, _FLOOR[0] + (_FLOOR[1] - _FLOOR[0]) * c
    spot = 1.0 - strength + strength * (floor + _PEAK * torch.exp(-0.5 * squared / radius**2))
    return torch.where(kind < 1.0 / 3.0, sloped, torch.where(kind < 2.0 / 3.0, spot, torch.ones_like(spot)))
