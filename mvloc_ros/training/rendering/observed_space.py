# SPDX-License-Identifier: Apache-2.0
"""What a sequence saw of the space: cubes that a ray of some frame passed through, and cubes in which one ended."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mvloc_ros.geometry.depth_noise import depth_noise
from mvloc_ros.training.rendering.source import Source

Array = NDArray[np.float64]

CUBE_M = 0.1
# More cubes than this are too much memory (a byte each): then they are larger.
_MOST_CUBES = 1 << 26
# Rays of a frame: columns; neighboring frames fill what lies between. Looks along a ray: their distance, in cubes.
_COLUMNS, _LOOK_CUBES = 40, 0.7
# The end of a ray, in which the surface may lie: this and three standard deviations.
_MARGIN_M, _SIGMAS = 0.1, 3.0
_FRAMES_AT_ONCE = 32
# Space this near to a recorded camera is free, since the camera was there, with what carried it.
_AROUND_CAMERA_M = 0.25


# What a sequence knows of a cube: nothing, that rays ended in it and none passed through it, or that one did.
UNKNOWN, SOLID, FREE = 0, 1, 2


@dataclass(frozen=True, eq=False)
class ObservedSpace:
    """A grid of cubes.

    Attributes:
        state: uint8 `[X * Y * Z]`, on the device: `UNKNOWN`, `SOLID` or `FREE`.
        shape: X, Y, Z.
        origin: lower corner, map frame, meters.
        cube_m: edge of a cube.
    """

    state: Tensor
    shape: tuple[int, int, int]
    origin: Array
    cube_m: float

    def at(self, points: Tensor, offset: Array) -> Tensor:
        """The states of the cubes of points `[..., 3]`, relative to `offset` in the map frame; `UNKNOWN` outside."""
        start = torch.as_tensor(offset - self.origin, dtype=torch.float32, device=points.device)
        cell = ((points + start) / self.cube_m).floor().long()
        limits = torch.tensor(self.shape, device=points.device)
        inside = ((cell >= 0) & (cell < limits)).all(dim=-1)
        found = self.state[self.number(torch.where(inside.unsqueeze(-1), cell, torch.zeros_like(cell)))]
        return torch.where(inside, found, torch.full_like(found, UNKNOWN))

    def number(self, cell: Tensor) -> Tensor:
        """Numbers of cubes by their places `[..., 3]` in the grid."""
        return (cell[..., 0] * self.shape[1] + cell[..., 1]) * self.shape[2] + cell[..., 2]


def observe(source: Source) -> ObservedSpace:
    """The free space of a sequence, from all of its frames."""
    low, high = _bounds(source)
    cube = CUBE_M
    while np.prod(np.ceil((high - low) / cube) + 2.0) > _MOST_CUBES:
        cube *= 1.25
    nx, ny, nz = (int(n) for n in np.ceil((high - low) / cube) + 2.0)
    state = torch.full((nx * ny * nz,), UNKNOWN, dtype=torch.uint8, device=source.device)
    space = ObservedSpace(state, (nx, ny, nz), low - cube, cube)
    for first in range(0, len(source.members), _FRAMES_AT_ONCE):
        _mark(space, source, np.arange(first, min(first + _FRAMES_AT_ONCE, len(source.members))))
    return space


def _bounds(source: Source) -> tuple[Array, Array]:
    """The box around cameras and coarse points, and what is between the points."""
    poses, points = source.poses, source.points.astype(np.float64)
    placed = np.einsum("nij,npj->npi", poses[:, :3, :3], points) + poses[:, None, :3, 3]
    places = np.concatenate([placed.reshape(-1, 3), poses[:, :3, 3]])
    places = places[np.isfinite(places).all(axis=1)]
    return places.min(axis=0) - 1.0, places.max(axis=0) + 1.0


def _mark(space: ObservedSpace, source: Source, chosen: NDArray[np.int64]) -> None:
    """Mark what some frames saw."""
    camera, frames = source.cameras.depth, source.pick(chosen)
    stride = max(1, camera.width // _COLUMNS)
    z = frames.depth[:, ::stride, ::stride]
    device = z.device
    u = (torch.arange(0, camera.width, stride, device=device) - camera.cx) / camera.fx
    v = ((torch.arange(0, camera.height, stride, device=device) - camera.cy) / camera.fy).unsqueeze(1)
    shape = z.shape[1:]
    rays = torch.stack([u.expand(shape), v.expand(shape), torch.ones_like(z[0])], dim=-1)
    center = source.poses[chosen, :3, 3].mean(axis=0)
    rotation = torch.as_tensor(source.poses[chosen, :3, :3], dtype=torch.float32, device=device)
    position = torch.as_tensor(source.poses[chosen, :3, 3] - center - (space.origin - center), dtype=torch.float32)
    turned = torch.einsum("kij,hwj->khwi", rotation, rays)
    measured = z > 0.0
    end = z - _MARGIN_M - _SIGMAS * depth_noise(z)
    turned, end = turned[measured], end[measured]
    start = position.to(device)[:, None, None].expand(*z.shape, 3)[measured]
    farthest = float(end.max()) if len(end) else 0.0
    step = _LOOK_CUBES * space.cube_m
    limits = torch.tensor(space.shape, device=device)
    cell = ((start + z[measured].unsqueeze(1) * turned) / space.cube_m).floor().long()
    ends = space.number(cell[((cell >= 0) & (cell < limits)).all(dim=-1)])
    space.state[ends] = torch.where(space.state[ends] == FREE, space.state[ends], torch.full_like(ends, SOLID).byte())
    for k in range(int(farthest / step) + 1):
        going = end >= k * step
        if not bool(going.any()):
            break
        turned, end, start = turned[going], end[going], start[going]
        cell = ((start + (k * step) * turned) / space.cube_m).floor().long()
        inside = ((cell >= 0) & (cell < limits)).all(dim=-1)
        space.state[space.number(cell[inside])] = FREE
    near = torch.linspace(-_AROUND_CAMERA_M, _AROUND_CAMERA_M, 6, device=device)
    around = torch.cartesian_prod(near, near, near)
    cell = ((position.to(device)[:, None] + around) / space.cube_m).floor().long().clamp(min=0)
    space.state[space.number(torch.minimum(cell, limits - 1))] = FREE
