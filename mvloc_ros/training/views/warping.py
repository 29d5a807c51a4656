# SPDX-License-Identifier: Apache-2.0
"""New views by moving the camera: depth by a z-buffer, colour taken along with it.

Depth goes forward, each point to its new pixel. Colour then comes backward: each pixel of the new image
knows the depth it sees, so where that point was in the old image, and takes the colour there between the
pixels, which a colour carried forward could not.

Where depth is not registered to colour and the extrinsic between the two is not known (7-Scenes: focal
lengths 585 and 525, centres 2.5 cm apart, axes 0.7 degrees), they are taken for one camera with two focal
lengths. What that neglects, at 120x160 (f = 131) and 1.5 m: a colour takes the depth of a pixel up to 4
pixels beside its own (2.2 from the baseline, 1.5 from the angle), so a rim of that width at the edge of
an object moves with what is behind or before it; and the colour camera, turned by 15 degrees, is 7 mm
from where it is taken to be, less than a pixel. Depth and pose are exact where the pose is the depth camera's.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mvloc_ros.training.views.filling import fill
from mvloc_ros.training.views.motion import Motion
from mvloc_ros.training.views.projection import RgbdCameras, look_up, see
from mvloc_ros.training.views.zbuffer import warp_depth


def warp(color: Tensor, depth: Tensor, motion: Motion, cameras: RgbdCameras) -> tuple[Tensor, Tensor]:
    """The images of moved cameras: uint8 `[B, H, W, 3]`, and metres `[B, H, W]` with 0 where nothing was measured.

    Where nothing was measured, colour is what the old image shows at the depth interpolated from around; so
    it is behind what stood in front, which no image shows. Beyond the old image's border, colour goes on
    as there.

    Args:
        color: uint8 `[B, H, W, 3]`.
        depth: float32 `[B, H, W]` metres; not finite or not positive is no measurement.
        motion: T_old_new.
        cameras: of these images.
    """
    moved = warp_depth(depth, motion, cameras.depth)
    unmeasured = moved == 0.0
    inverse = moved.reciprocal().masked_fill_(unmeasured, 0.0)
    dense = fill(inverse.unsqueeze(1), unmeasured.logical_not().unsqueeze(1)).squeeze(1)
    u, v, _ = see(motion, cameras.color, _on_color_pixels(dense, cameras))
    return look_up(color, u, v), moved


def _on_color_pixels(values: Tensor, cameras: RgbdCameras) -> Tensor:
    """A map `[B, H, W]` of the depth camera at the pixels of the colour camera; beyond its border it goes on."""
    color, depth = cameras
    if color == depth:
        return values
    u = torch.arange(color.width, device=values.device)
    v = torch.arange(color.height, device=values.device)
    column = ((u - color.cx) * (depth.fx / color.fx) + depth.cx).round().clamp(0, depth.width - 1).long()
    row = ((v - color.cy) * (depth.fy / color.fy) + depth.cy).round().clamp(0, depth.height - 1).long()
    return values.index_select(1, row).index_select(2, column)
