# SPDX-License-Identifier: Apache-2.0
"""What the depth camera of a recording would have measured of an exact depth image: noise, holes and range.

- Noise along the axis: the standard deviation of `depth_noise`, rounded to millimeters.
- Holes: at random, with a chance for each kind of pixel: beside a step of the depth, or by the cosine of the angle
  between ray and normal of the surface. The chances are those of the recording: the share of such pixels that some of
  its frames did not measure, where a view rendered at their pose from other frames, too, has depth.
- Nothing outside of the range in which the recording has 99.8 % of its measurements.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.geometry.depth_noise import depth_noise
from mvloc_ros.training.datasets import PosedFrames, evenly_spaced
from mvloc_ros.training.rendering.surfaces import joined_pixels

FloatMap = NDArray[np.float32]

_STEP_M = 0.001
# Kinds of pixels: beside a step; then by the cosine, up to these and above; the last is where no normal is known.
_COSINES = (0.05, 0.1, 0.15, 0.2, 0.3)
KINDS = len(_COSINES) + 3
# A kind with fewer pixels has the chance of all pixels.
_LEAST_PIXELS = 300
_PERCENTILES = (0.1, 99.9)
_LOOKED_AT = 200


@dataclass(frozen=True)
class DepthSensor:
    """The depth camera of a recording: intrinsics, range in meters, and the chance of a hole for each kind of pixel."""

    camera: PinholeCamera
    near_m: float
    far_m: float
    chances: tuple[float, ...] = (0.0,) * KINDS

    def in_range(self, depth: FloatMap) -> FloatMap:
        """Depth `[H, W]` with 0 outside of the range."""
        return np.where((depth >= self.near_m) & (depth <= self.far_m), depth, np.float32(0.0))

    def measure(self, depth: FloatMap, random: np.random.Generator) -> FloatMap:
        """A measurement of exact depth `[H, W]` meters, in which 0 is unknown and stays so."""
        noise, chance = random.standard_normal(depth.shape), random.random(depth.shape)
        measured = depth + depth_noise(depth) * noise.astype(np.float32)
        measured = np.rint(measured / np.float32(_STEP_M)) * np.float32(_STEP_M)
        lost = chance < np.array(self.chances)[kinds_of(depth, self.camera)]
        return self.in_range(np.where((depth > 0.0) & ~lost, measured, np.float32(0.0)).astype(np.float32))

    def with_holes_of(self, pairs: Iterable[tuple[FloatMap, FloatMap]]) -> DepthSensor:
        """The same with the chances of holes of recorded depth; pairs of exact and recorded depth at one pose."""
        known, lost = np.zeros(KINDS), np.zeros(KINDS)
        for exact, recorded in pairs:
            seen = self.in_range(exact) > 0.0
            kinds = kinds_of(exact, self.camera)[seen]
            known += np.bincount(kinds, minlength=KINDS)
            lost += np.bincount(kinds, ~((recorded > 0.0) & np.isfinite(recorded))[seen], minlength=KINDS)
        overall = lost.sum() / max(1.0, known.sum())
        chances = np.where(known >= _LEAST_PIXELS, lost / np.maximum(known, 1.0), overall)
        return DepthSensor(self.camera, self.near_m, self.far_m, tuple(chances.tolist()))


def kinds_of(depth: FloatMap, camera: PinholeCamera) -> NDArray[np.int64]:
    """The kind of each pixel `[H, W]`, as numbered in `_COSINES`; unknown pixels have any."""
    known = depth > 0.0
    along, down = (links[0].numpy() for links in joined_pixels(torch.from_numpy(depth)[None]))
    edge, flat = np.zeros_like(known), known.copy()
    for links, first, second in (
        (along, (slice(None), slice(None, -1)), (slice(None), slice(1, None))),
        (down, (slice(None, -1), slice(None)), (slice(1, None), slice(None))),
    ):
        step = ~links & known[first] & known[second]
        edge[first] |= step
        edge[second] |= step
        flat[first] &= links
        flat[second] &= links
    flat[[0, -1]] = flat[:, [0, -1]] = False
    u, v = np.meshgrid(np.arange(camera.width) - camera.cx, np.arange(camera.height) - camera.cy)
    rays = np.stack([u / camera.fx, v / camera.fy, np.ones_like(u)], axis=-1)
    points = depth[..., None] * rays
    across, below = np.zeros_like(points), np.zeros_like(points)
    across[:, 1:-1], below[1:-1] = points[:, 2:] - points[:, :-2], points[2:] - points[:-2]
    normal = np.cross(across, below)
    length = np.linalg.norm(normal, axis=-1) * np.linalg.norm(rays, axis=-1)
    cosine = np.abs((normal * rays).sum(axis=-1)) / np.maximum(length, 1e-12)
    by_cosine = 1 + np.searchsorted(_COSINES, cosine)
    return np.asarray(np.where(edge, 0, np.where(flat, by_cosine, KINDS - 1)), dtype=np.int64)


def sensor_of(frames: PosedFrames, camera: PinholeCamera) -> DepthSensor:
    """The sensor of a recording without holes, its range from some of its frames; one of them has depth."""
    depth = frames.depth[evenly_spaced(len(frames), _LOOKED_AT)]
    near, far = np.percentile(depth[np.isfinite(depth) & (depth > 0.0)], _PERCENTILES)
    return DepthSensor(camera, float(near), float(far))
