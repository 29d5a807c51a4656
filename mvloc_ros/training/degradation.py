# SPDX-License-Identifier: Apache-2.0
"""One modality of a frame made nearly useless, the other left as it is: the network learns to tell by the image itself.

The loss of stage 1 reaches the variances of the experts through their weights in the product only. Where every image
of the training is good, nothing asks an expert to be uncertain of a bad one; a frame with a dark color image and a good
depth image does. No pixel is moved, so poses do not change.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from mvloc_ros.training.options import AugmentationConfig

# Color: gains of a frame that is too dark or too bright, standard deviations of noise (of 255), and the factors by
# which an image is shrunk and enlarged again.
_DARK, _DARK_NOISE, _BRIGHT, _NOISE, _BLUR = (0.01, 0.15), 6.0, (4.0, 20.0), (40.0, 120.0), (5, 8, 12, 20)
# Depth: the largest side of the rectangle that remains, the largest share of single pixels and of the nearest or the
# farthest ones that remain, standard deviations of noise relative to the depth, and a surface in front of the camera.
_REMAINING_SIDE, _REMAINING_PIXELS, _REMAINING_RANGE = 0.35, 0.1, 0.15
_DEPTH_NOISE, _BLOCKED_M = (0.2, 0.6), (0.15, 6.0)

Change = Callable[[Tensor], Tensor]


def degrade(color: Tensor, depth: Tensor, present: Tensor, config: AugmentationConfig) -> tuple[Tensor, Tensor]:
    """Degrade the color or the depth of some frames that have both, never both of one frame.

    Args:
        color: uint8 `[B, H, W, 3]`.
        depth: float32 `[B, H, W]`, meters, 0 where nothing was measured.
        present: `[B, 2]`, 1 where color and depth are present.
        config: with the share of frames whose color, and whose depth, is degraded.

    Returns:
        Color and depth of the same shapes and types. No random number is drawn if both shares are 0.
    """
    if config.degrade_color <= 0.0 and config.degrade_depth <= 0.0:
        return color, depth
    draw = torch.rand(len(color), device=color.device)
    complete = present[:, :2].min(dim=1).values > 0.0
    of_color = complete & (draw < config.degrade_color)
    of_depth = complete & (draw >= 1.0 - config.degrade_depth)  # the shares are at most a half each
    return _changed(color, of_color, COLOR_DEGRADATIONS), _changed(depth, of_depth, DEPTH_DEGRADATIONS)


def _changed(images: Tensor, chosen: Tensor, changes: Sequence[Change]) -> Tensor:
    """The images, each chosen one with one of the changes, drawn with equal probability."""
    kind = torch.randint(len(changes), chosen.shape, device=images.device)
    result = images.clone()
    for number, change in enumerate(changes):
        selected = chosen & (kind == number)
        if selected.any():
            result[selected] = change(images[selected])
    return result


def _between(limits: tuple[float, float], like: Tensor) -> Tensor:
    """A value for each image, shaped to be multiplied with it, evenly in its logarithm."""
    low, high = map(math.log, limits)
    draw = torch.rand(len(like), *[1] * (like.ndim - 1), device=like.device)
    return torch.exp(low + (high - low) * draw)


def _as_color(values: Tensor) -> Tensor:
    return values.clamp(0.0, 255.0).round().to(torch.uint8)


def dark(color: Tensor) -> Tensor:
    """Nearly no light, and the noise of the sensor."""
    noise = _DARK_NOISE * torch.randn(color.shape, device=color.device)
    return _as_color(_between(_DARK, color) * color.float() + noise)


def bright(color: Tensor) -> Tensor:
    """Overexposed: most pixels are at the end of the scale."""
    return _as_color(_between(_BRIGHT, color) * color.float())


def blurred(color: Tensor) -> Tensor:
    """Out of focus, or behind a wet lens: shrunk to a few pixels and enlarged again."""
    size = color.shape[1:3]
    result = torch.empty_like(color)
    factor = torch.randint(len(_BLUR), (len(color),), device=color.device)
    for number, shrink in enumerate(_BLUR):
        selected = factor == number
        if selected.any():
            planes = color[selected].permute(0, 3, 1, 2).float()
            small = nn.functional.interpolate(planes, size=[max(2, side // shrink) for side in size], mode="area")
            large = nn.functional.interpolate(small, size=list(size), mode="bilinear", align_corners=False)
            result[selected] = _as_color(large.permute(0, 2, 3, 1))
    return result


def blank_color(color: Tensor) -> Tensor:
    """One color everywhere: a covered lens, or a wall at arm's length."""
    return _as_color(255.0 * torch.rand(len(color), 1, 1, 3, device=color.device)).expand_as(color)


def noisy_color(color: Tensor) -> Tensor:
    """Noise that hides the image."""
    return _as_color(color.float() + _between(_NOISE, color) * torch.randn(color.shape, device=color.device))


def holes(depth: Tensor) -> Tensor:
    """Only a small rectangle was measured."""
    rows, columns = (_strip(len(depth), side, depth.device) for side in depth.shape[1:])
    return torch.where(rows.unsqueeze(2) & columns.unsqueeze(1), depth, 0.0)


def sparse(depth: Tensor) -> Tensor:
    """Only single pixels were measured."""
    kept = torch.rand_like(depth) < _REMAINING_PIXELS * torch.rand(len(depth), 1, 1, device=depth.device)
    return torch.where(kept, depth, 0.0)


def beyond_range(depth: Tensor) -> Tensor:
    """All but the nearest surfaces are too far to be measured; with a flat wall nothing remains."""
    return torch.where(depth < _quantile(depth, _remaining(depth)), depth, 0.0)


def below_range(depth: Tensor) -> Tensor:
    """All but the farthest surfaces are too near to be measured; with a flat wall nothing remains."""
    return torch.where(depth > _quantile(depth, 1.0 - _remaining(depth)), depth, 0.0)


def noisy_depth(depth: Tensor) -> Tensor:
    """Noise in proportion to the depth that hides the surfaces."""
    return (depth * (1.0 + _between(_DEPTH_NOISE, depth) * torch.randn_like(depth))).clamp(min=0.0)


def blank_depth(depth: Tensor) -> Tensor:
    """One depth everywhere: something right in front of the camera, or a bare wall."""
    return _between(_BLOCKED_M, depth).expand_as(depth)


COLOR_DEGRADATIONS: tuple[Change, ...] = (dark, bright, blurred, blank_color, noisy_color)
DEPTH_DEGRADATIONS: tuple[Change, ...] = (holes, sparse, beyond_range, below_range, noisy_depth, blank_depth)


def _strip(count: int, length: int, device: torch.device) -> Tensor:
    """Masks `[B, length]`, true in one interval."""
    extent = _REMAINING_SIDE * length * torch.rand(count, 1, device=device)
    start = (length - extent) * torch.rand(count, 1, device=device)
    pixels = torch.arange(length, device=device)
    return (pixels >= start) & (pixels < start + extent)


def _remaining(depth: Tensor) -> Tensor:
    return _REMAINING_RANGE * torch.rand(len(depth), device=depth.device)


def _quantile(depth: Tensor, share: Tensor) -> Tensor:
    """The measured depth of each image `[B, 1, 1]` below which this share `[B]` of its measured pixels is."""
    pixels = depth.flatten(1)
    measured = torch.isfinite(pixels) & (pixels > 0.0)
    ordered = torch.where(measured, pixels, torch.inf).sort(dim=1).values
    index = (share * (measured.sum(dim=1) - 1).clamp(min=0)).round().long()
    return ordered.gather(1, index.unsqueeze(1)).unsqueeze(2)
