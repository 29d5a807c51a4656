# SPDX-License-Identifier: Apache-2.0
"""A room whose surfaces are laid point by point, so that a test knows where each of them is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.geometry.trajectory import Trajectory, write_tum
from mvloc_ros.localization.depth_points import CORRECTION_SHAPE
from mvloc_ros.localization.scene_map import MapPoints, SceneMap
from mvloc_ros.model.bundle import Bundle, read_bundle
from mvloc_ros.model.bundle_writer import add_scene_map, write_bundle
from mvloc_ros.model.manifest import FrameSpec
from mvloc_ros.model.map_spec import SceneMapSpec

STEP = 0.04


def rectangle(corner: Any, along: Any, across: Any, normal: Any) -> np.ndarray:
    """Points and normals `[N, 6]`, one in the middle of each square of 4 cm."""
    corner, along, across = (np.asarray(value, float) for value in (corner, along, across))
    s, t = ((np.arange(n := round(np.linalg.norm(side) / STEP)) + 0.5) / n for side in (along, across))
    points = (corner + s[:, None, None] * along + t[None, :, None] * across).reshape(-1, 3)
    return np.hstack([points, np.tile(np.asarray(normal, float), (len(points), 1))])


def room_map() -> SceneMap:
    """Floor, walls and a low box: 4 x 3 m."""
    rows = np.vstack([
        rectangle((-2, -1.5, 0), (4, 0, 0), (0, 3, 0), (0, 0, 1)),
        rectangle((-2, -1.52, 0), (4, 0, 0), (0, 0, 2), (0, 1, 0)),
        rectangle((-2, 1.52, 0), (4, 0, 0), (0, 0, 2), (0, -1, 0)),
        rectangle((-2.02, -1.5, 0), (0, 3, 0), (0, 0, 2), (1, 0, 0)),
        rectangle((2.02, -1.5, 0), (0, 3, 0), (0, 0, 2), (-1, 0, 0)),
        rectangle((1.2, -1.0, 0.5), (0.6, 0, 0), (0, 0.6, 0), (0, 0, 1)),
        rectangle((1.2, -1.0, 0), (0, 0.6, 0), (0, 0, 0.5), (-1, 0, 0)),
    ])  # fmt: skip
    content = MapPoints(rows[:, :3], rows[:, 3:], np.full(len(rows), 100, np.uint8))
    return SceneMap.from_points(content, np.zeros(CORRECTION_SHAPE, np.float32), 4.0, STEP)


def laid_bundle(tiny: Path, root: Path, poses: np.ndarray, camera: PinholeCamera, scene_map: SceneMap) -> Bundle:
    """A bundle `root/room` with the tiny network, a map, and T_map_camera `[N, 4, 4]` as training poses."""
    write_tum(root / "poses.tum", Trajectory(1_000_000_000 * np.arange(1, len(poses) + 1), poses))
    found = read_bundle(tiny)
    manifest = replace(found.manifest, frames=FrameSpec("map", "color"), color_camera=camera, depth_camera=camera)
    files = {"model.onnx": found.model_path, "training_poses.tum": root / "poses.tum"}
    plain = write_bundle(root / "room", manifest, files)
    identity = tuple(np.eye(4).reshape(16))
    resolution_m, tile_m = scene_map.resolution_m, scene_map.tile_m
    spec = SceneMapSpec("", "", resolution_m, tile_m, len(scene_map), 0.2, 6.0, identity, 4.0, None)
    return add_scene_map(plain, scene_map.to_bytes(), spec)
