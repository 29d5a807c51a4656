# SPDX-License-Identifier: Apache-2.0
"""Input of the depth encoder: one metric channel, three of a color scale, or depth, validity and slopes."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

# The change of the logarithm of depth over an image's width at which a slope is 0.76 of its greatest. That of a plane
# turned by 45 degrees about a vertical axis is the width over the focal length: 1.0 to 1.2 with the usual lenses.
_SLOPE = 2.0
_SMALLEST_M = 1e-3  # where the range of valid depth starts at 0, which has no logarithm


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


def surfaces(depth: Tensor, low_m: float, high_m: float) -> Tensor:
    """Meters `[B, H, W]` -> `[B, 4, H, W]` in [-1, 1]: depth, validity, slopes to the right and downwards.

    Depth is linear from -1 to 1 as in `metric`, but 0 where it is invalid, which the second channel says: 1 valid, 0
    invalid. Otherwise a hole is a surface right in front of the camera. The slopes are the hyperbolic tangents of
    central differences of the logarithm of depth, 0 where a neighbor is invalid or outside: the turn of a surface
    relative to the line of sight, however far it is.
    """
    position, valid = _in_range(depth, low_m, high_m)
    place = torch.where(valid, 2.0 * position - 1.0, torch.zeros_like(position))
    logarithm = torch.where(valid, depth.to(torch.float32), torch.ones_like(position)).clamp(min=_SMALLEST_M).log()
    return torch.stack([place, valid.float(), *_slopes(logarithm, valid)], dim=1)


def _slopes(logarithm: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """Slopes `[B, H, W]` to the right and downwards of the logarithm of depth, in (-1, 1)."""
    scale = 0.5 * logarithm.shape[2] / _SLOPE
    right = (logarithm[:, :, 2:] - logarithm[:, :, :-2]) * (valid[:, :, 2:] & valid[:, :, :-2]).float()
    down = (logarithm[:, 2:] - logarithm[:, :-2]) * (valid[:, 2:] & valid[:, :-2]).float()
    return _framed(torch.tanh(scale * right), 2), _framed(torch.tanh(scale * down), 1)


def _framed(slopes: Tensor, axis: int) -> Tensor:
    """With a zero before the first and after the last of an axis; as exported networks have no operator that pads."""
    zero = torch.zeros_like(slopes.narrow(axis, 0, 1))
    return torch.cat([zero, slopes, zero], dim=axis)


def _in_range(depth: Tensor, low_m: float, high_m: float) -> tuple[Tensor, Tensor]:
    """Position of each pixel in the range, 0 to 1, and whether it is in the range; NaN only if it is not."""
    depth = depth.to(torch.float32)
    return (depth - low_m) / (high_m - low_m), (depth >= low_m) & (depth <= high_m)


class Encoding(NamedTuple):
    """How depth becomes an image: `encode(depth, low_m, high_m)` gives `channels` of them."""

    encode: Callable[[Tensor, float, float], Tensor]
    channels: int


ENCODINGS = {"metric": Encoding(metric, 1), "colors": Encoding(colors, 3), "surfaces": Encoding(surfaces, 4)}
