# SPDX-License-Identifier: Apache-2.0
"""The points of one frame's depth image at the frame's pose, and how far each is from the scene map."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry.projection import transform_points
from mvloc_ros.localization.estimate import PoseEstimate
from mvloc_ros.localization.localizer import Localizer
from mvloc_ros.localization.sensor_rig import SensorRig
from mvloc_ros.localization.surface_distance import surface_distances
from mvloc_ros.model.frame import DepthImage

Array = NDArray[np.float64]

_COLUMNS = 72
MOST_POINTS = 10_000
"""No scan has more points: about 72 of a row are taken, 54 rows of a 4:3 image."""


@dataclass(frozen=True, eq=False)
class Scan:
    """Thinned points of a depth image.

    Attributes:
        points: `[N, 3]` metres in the depth camera's frame.
        placed: `[N, 3]` metres in the map frame, at the frame's pose; None where the frame gave no pose.
        residuals: `[N]` metres from the map's surfaces (see `surface_distances`); NaN where the pose was not compared
            with the map; None where the model has none.
    """

    points: Array
    placed: Array | None
    residuals: Array | None


def scan_of(depth: DepthImage, estimate: PoseEstimate | None, localizer: Localizer) -> Scan:
    """The scan of a frame at the pose that was estimated, accepted or not.

    Args:
        depth: the image as it came.
        estimate: None where the frame gave no pose.
        localizer: of the model that made the estimate; only read.
    """
    points = thinned_points(depth, localizer.rig)
    scene_map = localizer.scene_map
    if estimate is None:
        return Scan(points, None, None if scene_map is None else np.full(len(points), np.nan))
    placed = transform_points(estimate.pose.T @ localizer.rig.T_camera_depth, points)
    if scene_map is None:
        return Scan(points, placed, None)
    if estimate.details is None:
        return Scan(points, placed, np.full(len(points), np.nan))
    return Scan(points, placed, surface_distances(placed, estimate.details.target, scene_map.resolution_m))


def thinned_points(depth: DepthImage, rig: SensorRig) -> Array:
    """Points `[N, 3]` in the depth camera's frame, at most `MOST_POINTS`, evenly over the image."""
    points = rig.depth.points(depth, _COLUMNS)
    return points[:: -(-len(points) // MOST_POINTS)] if len(points) else points
