# SPDX-License-Identifier: Apache-2.0
"""New views by moving the camera: forward warping of depth with a z-buffer, backward warping of color.

Each depth point is projected to its new pixel. Then each pixel of the new image knows its depth, and so the position of
that point in the old image, where the color is interpolated.

If depth is not registered to color and the extrinsics are unknown (7-Scenes: focal lengths 585 and 525, centers 2.5 cm
apart, axes 0.7 degrees), both are treated as one camera with two focal lengths. The error at 120x160 (f = 131) and
1.5 m: a color pixel uses the depth of a pixel up to 4 pixels away (2.2 from the baseline, 1.5 from the angle), so a
border of that width at the edge of an object moves with its foreground or background; and the color camera, rotated by
15 degrees, is displaced by 7 mm, less than a pixel. Depth and pose are exact if the pose is that of the depth camera.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mvloc_ros.training.views.camera_motion import Motion
from mvloc_ros.training.views.filling import fill
from mvloc_ros.training.views.reprojection import RgbdCameras, look_up, see
from mvloc_ros.training.views.zbuffer import warp_depth


def warp(color: Tensor, depth: Tensor, motion: Motion, cameras: RgbdCameras) -> tuple[Tensor, Tensor]:
    """The images of moved cameras: uint8 `[B, H, W, 3]`, and meters `[B, H, W]` with 0 where nothing was measured.

    Where nothing was measured, color is that of the old image at the depth interpolated from the surroundings. Border
    pixels of the old image are repeated.

    Args:
        color: uint8 `[B, H, W, 3]`.
        depth: float32 `[B, H, W]` meters; not finite or not positive is invalid.
        motion: T_old_new.
        cameras: of these images.
    """
    moved = warp_depth(depth, motion, cameras.depth)
    unmeasured = moved == 0.0
    inverse = moved.reciprocal().masked_fill_(unmeasured, 0.0)
    dense = fill(inverse.unsqueeze(1), unmeasured.logical_not().unsqueeze(1)).squeeze(1)
    u, v, _ = see(motion, cameras.color, on_color_pixels(dense, cameras))
    return look_up(color, u, v), moved


def on_color_pixels(values: Tensor, cameras: RgbdCameras) -> Tensor:
    """A map `[B, H, W]` of the depth camera at the pixels of the color camera, with repeated border pixels."""
    color, depth = cameras
    if color == depth:
        return values
    u = torch.arange(color.width, device=values.device)
    v = torch.arange(color.height, device=values.device)
    column = ((u - color.cx) * (depth.fx / color.fx) + depth.cx).round().clamp(0, depth.width - 1).long()
    row = ((v - color.cy) * (depth.fy / color.fy) + depth.cy).round().clamp(0, depth.height - 1).long()
    return values.index_select(1, row).index_select(2, column)
