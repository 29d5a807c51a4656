# SPDX-License-Identifier: Apache-2.0
"""Random changes of appearance, for a whole batch at once.

No pixel is moved, so poses do not change. Every frame of a batch has its own random strengths. Random numbers are
of the global generator of torch on the device of the batch, whose state is in the checkpoint.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mvloc_ros.model.modalities import PAIR, Sensor
from mvloc_ros.training.degradation import degrade
from mvloc_ros.training.light_augmentation import relight
from mvloc_ros.training.options import AugmentationConfig

# Weights of the luma of ITU-R BT.601.
_LUMA = (0.299, 0.587, 0.114)


def augment(
    color: Tensor, depth: Tensor, present: Tensor, config: AugmentationConfig, sensors: Sequence[Sensor] = ()
) -> tuple[Tensor, Tensor, Tensor]:
    """Change color (uint8 `[B, H, W, 3]`), depth (float32 `[B, H, W]`, meters) and presence `[B, M]`.

    `sensors` are the further ones, whose images are not given here. Returns new tensors of the same shapes and types.
    """
    color, depth = jitter_color(color, config), disturb_depth(depth, config)
    present = drop_modality(present, config, sensors)
    return *degrade(color, depth, present, config), present


def augment_further(further: Sequence[Tensor], sensors: Sequence[Sensor], config: AugmentationConfig) -> list[Tensor]:
    """Change the images of further sensors, by their kind, with the strengths of the pair's.

    After those of the pair, whose random numbers are the same with further sensors and without.
    """
    return [_changed(image, sensor.kind, config) for image, sensor in zip(further, sensors, strict=True)]


def _changed(image: Tensor, kind: str, config: AugmentationConfig) -> Tensor:
    if kind == "depth":
        return disturb_depth(image, config)
    if kind == "color":
        return jitter_color(image, config)
    # What changes a color changes a gray value by its channel in the middle, which no cast changes.
    return jitter_color(image.unsqueeze(3).expand(*image.shape, 3), config)[..., 1]


def jitter_color(color: Tensor, config: AugmentationConfig) -> Tensor:
    """Another light, brightness, contrast, saturation, tint, noise, and a rectangle of one random color."""
    batch, height, width, _ = color.shape
    x = relight(color, config.light).reshape(batch, height * width, 3)
    matrix, offset = _color_transform(x.mean(dim=1), config)
    x = torch.baddbmm(offset, x, matrix).reshape(color.shape)
    # The same noise in the three channels: a third of the random numbers, and like a sensor's in dim light.
    sigma = 255.0 * config.color_noise * torch.rand(batch, 1, 1, 1, device=x.device)
    x = x + sigma * torch.randn(batch, height, width, 1, device=x.device)
    erased = _rectangles(batch, height, width, config.color_erasing, config.erasing_size, x.device)
    x = torch.where(erased.unsqueeze(3), 255.0 * torch.rand(batch, 1, 1, 3, device=x.device), x)
    return x.clamp(0.0, 255.0).round().to(torch.uint8)


def _color_transform(mean: Tensor, config: AugmentationConfig) -> tuple[Tensor, Tensor]:
    """All color changes as one affine map per frame: rgb @ matrix `[B, 3, 3]` + offset `[B, 1, 3]`.

    Tint and brightness scale the channels, saturation stretches them about their luma, contrast
    stretches about the mean luma of the frame, whose mean color is `mean` `[B, 3]`.
    """
    batch, device = mean.shape[0], mean.device
    luma = torch.tensor(_LUMA, device=device)
    gain = _factor(batch, 1, config.brightness, device) * _factor(batch, 3, config.tint, device)
    saturation = _factor(batch, 1, config.saturation, device).unsqueeze(2)
    contrast = _factor(batch, 1, config.contrast, device)
    mix = saturation * torch.eye(3, device=device) + (1.0 - saturation) * luma[:, None].expand(3, 3)
    mean_luma = ((mean * gain) @ luma).unsqueeze(1)
    matrix = gain.unsqueeze(2) * mix * contrast.unsqueeze(2)
    return matrix, ((1.0 - contrast) * mean_luma).unsqueeze(1).expand(batch, 1, 3)


def disturb_depth(depth: Tensor, config: AugmentationConfig) -> Tensor:
    """Noise in proportion to the depth, single lost pixels, and a rectangular hole."""
    batch, height, width = depth.shape
    device = depth.device
    sigma = config.depth_noise * torch.rand(batch, 1, 1, device=device)
    noisy = depth * (1.0 + sigma * torch.randn_like(depth))
    lost = torch.rand_like(depth) < config.depth_dropout * torch.rand(batch, 1, 1, device=device)
    lost = lost | _rectangles(batch, height, width, config.depth_erasing, config.erasing_size, device)
    return torch.where(lost, torch.zeros_like(depth), noisy)


def drop_modality(present: Tensor, config: AugmentationConfig, sensors: Sequence[Sensor] = ()) -> Tensor:
    """Mark modalities as missing, never the only one: of a pair one or none, of more any but all of them."""
    if sensors:
        return _drop_any(present, config, (*PAIR, *(sensor.kind for sensor in sensors)))
    draw = torch.rand(present.shape[0], device=present.device)
    color = draw < config.drop_color
    depth = (draw >= config.drop_color) & (draw < config.drop_color + config.drop_depth)
    complete = present.min(dim=1).values > 0.0
    dropped = torch.stack([color, depth], dim=1) & complete.unsqueeze(1)
    return torch.where(dropped, torch.zeros_like(present), present)


def _drop_any(present: Tensor, config: AugmentationConfig, kinds: Sequence[str]) -> Tensor:
    """Each modality by itself with the probability of its kind; a frame that would lose all keeps those that it has."""
    chances = [config.drop_depth if kind == "depth" else config.drop_color for kind in kinds]
    kept = present * (torch.rand_like(present) >= torch.tensor(chances, device=present.device))
    return torch.where(kept.sum(dim=1, keepdim=True) > 0.0, kept, present)


def _factor(batch: int, channels: int, strength: float, device: torch.device) -> Tensor:
    """Random factors `[B, C]` in [1 - strength, 1 + strength]."""
    return 1.0 + strength * (2.0 * torch.rand(batch, channels, device=device) - 1.0)


def _rectangles(batch: int, height: int, width: int, probability: float, size: float, device: torch.device) -> Tensor:
    """Masks `[B, H, W]`: with the given probability a rectangle of up to `size` of each side."""
    applied = torch.rand(batch, device=device) < probability
    inside = applied[:, None, None]
    for axis, length in ((1, height), (2, width)):
        extent = torch.rand(batch, device=device) * size * length
        start = torch.rand(batch, device=device) * (length - extent)
        shape = (1, length, 1) if axis == 1 else (1, 1, length)
        pixels = torch.arange(length, device=device).reshape(shape)
        first, last = start[:, None, None], (start + extent)[:, None, None]
        inside = inside & (pixels >= first) & (pixels < last)
    return inside
