# SPDX-License-Identifier: Apache-2.0
"""Colors of a view: each pixel from the frames that saw its point, mostly from the one that saw it most alike."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.geometry.depth_noise import depth_noise
from mvloc_ros.training.rendering.surfaces import NEAREST_M

# A frame saw a point if it measured its depth within this: noise, the error of poses, and the slope inside of a pixel.
_SIGMAS, _ABSOLUTE_M, _RELATIVE = 3.0, 0.02, 0.04
# Dislike of a frame: the angle between both rays, and how many times farther it was (log2). Of two, the one with a
# dislike that is larger by one has a share of exp(-_SHARPNESS).
_ANGLE, _SHARPNESS = math.radians(20.0), 4.0
_LEAST_WEIGHT = 1e-20


class Painted(NamedTuple):
    """Color float32 `[H, W, 3]`, and where some frame saw the point, bool `[H, W]`."""

    color: Tensor
    known: Tensor


def dislike(ray: Tensor, other: Tensor) -> Tensor:
    """How unlike a point was seen from elsewhere: `ray` from the view to the point, `other` from the frame to it.

    Of vectors `[K, 3, N]`: the angle between them in units of 20 degrees, and log2 of how many times farther it was.
    """
    near, far = ((v * v).sum(dim=-2).clamp(min=1e-12) for v in (ray, other))
    cosine = ((ray * other).sum(dim=-2) * (near * far).rsqrt()).clamp(-1.0, 1.0)
    return torch.acos(cosine) / _ANGLE + 0.5 * torch.log2(far / near).clamp(min=0.0)


def paint(
    z: Tensor,
    measured: Tensor,
    frames: tuple[Tensor, Tensor],
    rotation: Tensor,
    translation: Tensor,
    camera: PinholeCamera,
) -> Painted:
    """Color of the points of a view.

    Args:
        z: depth of every pixel, `[H, W]` meters, positive; interpolated where it is not `measured`.
        measured: bool `[H, W]`; a pixel without measurement has the color of pixels without measurement.
        frames: color uint8 `[K, H, W, 3]`, and depth at its pixels `[K, H, W]`, 0 where not measured.
        rotation: of T_frame_view, `[K, 3, 3]`.
        translation: of T_frame_view, `[K, 3]`.
        camera: of color, of frames and view.
    """
    color, depth = frames
    count, height, width = depth.shape
    u = (torch.arange(width, device=z.device) - camera.cx) / camera.fx
    v = ((torch.arange(height, device=z.device) - camera.cy) / camera.fy).unsqueeze(1)
    ray = torch.stack([u.expand(height, width), v.expand(height, width), torch.ones_like(z)]).reshape(3, -1)
    ray = ray * z.reshape(1, -1)
    turned = rotation @ ray
    seen = turned + translation.unsqueeze(2)
    far = seen[:, 2]
    ahead = far > NEAREST_M
    divisor = torch.where(ahead, far, torch.ones_like(far))
    column = camera.fx * seen[:, 0] / divisor + camera.cx
    row = camera.fy * seen[:, 1] / divisor + camera.cy
    ahead &= (column > -0.5) & (column < width - 0.5) & (row > -0.5) & (row < height - 0.5)
    column, row = column.clamp(0.0, width - 1.0), row.clamp(0.0, height - 1.0)
    tolerance = _ABSOLUTE_M + _SIGMAS * depth_noise(far) + _RELATIVE * far
    is_measured = measured.reshape(1, -1)
    flat_color, flat_depth = color.reshape(count, -1, 3), depth.reshape(count, -1)
    left, top = column.floor().clamp(max=width - 2.0), row.floor().clamp(max=height - 2.0)
    across, down = column - left, row - top
    total, sums = torch.zeros_like(far), torch.zeros(*far.shape, 3, device=z.device)
    first = (top * width + left).long()
    for i in (0, 1):
        for j in (0, 1):
            pixel = first + i * width + j
            there = flat_depth.gather(1, pixel)
            agrees = torch.where(is_measured, (there - far).abs() < tolerance, there == 0.0)
            share = (across if j else 1.0 - across) * (down if i else 1.0 - down) * (ahead & agrees)
            total += share
            sums += share.unsqueeze(2) * flat_color.gather(1, pixel.unsqueeze(2).expand(-1, -1, 3))
    # The closer to the point's pixels those that agree are, the better; none: no weight at all.
    unlike = dislike(turned, seen)
    weight = total * torch.exp(-_SHARPNESS * (unlike - unlike.amin(dim=0)))
    mean = sums / total.clamp(min=1e-6).unsqueeze(2)
    whole = weight.sum(dim=0)
    known = whole > _LEAST_WEIGHT
    result = (weight.unsqueeze(2) * mean).sum(dim=0) / whole.clamp(min=_LEAST_WEIGHT).unsqueeze(1)
    return Painted(result.reshape(height, width, 3), known.reshape(height, width))
