# SPDX-License-Identifier: Apache-2.0
"""Forward warping of depth into a moved camera, with a z-buffer: the nearest surface wins."""

from __future__ import annotations

import torch
from torch import Tensor

from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.training.views.camera_motion import Motion
from mvloc_ros.training.views.reprojection import is_measured, nearest_pixel, see

NEAREST_M = 0.01  # points closer to the camera plane are ignored
_INDEX_BITS = 32
_INDEX = (1 << _INDEX_BITS) - 1
_INFINITY = 0x7F800000 << _INDEX_BITS  # float32's infinity above an index


def warp_depth(depth: Tensor, motion: Motion, camera: PinholeCamera) -> Tensor:
    """Depth in meters `[B, H, W]` of the moved cameras, 0 where no measured point is visible.

    Every measured pixel is projected to the nearest pixel of the moved camera, so a value is of a ray at most 0.7
    pixels away. If a surface comes nearer, its pixels spread: gaps of one pixel between neighbors are closed, which
    suffices up to twice the size.

    Args:
        depth: float32 `[B, H, W]` meters; not finite or not positive is invalid.
        motion: T_old_new.
        camera: of these images.
    """
    z, source = _splat(depth, motion.inverse(), camera)
    for axis in (2, 1, 2):  # the first axis again, for crossing gaps
        _close_gaps(z, source, axis)
    return z.masked_fill_(torch.isinf(z), 0.0)


def _splat(depth: Tensor, motion: Motion, camera: PinholeCamera) -> tuple[Tensor, Tensor]:
    """The nearest z of each pixel, infinite if there is none, and the index of its source pixel: `[B, H, W]` each.

    The z-buffer stores depth and index as one integer, z first: the bits of positive floats are ordered as their
    values. So one minimum gives both, independent of the order of evaluation.
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
    """Set a pixel between two former neighbors to the farther depth of both, if it has none or a deeper one.

    Former neighbors were adjacent, so a pixel between them is a gap that the motion opened. A pixel without a
    measurement is between two that were not neighbors, and is kept.
    """
    length, width = z.shape[axis], z.shape[2]
    before, here, after = ((axis, start, length - 2) for start in (0, 1, 2))
    step = (source.narrow(*after) - source.narrow(*before)).abs_()
    neighbours = (step <= 1).logical_or_(step.sub_(width).abs_() <= 1)
    farther = torch.maximum(z.narrow(*before), z.narrow(*after))
    gap = neighbours.logical_and_(z.narrow(*here) > farther)
    z.narrow(*here).copy_(torch.where(gap, farther, z.narrow(*here)))
    source.narrow(*here).copy_(torch.where(gap, source.narrow(*before), source.narrow(*here)))
