# SPDX-License-Identifier: Apache-2.0
"""New views by turning the camera about its own centre.

Such a turn needs no scene: every ray keeps its place in space and only lands on another pixel, by a
homography. So image, depth and pose of the turned camera are exact, apart from what enters at the border.
"""

from __future__ import annotations

from torch import Tensor

from mvloc_ros.training.views.motion import Motion
from mvloc_ros.training.views.projection import RgbdCameras, is_measured, look_up, nearest_pixel, see


def turn(color: Tensor, depth: Tensor, motion: Motion, cameras: RgbdCameras) -> tuple[Tensor, Tensor]:
    """The images of turned cameras; the motion's translation is left aside.

    Colour is interpolated between the pixels, and beyond the old image's border goes on as there. Depth is
    that of the nearest ray, along the turned camera's axis, and 0 where nothing was measured.

    Args:
        color: uint8 `[B, H, W, 3]`.
        depth: float32 `[B, H, W]` metres; not finite or not positive is no measurement.
        motion: T_old_new.
        cameras: of these images. That the centres of the two are a few centimetres apart is neglected:
            2.5 cm at 15 degrees are 7 mm.
    """
    u, v, _ = see(motion, cameras.color, None)
    turned_color = look_up(color, u, v)
    u, v, nearing = see(motion, cameras.depth, None)
    pixel, inside = nearest_pixel(u, v, cameras.depth)
    z = depth.flatten(1).gather(1, pixel.flatten(1)).reshape(depth.shape) / nearing
    return turned_color, z.masked_fill_(~(inside & is_measured(z)), 0.0)
