# SPDX-License-Identifier: Apache-2.0
"""Holes in a batch of images, filled smoothly from what is around them."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

_FACTOR = 4


def fill(values: Tensor, known: Tensor) -> Tensor:
    """Images `[B, 1, H, W]` with what is not `known` (bool `[B, 1, H, W]`) taken from a coarser image.

    Of the coarser image every pixel is the mean of the known ones of 4 x 4, filled in the same way. So a
    small hole takes the value at its rim and a large one goes over smoothly from one rim to the other.
    Where an image has nothing known at all it becomes 0.
    """
    weight = known.to(values.dtype)
    held = values * weight
    if values.shape[2:] == (1, 1):
        return held
    share = avg_pool2d(weight, _FACTOR, ceil_mode=True, count_include_pad=False)
    mean = avg_pool2d(held, _FACTOR, ceil_mode=True, count_include_pad=False) / share.clamp(min=1e-6)
    coarse = fill(mean, share > 0.0)
    return torch.where(known, values, interpolate(coarse, size=values.shape[2:], mode="bilinear"))
