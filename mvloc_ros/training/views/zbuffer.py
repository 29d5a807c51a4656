# SPDX-License-Identifier: Apache-2.0
"""Depth of one camera as the same camera sees it from elsewhere, with the nearest surface in front."""

from __future__ import annotations

import torch
from torch import Tensor

from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.training.views.motion import Motion
from mvloc_ros.training.views.projection import is_measured, nearest_pixel, see

NEAREST_M = 0.01  # what is closer to the camera's plane is inside the lens
_INDEX_BITS = 32
_INDEX = (1 << _INDEX_BITS) - 1
_INFINITY = 0x7F800000 << _INDEX_BITS  # float32's infinity above an index


def warp_depth(depth: Tensor, motion: Motion, camera: PinholeCamera) -> Tensor:
    """Metres `[B, H, W]` that the moved cameras measure, 0 where they see nothing that was measured.

    Every measured pixel is carried to the nearest pixel of the moved camera, so a value is of a ray at
    most 0.7 pixels away. Where a surface comes nearer its pixels spread: a gap one pixel wide between
    neighbours is closed, which serves up to twice the size.

    Args:
        depth: float32 `[B, H, W]` metres; not finite or not positive is no measurement.
        motion: T_old_new.
        camera: of these images.
    """
    z, source = _splat(depth, motion.inverse(), camera)
    for axis in (2, 1, 2):  # again, for gaps that cross where one of them steps aside
        _close_gaps(z, source, axis)
    return z.masked_fill_(torch.isinf(z), 0.0)


def _splat(depth: Tensor, motion: Motion, camera: PinholeCamera) -> tuple[Tensor, Tensor]:
    """The nearest z of each pixel, infinite where there is none, and the pixel it is from: `[B, H, W]` each.

    Depth and index go through the z-buffer as one integer, z first: the bits of positive floats are
    ordered as their values. So one minimum yields both, and is the same in whatever order it is taken.
    """
    unmeasured = is_measured(depth).logical_not_()
    near = depth.masked_fill(unmeasured, 1.0)
    u, v, nearing = see(motion, camera, near.reciprocal())
    z = near.mul_(nearing)
    pixel, inside = nearest_pixel(u, v, camera)
    hidden = unmeasured.logical_or_(inside.logical_not_()).logical_or_(z <= NEAREST_M)
    z.masked_fill_(hidden, torch.inf)
    index = torch.arange(z[0].numel(), device=z.device)
    keys = z.view(torch.int32).long().bitwise_left_shift_(_INDEX_BITS).flatten(1).bitwise_or_(index)
    buffer = torch.full_like(keys, _INFINITY).scatter_reduce_(1, pixel.flatten(1), keys, "amin")
    nearest = (buffer >> _INDEX_BITS).int().view(torch.float32)
    return nearest.reshape(depth.shape), buffer.bitwise_and_(_INDEX).int().reshape(depth.shape)


def _close_gaps(z: Tensor, source: Tensor, axis: int) -> None:
    """Give a pixel between two that were neighbours the farther one's depth, if it has none or a deeper one.

    Between neighbours there was nothing, so what shows there now, or does not, is the gap that opened
    between them. A pixel without a measurement lies between two that were not neighbours, and stays so.
    """
    length, width = z.shape[axis], z.shape[2]
    before, here, after = ((axis, start, length - 2) for start in (0, 1, 2))
    step = (source.narrow(*after) - source.narrow(*before)).abs_()
    neighbours = (step <= 1).logical_or_(step.sub_(width).abs_() <= 1)
    farther = torch.maximum(z.narrow(*before), z.narrow(*after))
    gap = neighbours.logical_and_(z.narrow(*here) > farther)
    z.narrow(*here).copy_(torch.where(gap, farther, z.narrow(*here)))
    source.narrow(*here).copy_(torch.where(gap, source.narrow(*before), source.narrow(*here)))
