# SPDX-License-Identifier: Apache-2.0
"""A small furnished room of boxes along the map's axes, seen through the demo's ray caster."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import numpy as np

from mvloc_ros.demo.raycast import Raycaster
from mvloc_ros.demo.solids import Paint, Solid, Surface
from mvloc_ros.geometry.camera import PinholeCamera

Box = tuple[tuple[float, float, float], tuple[float, float, float]]
# (low corner, high corner) in metres: the room itself, seen from inside, and what stands in it.
ROOM: Box = ((-2.0, -1.5, 0.0), (2.0, 1.5, 2.4))
FURNITURE: tuple[Box, ...] = (
    ((1.2, -1.5, 0.0), (2.0, -0.9, 0.8)), ((0.6, 1.0, 0.0), (1.6, 1.5, 1.6)), ((1.5, 0.2, 0.5), (2.0, 0.7, 1.1)),
    ((-0.4, 1.1, 0.9), (0.2, 1.5, 1.2)), ((0.9, -0.3, 0.0), (1.3, 0.2, 0.45)), ((0.0, -1.5, 1.3), (0.9, -1.3, 1.8)),
)  # fmt: skip
_NOTHING_M = 1e4  # the ray caster's depth where no surface is: 1e6 m


@dataclass(frozen=True)
class Scene:
    """Boxes: the first is seen from inside (None: there is no room), the others from outside."""

    room: Box | None = ROOM
    boxes: tuple[Box, ...] = FURNITURE

    def depth(self, T: np.ndarray, camera: PinholeCamera) -> np.ndarray:
        """Optical depth in metres [H, W] float64 without noise, 0 where nothing is."""
        depth = _raycaster(self, camera).trace(T).depth.astype(np.float64)
        return np.where(depth < _NOTHING_M, depth, 0.0)

    def render(self, T: np.ndarray, camera: PinholeCamera) -> tuple[np.ndarray, np.ndarray]:
        """(depth as above, brightness uint8 [H, W]): every surface is tiled in six shades."""
        depth = self.depth(T, camera)
        v, u = np.mgrid[0 : camera.height, 0 : camera.width]
        rays = np.stack([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, np.ones(u.shape)], axis=-1)
        hit = T[:3, 3] + rays @ T[:3, :3].T * depth[..., None]
        tiles = np.floor(hit / 0.31 + 0.05).astype(int) @ np.array([7, 13, 29])
        return depth, (40 + 37 * np.mod(tiles, 6)).astype(np.uint8)


@functools.cache
def _raycaster(scene: Scene, camera: PinholeCamera) -> Raycaster:
    inner = [] if scene.room is None else [replace(face, right=-face.right) for face in _faces(scene.room)]
    return Raycaster([*inner, *(face for box in scene.boxes for face in _faces(box))], camera)


def _faces(box: Box) -> list[Surface]:
    low, high = np.array(box)
    return Solid((low + high) / 2, high - low, np.eye(3), Paint("")).surfaces()


def looking(x: float, y: float, z: float, yaw: float, pitch: float) -> np.ndarray:
    """T_map_camera at a place (m), looking along the map's x axis turned left by yaw and down by pitch (radians)."""
    c, s, cp, sp = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
    forward = np.array([c * cp, s * cp, -sp])
    right = np.array([s, -c, 0.0])
    T = np.eye(4)
    T[:3, :3] = np.stack([right, np.cross(forward, right), forward], axis=1)
    T[:3, 3] = x, y, z
    return T
