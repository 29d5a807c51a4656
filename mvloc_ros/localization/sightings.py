# SPDX-License-Identifier: Apache-2.0
"""The pose that a frame's features tell, also those beyond the range of the depth sensor.

A depth sensor measures a few metres, a colour camera sees to the end of a hall. A keyframe's features have places in
the map; where a frame's feature has only a direction, that is compared with the direction to the place. Three
directions give a pose, and the pose with the largest consensus wins (perspective-n-point with RANSAC: Fischler and
Bolles, 1981; Ke and Roumeliotis, CVPR 2017, as in OpenCV). Measured ones give one as in `local_features`; that of both
with the larger consensus counts.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry import se3
from mvloc_ros.geometry.projection import transform_points
from mvloc_ros.localization.local_features import ImageFeatures, LocalFeatures, Matches, agree, alike, pose_of

Array = NDArray[np.float64]

# Across a ray: the error of the place in the map, and that of the pixel as a share of the depth (3 pixels of 320).
_ACROSS_M, _ACROSS_SHARE = 0.02, 0.0108
# What lies nearer to the camera than this, or behind it, agrees with nothing.
_NEAREST_M = 0.1
# Where 3 of 10 are right, 9 of 10 such searches find them.
_DRAWS = 300
_LEAST_DRAWN = 6
LEAST = 8
"""Features that a pose must bring together to be more than chance."""
# Half of what still agrees counts as one standard deviation.
_SIGMAS = 2.0
# Information of what no feature tells: 10 m and 10 rad, so that there is an inverse.
_LEAST_INFORMATION = 1e-2


@dataclass(frozen=True, eq=False)
class Sightings:
    """Features of a frame that look like places of the map.

    Attributes:
        rays: `[N, 3]` in the colour camera's frame, to where their depth is 1.
        depth: `[N]` metres along the optical axis; NaN where none was measured.
        mapped: `[N, 3]` the places, map frame.
        T_camera_color: 4x4, into the frame of the camera that the model gives the pose of.
    """

    rays: Array
    depth: Array
    mapped: Array
    T_camera_color: Array

    def __len__(self) -> int:
        return len(self.rays)

    @staticmethod
    def of(seen: ImageFeatures, known: LocalFeatures, T_map_camera: Array) -> Sightings:
        """What of a frame looks like what of a keyframe at a pose (4x4), each feature of the frame at most once."""
        mine, theirs = alike(seen.descriptors, known.descriptors)
        mapped = transform_points(T_map_camera, known.points[theirs])
        return Sightings(seen.rays[mine], seen.depth[mine], mapped, seen.T_camera_color)

    def agree(self, T_map_camera: Array) -> NDArray[np.bool_]:
        """`[N]`: which ones a pose (4x4) brings together; measured ones in depth, too."""
        T_map_color = T_map_camera @ self.T_camera_color
        seen = transform_points(se3.inverse(T_map_color), self.mapped)
        across = np.linalg.norm(seen[:, :2] - self.rays[:, :2] * seen[:, 2:], axis=1)
        result = (seen[:, 2] > _NEAREST_M) & (across < _across_m(seen[:, 2]))
        measured = np.isfinite(self.depth)
        points = self.rays[measured] * self.depth[measured, None]
        result[measured] = agree(points, self.mapped[measured], T_map_color)
        return np.asarray(result)

    def consensus(self, T_map_camera: Array) -> int:
        """How many a pose (4x4) brings together."""
        return int(np.count_nonzero(self.agree(T_map_camera)))

    def pose(self) -> Array | None:
        """T_map_camera (4x4) with the largest consensus; None where there is none. The draws are always the same."""
        T_color_camera = se3.inverse(self.T_camera_color)
        found = [T @ T_color_camera for T in (self._by_points(), self._by_directions()) if T is not None]
        return max(found, key=self.consensus, default=None)

    def information(self, T_map_camera: Array, origin: Array) -> Array:
        """What the ones that agree with a pose (4x4) tell of it, 6x6, as if their errors were independent.

        ROS order, map axes, rotations about `origin` `[3]` in the map; zeros where fewer than `LEAST` agree, which may
        do so by chance.
        """
        chosen = self.agree(T_map_camera)
        if np.count_nonzero(chosen) < LEAST:
            return np.zeros((6, 6))
        T_map_color = T_map_camera @ self.T_camera_color
        places, depth = self.mapped[chosen], self.depth[chosen]
        x, y, z = transform_points(se3.inverse(T_map_color), places).T
        nothing, one = np.zeros_like(z), np.ones_like(z)
        # Across the ray, in both directions; along it where the depth was measured.
        ways = np.stack([[one, nothing, -x / z], [nothing, one, -y / z], [nothing, nothing, np.isfinite(depth) * one]])
        ways = np.einsum("kin,ij->nkj", ways * (_SIGMAS / _across_m(z)), T_map_color[:3, :3].T)
        # A rotation about the origin moves the place, seen from the camera, by (place - origin) x rotation.
        jacobian = np.concatenate([-ways, np.cross(ways, (places - origin)[:, None, :])], axis=2)
        return np.asarray(np.einsum("nki,nkj->ij", jacobian, jacobian))

    def covariance(self, T_map_camera: Array) -> Array:
        """Of a pose (4x4) by the ones that agree with it, 6x6, likewise."""
        information = self.information(T_map_camera, T_map_camera[:3, 3])
        return np.asarray(np.linalg.inv(information + _LEAST_INFORMATION * np.eye(6)))

    def _by_points(self) -> Array | None:
        """T_map_color by the measured ones."""
        measured = np.isfinite(self.depth)
        return pose_of(Matches(self.rays[measured] * self.depth[measured, None], self.mapped[measured]))

    def _by_directions(self) -> Array | None:
        """T_map_color by all."""
        if len(self) < _LEAST_DRAWN:
            return None
        middle = self.mapped.mean(axis=0)  # OpenCV computes in single precision
        found, turned, shift, inlier = cv2.solvePnPRansac(
            self.mapped - middle,
            np.ascontiguousarray(self.rays[:, :2]),
            np.eye(3),
            None,
            iterationsCount=_DRAWS,
            reprojectionError=_ACROSS_SHARE,
            flags=cv2.SOLVEPNP_AP3P,
        )
        if not found or inlier is None or len(inlier) < _LEAST_DRAWN:
            return None
        T_color_map = np.eye(4)
        T_color_map[:3, :3], T_color_map[:3, 3] = cv2.Rodrigues(turned)[0], shift.ravel()
        T_map_color = se3.inverse(T_color_map)
        T_map_color[:3, 3] += middle
        return T_map_color


def _across_m(depth: Array | float) -> Array:
    return np.asarray(_ACROSS_M + _ACROSS_SHARE * np.asarray(depth))
