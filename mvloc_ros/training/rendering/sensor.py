# SPDX-License-Identifier: Apache-2.0
"""What a depth camera would have measured of an exact depth image: noise, holes and range.

- Noise along the axis: the standard deviation of `depth_noise`, rounded to millimeters.
- No measurement: with a chance of 0.6 beside a step of the depth by more than 5 %; with a chance of 0.004 anywhere;
  with one that grows from 0 to 1 where the cosine between ray and normal of the surface falls from 0.2 to 0.1.
- None outside of the range in which the recording has 99.8 % of its measurements.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.geometry.depth_noise import depth_noise
from mvloc_ros.training.datasets import PosedFrames, evenly_spaced

FloatMap = NDArray[np.float32]

_STEP_M = 0.001
_EDGE, _EDGE_CHANCE, _CHANCE = 0.05, 0.6, 0.004
_GRAZING = 0.2
_PERCENTILES = (0.1, 99.9)
_LOOKED_AT = 200


@dataclass(frozen=True)
class DepthSensor:
    """The depth camera of a recording: its intrinsics, and the range of its measurements in meters."""

    camera: PinholeCamera
    near_m: float
    far_m: float

    def in_range(self, depth: FloatMap) -> FloatMap:
        """Depth `[H, W]` with 0 outside of the range."""
        return np.where((depth >= self.near_m) & (depth <= self.far_m), depth, np.float32(0.0))

    def measure(self, depth: FloatMap, random: np.random.Generator) -> FloatMap:
        """A measurement of exact depth `[H, W]` meters, in which 0 is unknown and stays so."""
        noise, chance = random.standard_normal(depth.shape), random.random(depth.shape)
        known = depth > 0.0
        measured = depth + depth_noise(depth) * noise.astype(np.float32)
        measured = np.rint(measured / np.float32(_STEP_M)) * np.float32(_STEP_M)
        lost = chance < np.maximum(self._grazing(depth), np.where(_edges(depth), _EDGE_CHANCE, _CHANCE))
        return self.in_range(np.where(known & ~lost, measured, np.float32(0.0)).astype(np.float32))

    def _grazing(self, depth: FloatMap) -> NDArray[np.float64]:
        """Chance of a hole by the angle of the surface, which two neighbors on either side give."""
        camera = self.camera
        u, v = np.meshgrid(np.arange(camera.width) - camera.cx, np.arange(camera.height) - camera.cy)
        rays = np.stack([u / camera.fx, v / camera.fy, np.ones_like(u)], axis=-1)
        points = depth[..., None] * rays
        across, down = np.zeros_like(points), np.zeros_like(points)
        across[:, 1:-1] = points[:, 2:] - points[:, :-2]
        down[1:-1] = points[2:] - points[:-2]
        known = np.zeros(depth.shape, dtype=bool)
        full = depth > 0.0
        known[1:-1, 1:-1] = full[1:-1, 2:] & full[1:-1, :-2] & full[2:, 1:-1] & full[:-2, 1:-1]
        normal = np.cross(across, down)
        length = np.linalg.norm(normal, axis=-1) * np.linalg.norm(rays, axis=-1)
        cosine = np.abs((normal * rays).sum(axis=-1)) / np.maximum(length, 1e-12)
        return np.where(known & ~_edges(depth), np.clip(2.0 - 2.0 * cosine / _GRAZING, 0.0, 1.0), 0.0)


def _edges(depth: FloatMap) -> NDArray[np.bool_]:
    """Pixels beside a step of the depth; unknown pixels are no step."""
    kernel = np.ones((3, 3), np.uint8)
    known = depth > 0.0
    near = cv2.erode(np.where(known, depth, np.float32(np.inf)), kernel)
    return np.asarray(known & (cv2.dilate(depth, kernel) - near > _EDGE * depth))


def sensor_of(frames: PosedFrames, camera: PinholeCamera) -> DepthSensor:
    """The sensor of a recording, its range from some of its frames; one of them has depth."""
    depth = frames.depth[evenly_spaced(len(frames), _LOOKED_AT)]
    near, far = np.percentile(depth[np.isfinite(depth) & (depth > 0.0)], _PERCENTILES)
    return DepthSensor(camera, float(near), float(far))
