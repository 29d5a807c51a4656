# SPDX-License-Identifier: Apache-2.0
"""A camera that moves in a plane, as one on a wheeled robot does: it turns about one axis and keeps its height.

Then three numbers tell its pose, and all of a building can be searched for them. Whether it moves so is seen in the
training poses: neither the map's z axis nor the camera's mounting is assumed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# How far the training poses may be from the plane (95 of 100 of them).
_MOST_HEIGHT_M, _MOST_TILT_RAD = 0.1, np.radians(3.0)
_SHARE = 95.0
# With fewer poses, or headings that differ by less, the axis is not known.
_LEAST_POSES, _MOST_SECOND = 20, 0.97


@dataclass(frozen=True, eq=False)
class PlanarMotion:
    """The plane, and how the camera is mounted.

    The level frame has its z axis along the axis that the camera turns about, upwards where the camera is upright, and
    its x axis along the projection of the optical axis; its origin is the camera's.

    Attributes:
        R_map_plane: 3x3, from axes of which z is the normal of the plane into the map's.
        R_level_camera: 3x3, from the camera's axes into the level frame's.
        height_m: of the camera along the normal.
    """

    R_map_plane: Array
    R_level_camera: Array
    height_m: float

    @staticmethod
    def of(poses: Array) -> PlanarMotion | None:
        """What the training poses `[N, 4, 4]` show; None if the camera moves otherwise, or too little to tell."""
        if len(poses) < _LEAST_POSES:
            return None
        # The axis has constant coordinates v in the camera and n in the map: R v = n for every pose, so the mean of R
        # has the singular value 1 there, and smaller ones where headings differ.
        left, values, right = np.linalg.svd(poses[:, :3, :3].mean(axis=0))
        if values[1] > _MOST_SECOND:
            return None
        n, v = left[:, 0], right[0]
        if v[1] > 0.0:  # the optical frame's y axis points down
            n, v = -n, -v
        tilt = np.arccos(np.clip(poses[:, :3, :3] @ v @ n, -1.0, 1.0))
        heights = poses[:, :3, 3] @ n
        height_m = float(np.median(heights))
        if np.percentile(tilt, _SHARE) > _MOST_TILT_RAD:
            return None
        if np.percentile(np.abs(heights - height_m), _SHARE) > _MOST_HEIGHT_M:
            return None
        forward = np.array([0.0, 0.0, 1.0]) - v[2] * v
        if np.linalg.norm(forward) < 0.5:  # it looks along the axis, so that it has no heading
            return None
        forward /= np.linalg.norm(forward)
        return PlanarMotion(_axes(n), np.stack([forward, np.cross(v, forward), v]), height_m)

    def in_plane(self, points: Array) -> Array:
        """Points `[N, 3]` of the map in the axes of the plane, heights above the camera's."""
        return np.asarray(points @ self.R_map_plane - np.array([0.0, 0.0, self.height_m]))

    def pose(self, x: float, y: float, heading: float) -> Array:
        """T_map_camera (4x4) of a camera at a place of the plane (meters) that looks in a direction (radians)."""
        c, s = np.cos(heading), np.sin(heading)
        R_plane_level = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
        R = self.R_map_plane @ R_plane_level @ self.R_level_camera
        T = np.eye(4)
        T[:3, :3], T[:3, 3] = R, self.R_map_plane @ np.array([x, y, self.height_m])
        return T

    def place(self, T_map_camera: Array) -> tuple[float, float, float]:
        """The inverse of `pose`, of the nearest pose in the plane."""
        x, y, _ = self.R_map_plane.T @ T_map_camera[:3, 3]
        ahead = self.R_map_plane.T @ T_map_camera[:3, :3] @ self.R_level_camera[0]
        return float(x), float(y), float(np.arctan2(ahead[1], ahead[0]))


def _axes(n: Array) -> Array:
    """3x3 of orthogonal axes, the third along the unit vector `n`."""
    across = np.eye(3)[int(np.argmin(np.abs(n)))]
    x = across - (across @ n) * n
    x /= np.linalg.norm(x)
    return np.stack([x, np.cross(n, x), n], axis=1)
