# SPDX-License-Identifier: Apache-2.0
"""Input of the depth encoder: one metric channel, or three channels of a color scale."""

from __future__ import annotations

import torch
from torch import Tensor

CHANNELS = {"metric": 1, "colors": 3}


def metric(depth: Tensor, low_m: float, high_m: float) -> Tensor:
    """Meters `[B, H, W]` -> `[B, 1, H, W]`, linear in depth from -1 to 1; invalid depth becomes -1.

    Depth outside the range is invalid, which includes 0, infinity and NaN.
    """
    position, valid = _in_range(depth, low_m, high_m)
    return torch.where(valid, 2.0 * position - 1.0, torch.full_like(position, -1.0)).unsqueeze(1)


def colors(depth: Tensor, low_m: float, high_m: float) -> Tensor:
    """Meters `[B, H, W]` -> `[B, 3, H, W]` in [-1, 1]: the "jet" scale, near is blue, far is red, invalid is black.

    The paper uses color-coded depth images without naming the scale; this one is piecewise linear: each
    channel is a trapezium over the depth range, 3/8 of it wide on top and half of it apart from the next but one.
    """
    position, valid = _in_range(depth, low_m, high_m)
    peaks = torch.tensor([3.0, 2.0, 1.0], device=position.device).view(1, 3, 1, 1)
    scale = (1.5 - (4.0 * position.unsqueeze(1) - peaks).abs()).clamp(0.0, 1.0)
    return torch.where(valid.unsqueeze(1), 2.0 * scale - 1.0, torch.full_like(scale, -1.0))


def _in_range(depth: Tensor, low_m: float, high_m: float) -> tuple[Tensor, Tensor]:
    """Position of each pixel in the range, 0 to 1, and whether it is in the range; NaN only if it is not."""
    depth = depth.to(torch.float32)
    return (depth - low_m) / (high_m - low_m), (depth >= low_m) & (depth <= high_m)
