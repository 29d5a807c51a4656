# SPDX-License-Identifier: Apache-2.0
"""Reprojection of pixels into a moved camera, for a whole batch of images at once.

Pixel coordinates are as in `mvloc_ros.geometry.camera`. For speed all linear operations are combined into one matrix
per frame.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.training.views.camera_motion import Motion


class RgbdCameras(NamedTuple):
    """Intrinsics of color and depth at the size of the network input."""

    color: PinholeCamera
    depth: PinholeCamera


class Seen(NamedTuple):
    """Reprojected pixels of a batch of images, `[B, H, W]` each.

    `u`, `v`: column and row, far outside if the point is behind the camera. `nearing`: ratio of its z in the other and
    in this camera, positive if it is in front of the other camera.
    """

    u: Tensor
    v: Tensor
    nearing: Tensor


def is_measured(depth: Tensor) -> Tensor:
    """Where depth is finite and positive."""
    return (depth > 0.0) & (depth < torch.inf)


def see(motion: Motion, camera: PinholeCamera, inverse_depth: Tensor | None) -> Seen:
    """Reproject the pixels of a camera into the same camera at another pose.

    Args:
        motion: T_other_this, maps coordinates of this camera into the other one.
        camera: the intrinsics.
        inverse_depth: 1 / z of every pixel `[B, H, W]`, 0 at infinity; None if all are, or if the
            camera only rotates, so that depth does not matter.
    """
    device = motion.quaternion.device
    matrix = torch.tensor(camera.matrix(), dtype=torch.float32, device=device)
    inverse = torch.tensor([[1 / camera.fx, 0, -camera.cx / camera.fx], [0, 1 / camera.fy, -camera.cy / camera.fy]])
    # A point is z ray, in the other camera z (R ray + t / z), with the pixel K (R ray + t / z); ray = K^-1 (u, v, 1).
    homography = matrix @ motion.rotation() @ torch.cat([inverse, torch.tensor([[0.0, 0.0, 1.0]])]).to(device)
    u = torch.arange(camera.width, device=device, dtype=torch.float32)
    v = torch.arange(camera.height, device=device, dtype=torch.float32).unsqueeze(1)
    of_column, of_row, constant = homography[..., None, None].unbind(dim=2)
    points = of_column * u + (of_row * v + constant)
    if inverse_depth is not None:
        offset = motion.translation @ matrix.T
        points.addcmul_(offset[:, :, None, None], inverse_depth.unsqueeze(1))
    x, y, z = points.unbind(dim=1)
    behind = z <= 0.0
    divisor = z.masked_fill(behind, 1.0)
    return Seen(x.div_(divisor).masked_fill_(behind, -1e6), y.div_(divisor), z)


def nearest_pixel(u: Tensor, v: Tensor, camera: PinholeCamera) -> tuple[Tensor, Tensor]:
    """The pixel index of each point, and whether it is inside the image; indices of points outside are clamped."""
    # In float32, which is exact for integers up to 16 million.
    column, row = u.round(), v.round()
    held_column, held_row = column.clamp(0, camera.width - 1), row.clamp(0, camera.height - 1)
    inside = (column == held_column).logical_and_(row == held_row)
    return held_column.add_(held_row, alpha=camera.width).long(), inside


def look_up(color: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """Colors uint8 `[B, H, W, 3]` at columns and rows `[B, H, W]`, bilinear, with the border pixels repeated."""
    height, width = color.shape[1:3]
    grid = torch.stack([u * (2.0 / (width - 1)), v * (2.0 / (height - 1))], dim=-1).sub_(1.0)
    image = color.permute(0, 3, 1, 2).float()
    image = grid_sample(image, grid, mode="bilinear", padding_mode="border", align_corners=True)
    # Means of values up to 255 do not exceed 255.
    return image.round_().to(torch.uint8).permute(0, 2, 3, 1)
