# SPDX-License-Identifier: Apache-2.0
"""The tiny bundle with the scene map of one wall, and images that fit it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mvloc_ros.geometry import se3
from mvloc_ros.localization.depth_points import CORRECTION_SHAPE
from mvloc_ros.localization.scene_map import MapPoints, SceneMap
from mvloc_ros.model.bundle import read_bundle
from mvloc_ros.model.bundle_writer import add_scene_map
from mvloc_ros.model.calibration_spec import RefinedCalibration
from mvloc_ros.model.map_spec import AcceptanceSpec, SceneMapSpec

# Where the tiny network puts images of its mean color with depth of 1.5 m; a wall is that far ahead of it.
T_MAP_CAMERA = se3.from_parts([10.4, 23.0, 32.0], [0.0, 0.0, 0.0, 1.0])
WALL_Z = 33.5
# By which poses are accepted whose depth image fits.
SUPPORT = AcceptanceSpec(-5.0, {"support": 10.0}, {"support": 1.0}, 0.9, 0.005, {})


def with_wall(bundle: Path, acceptance: AcceptanceSpec | None = SUPPORT, spacing_m: float = 0.04) -> Path:
    """Put the map of one wall, a point each `spacing_m`, into a bundle."""
    across = np.arange(-1.5, 1.5, spacing_m)
    x, y = (axis.ravel() for axis in np.meshgrid(10.4 + across, 23.0 + across))
    points = np.stack([x, y, np.full(x.shape, WALL_Z)], axis=1)
    count = len(points)
    content = MapPoints(points, np.tile([0.0, 0.0, -1.0], (count, 1)), np.full(count, 51, np.uint8))
    scene_map = SceneMap.from_points(content, np.zeros(CORRECTION_SHAPE, np.float32), 4.0, 0.04)
    calibration = RefinedCalibration(1.0, 0.001, 0.001, {})
    identity = tuple(np.eye(4).ravel())
    spec = SceneMapSpec("", "", 0.04, 4.0, count, 0.3, 4.5, identity, 100.0, acceptance, calibration)
    return add_scene_map(read_bundle(bundle), scene_map.to_bytes(), spec).path


def textured() -> np.ndarray:
    """A colour image with the mean of the peer's, which shows something."""
    tiles = np.indices((48, 64)).sum(axis=0) // 8 % 2
    return np.repeat((1 + 100 * tiles).astype(np.uint8)[..., None], 3, axis=2)
