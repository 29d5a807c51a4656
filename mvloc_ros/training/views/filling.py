# SPDX-License-Identifier: Apache-2.0
"""Fills holes in a batch of images smoothly from their surroundings."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

_FACTOR = 4


def fill(values: Tensor, known: Tensor) -> Tensor:
    """Images `[B, 1, H, W]` in which pixels that are not `known` (bool `[B, 1, H, W]`) come from a coarser image.

    Each pixel of the coarser image is the mean of the known ones of 4 x 4, filled recursively. So a small hole gets the
    value at its border, and a large one is interpolated. An image without known pixels becomes 0.
    """
    weight = known.to(values.dtype)
    held = values * weight
    if values.shape[2:] == (1, 1):
        return held
    share = avg_pool2d(weight, _FACTOR, ceil_mode=True, count_include_pad=False)
    mean = avg_pool2d(held, _FACTOR, ceil_mode=True, count_include_pad=False) / share.clamp(min=1e-6)
    coarse = fill(mean, share > 0.0)
    return torch.where(known, values, interpolate(coarse, size=values.shape[2:], mode="bilinear"))
