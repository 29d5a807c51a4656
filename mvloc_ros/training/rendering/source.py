# SPDX-License-Identifier: Apache-2.0
"""What views are rendered from: the training frames of one sequence, so that lights and furniture are not mixed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mvloc_ros.training.datasets import COLOR, DEPTH, PosedFrames, as_tensor
from mvloc_ros.training.views.reprojection import RgbdCameras, is_measured
from mvloc_ros.training.views.warping import on_color_pixels

Array = NDArray[np.float64]

# A frame that measured less shows too little to be worth a place among the few that make a view.
LEAST_MEASURED = 0.1
# Points of a frame that stand for all that it sees: columns and rows.
COARSE = (8, 6)
_FRAMES_AT_ONCE = 64


@dataclass(frozen=True, eq=False)
class Frames:
    """K frames that make a view together, on the device: color uint8 `[K, H, W, 3]`, depths float32 `[K, H, W]` meters.

    `depth_on_color` is depth at the pixels of the color camera, the same as `depth` where it is registered. Poses are
    T_map_camera `[K, 4, 4]`, float64.
    """

    color: Tensor
    depth: Tensor
    depth_on_color: Tensor
    poses: Array


@dataclass(frozen=True, eq=False)
class Source:
    """All frames of one sequence with color and depth.

    Attributes:
        name: of the sequence.
        frames: the training frames of all sequences.
        members: which of them are of this one, int64 `[N]`.
        poses: T_map_camera `[N, 4, 4]`.
        points: coarse points of every frame in its camera, float32 `[N, P, 3]`, NaN where nothing was measured.
        cameras: intrinsics at the size of the frames.
        device: where to compute.
    """

    name: str
    frames: PosedFrames
    members: NDArray[np.int64]
    poses: Array
    points: NDArray[np.float32]
    cameras: RgbdCameras
    device: torch.device

    def pick(self, chosen: NDArray[np.int64]) -> Frames:
        """Some of the frames, by their number in this sequence."""
        which = self.members[chosen]
        color, depth = self.frames.color[which], self.frames.depth[which]
        placed = torch.from_numpy(np.ascontiguousarray(depth)).to(self.device)
        placed = torch.where(is_measured(placed), placed, torch.zeros_like(placed))
        return Frames(
            torch.from_numpy(np.ascontiguousarray(color)).to(self.device),
            placed,
            on_color_pixels(placed, self.cameras),
            self.poses[chosen],
        )


def sources_of(frames: PosedFrames, cameras: RgbdCameras, device: torch.device) -> list[Source]:
    """One source for each sequence that has frames with color and depth."""
    complete = (frames.present[:, COLOR] > 0.0) & (frames.present[:, DEPTH] > 0.0)
    complete &= measured_shares(frames) >= LEAST_MEASURED
    names = np.array(frames.sequences)
    found = []
    for name in sorted(set(frames.sequences)):
        members = np.flatnonzero(complete & (names == name))
        if len(members):
            points = _coarse_points(frames, members, cameras)
            found.append(Source(name, frames, members, frames.poses[members], points, cameras, device))
    return found


def measured_shares(frames: PosedFrames) -> Array:
    """Share of the depth pixels of every frame `[N]` that were measured."""
    depth = as_tensor(frames.depth)
    parts = [is_measured(part).flatten(1).float().mean(dim=1) for part in depth.split(_FRAMES_AT_ONCE)]
    return np.asarray(torch.cat(parts).numpy(), dtype=np.float64)


def _coarse_points(frames: PosedFrames, members: NDArray[np.int64], cameras: RgbdCameras) -> NDArray[np.float32]:
    camera = cameras.depth
    columns, rows = ((np.arange(n) + 0.5) / n for n in COARSE)
    u, v = np.meshgrid(np.floor(columns * camera.width), np.floor(rows * camera.height))
    pixels = (v * camera.width + u).astype(np.int64).ravel()
    rays = np.stack([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, np.ones_like(u)], axis=-1)
    depth = frames.depth.reshape(len(frames.depth), -1)[np.ix_(members, pixels)]
    depth = np.where(np.isfinite(depth) & (depth > 0.0), depth, np.nan)
    return np.asarray(depth[..., None] * rays.reshape(-1, 3), dtype=np.float32)
