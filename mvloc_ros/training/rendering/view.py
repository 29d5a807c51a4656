# SPDX-License-Identifier: Apache-2.0
"""One view of a place at any pose: selects frames, draws their surfaces, checks that they are in sight, colors them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mvloc_ros.geometry import se3
from mvloc_ros.geometry.depth_noise import depth_noise
from mvloc_ros.training.rendering.coloring import paint
from mvloc_ros.training.rendering.observed_space import FREE, SOLID, ObservedSpace
from mvloc_ros.training.rendering.selection import Selection, select
from mvloc_ros.training.rendering.source import Frames, Source
from mvloc_ros.training.rendering.surfaces import draw
from mvloc_ros.training.views.filling import fill
from mvloc_ros.training.views.warping import on_color_pixels

Array = NDArray[np.float64]

# Depth of a pixel of which nothing is known nearby.
_FARTHEST_M = 1000.0
# Along a ray to a surface: distance of the looks at the grid in cubes, and how many may fall where no frame saw.
_STEP_CUBES, _UNSEEN = 0.8, 1
# Beginning and end of a ray are not looked at: the camera is at a free place, and a surface fills a part of its cube.
_BEGIN_M, _END_CUBES = 0.1, 1.5


@dataclass(frozen=True, eq=False)
class View:
    """A rendered view.

    Attributes:
        color: uint8 `[H, W, 3]`.
        depth: float32 `[H, W]` meters, without noise; 0 where no frame saw what is there.
        colored: bool `[H, W]`: color is from a frame; elsewhere it is that of the surroundings.
    """

    color: NDArray[np.uint8]
    depth: NDArray[np.float32]
    colored: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Drawn:
    """Surfaces of a view without colors: depth as in `View`, on the device, the frames that made it, T_view_frame."""

    depth: Tensor
    frames: Frames
    T_view_frame: Array


def draw_view(source: Source, space: ObservedSpace, T_map_view: Array, selection: Selection) -> Drawn:
    """The surfaces that a camera at T_map_view (4x4) sees, from the frames of a selection; at least one."""
    frames = source.pick(selection.frames)
    T_view_frame = se3.inverse(T_map_view) @ frames.poses
    depth = draw(frames.depth, *_placed(T_view_frame, source.device), source.cameras.depth).depth
    seen = _in_sight(depth, space, T_map_view, source)
    return Drawn(torch.where(seen, depth, torch.zeros_like(depth)), frames, T_view_frame)


def color_view(source: Source, drawn: Drawn) -> View:
    """Drawn surfaces with the colors of their frames."""
    on_color = on_color_pixels(drawn.depth.unsqueeze(0), source.cameras)[0]
    measured = on_color > 0.0
    inverse = torch.where(measured, on_color, torch.full_like(on_color, torch.inf)).reciprocal()
    dense = fill(inverse[None, None], measured[None, None])[0, 0].clamp(min=1.0 / _FARTHEST_M).reciprocal()
    rotation, translation = _placed(se3.inverse(drawn.T_view_frame), source.device)
    images = drawn.frames.color, drawn.frames.depth_on_color
    painted = paint(dense, measured, images, rotation, translation, source.cameras.color)
    color = fill(painted.color.permute(2, 0, 1)[None], painted.known[None, None])[0].permute(1, 2, 0)
    return View(
        color.clamp(0.0, 255.0).round().to(torch.uint8).cpu().numpy(),
        drawn.depth.cpu().numpy(),
        painted.known.cpu().numpy(),
    )


def render(source: Source, space: ObservedSpace, T_map_view: Array) -> View:
    """The view of a camera at T_map_view (4x4), from the best frames; black and without depth if there are none."""
    camera = source.cameras.depth
    selection = select(source, T_map_view, camera)
    if len(selection.frames) == 0:
        shape = (camera.height, camera.width)
        return View(np.zeros((*shape, 3), np.uint8), np.zeros(shape, np.float32), np.zeros(shape, np.bool_))
    return color_view(source, draw_view(source, space, T_map_view, selection))


def _placed(T: Array, device: torch.device) -> tuple[Tensor, Tensor]:
    placed = torch.as_tensor(T, dtype=torch.float32, device=device)
    return placed[:, :3, :3], placed[:, :3, 3]


def _in_sight(depth: Tensor, space: ObservedSpace, T_map_view: Array, source: Source) -> Tensor:
    """Whether all of the way to each point was seen to be free and crosses no surface, bool `[H, W]`.

    Otherwise something may stand there that no frame saw, as the side of a cupboard that was only seen from the front,
    or that the frames of this view did not see, as a wall that was only seen from its other side.
    """
    camera, device = source.cameras.depth, depth.device
    u = (torch.arange(camera.width, device=device) - camera.cx) / camera.fx
    v = ((torch.arange(camera.height, device=device) - camera.cy) / camera.fy).unsqueeze(1)
    rays = torch.stack([u.expand(depth.shape), v.expand(depth.shape), torch.ones_like(depth)], dim=-1).reshape(-1, 3)
    rays = rays @ torch.as_tensor(T_map_view[:3, :3], dtype=torch.float32, device=device).T
    end = (depth - _END_CUBES * space.cube_m - depth_noise(depth)).flatten()
    step, farthest = _STEP_CUBES * space.cube_m, float(end.max())
    looks = torch.arange(_BEGIN_M, max(farthest, _BEGIN_M) + step, step, device=device)
    look, ray = (looks.unsqueeze(1) < end).nonzero().unbind(dim=1)
    state = space.at(looks[look].unsqueeze(1) * rays[ray], T_map_view[:3, 3])
    not_free, solid = (torch.bincount(ray[chosen], minlength=len(rays)) for chosen in (state != FREE, state == SOLID))
    return ((not_free <= _UNSEEN) & (solid == 0)).reshape(depth.shape)
