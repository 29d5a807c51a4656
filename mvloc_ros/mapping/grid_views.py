# SPDX-License-Identifier: Apache-2.0
"""What the training cameras saw through, by the map's own surfaces: a bundle holds poses, but no depth images.

From each training pose the map's points are drawn into a small depth image. A box of space was seen through where a
surface that faces the camera, within the range of the measurements that the map was made of, lies behind it in that
image, and nothing of the map before it. The image is read with caution: every point covers at least its own
square, the nearest surface of a pixel and its neighbors counts, and surfaces seen from behind hide but show nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry import se3
from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.geometry.projection import image_points, transform_points
from mvloc_ros.localization.keyframes import read_keyframes
from mvloc_ros.localization.scene_map import SceneMap
from mvloc_ros.mapping.drawn_depth import nearest_depth, surfaces_around
from mvloc_ros.model.bundle import Bundle

Array = NDArray[np.float64]

_COLUMNS = 80
# A surface is measured where its normal is less than 78 degrees from the ray.
_FACING = 0.2
_NEAREST_M = 0.05
# Poses that share a cube and a direction see the same.
_SAME_PLACE_M, _SAME_DIRECTION = 0.2, 4.0


@dataclass(frozen=True, eq=False)
class Views:
    """Where the depth camera was.

    Attributes:
        poses: T_map_depth, `[N, 4, 4]`.
        camera: its intrinsics.
        near_m, far_m: range of the measurements that the map was made of.
    """

    poses: Array
    camera: PinholeCamera
    near_m: float
    far_m: float

    @staticmethod
    def of(bundle: Bundle) -> Views | None:
        """Those of a bundle with a map; None where it does not tell the training poses.

        Keyframes count as well: the map may be of more frames than the network was trained on.
        """
        spec, trajectory = bundle.manifest.scene_map, bundle.training_trajectory()
        if spec is None or trajectory is None or not len(trajectory):
            return None
        keyframes = read_keyframes(bundle)
        poses = trajectory.poses
        if keyframes is not None:
            poses = np.concatenate([poses, keyframes.poses()])
        if bundle.manifest.frames.pose_of == "color":
            poses = poses @ np.reshape(spec.T_color_depth, (4, 4))
        return Views(poses, bundle.manifest.depth_camera, spec.depth_min_m, spec.depth_max_m)

    def different(self) -> Views:
        """Without poses that are nearly the same as an earlier one."""
        place = np.floor(self.poses[:, :3, 3] / _SAME_PLACE_M)
        direction = np.rint(self.poses[:, :3, 2] * _SAME_DIRECTION)
        _, first = np.unique(np.hstack([place, direction]), axis=0, return_index=True)
        return Views(self.poses[np.sort(first)], self.camera, self.near_m, self.far_m)


@dataclass(frozen=True, eq=False)
class DepthView:
    """What one pose sees of the map.

    Attributes:
        T_depth_map: 4x4.
        camera: of the small image.
        limit: `[H, W]` depth in metres up to which a pixel shows empty space; 0 where nothing is known.
        front: `[H, W]` depth in metres of the nearest surface of a pixel, infinite where there is none.
    """

    T_depth_map: Array
    camera: PinholeCamera
    limit: NDArray[np.float32]
    front: NDArray[np.float32]

    def sees_through(self, points: Array, margin_m: float) -> NDArray[np.bool_]:
        """Which of some points `[N, 3]`, map frame, lie clearly before the surface of their pixel."""
        index, depth, row, column = self._in_image(points)
        result = np.zeros(len(points), dtype=bool)
        result[index] = depth + margin_m < self.limit[row, column]
        return result

    def shows(self, points: Array, margin_m: float) -> NDArray[np.bool_]:
        """Which of some points `[N, 3]`, map frame, are in the image and not behind the surface of their pixel."""
        index, depth, row, column = self._in_image(points)
        result = np.zeros(len(points), dtype=bool)
        result[index] = depth <= self.front[row, column] + margin_m
        return result

    def _in_image(self, points: Array) -> tuple[NDArray[np.intp], Array, NDArray[np.intp], NDArray[np.intp]]:
        """Of the points in the image: their indices, depths in metres, rows and columns."""
        seen = transform_points(self.T_depth_map, points)
        ahead = np.flatnonzero(seen[:, 2] > _NEAREST_M)
        u, v = image_points(seen[ahead], self.camera)
        inside = (u > -0.5) & (v > -0.5) & (u < self.camera.width - 0.5) & (v < self.camera.height - 0.5)
        ahead, column, row = ahead[inside], np.rint(u[inside]).astype(np.intp), np.rint(v[inside]).astype(np.intp)
        return ahead, seen[ahead, 2], row, column

    def bounds(self, far_m: float) -> tuple[Array, Array]:
        """Lowest and highest corner `[3]` of what is in view up to a depth, map frame."""
        camera = self.camera
        u, v = np.array([-0.5, camera.width - 0.5]), np.array([-0.5, camera.height - 0.5])
        x, y = np.meshgrid((u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy)
        corners = far_m * np.column_stack([x.ravel(), y.ravel(), np.ones(4)])
        placed = transform_points(se3.inverse(self.T_depth_map), np.vstack([corners, np.zeros(3)]))
        return placed.min(axis=0), placed.max(axis=0)


def depth_views(scene_map: SceneMap, views: Views) -> Iterator[DepthView]:
    """What each pose sees; poses of one tile follow each other, so that few tiles are in memory at once."""
    camera = _small(views.camera)
    for chosen, points, normals, size_m in surfaces_around(scene_map, views.poses[:, :3, 3], views.far_m):
        for pose in views.poses[chosen]:
            T_depth_map = se3.inverse(pose)
            yield DepthView(T_depth_map, camera, *_depths(points, normals, T_depth_map, camera, views, size_m))


def _small(camera: PinholeCamera) -> PinholeCamera:
    columns = min(_COLUMNS, camera.width)
    return camera.scaled_to(columns, max(1, round(camera.height * columns / camera.width)))


def _depths(
    points: Array, normals: Array, T_depth_map: Array, camera: PinholeCamera, views: Views, size_m: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """`DepthView.limit` and `DepthView.front`."""
    seen = transform_points(T_depth_map, points)
    wide, high = max(camera.cx, camera.width - camera.cx) + 8.0, max(camera.cy, camera.height - camera.cy) + 8.0
    x, y, z = seen.T
    near = (z > _NEAREST_M) & (z < views.far_m + size_m)
    near &= (np.abs(x) * camera.fx < wide * z) & (np.abs(y) * camera.fy < high * z)
    seen, z = seen[near], z[near]
    toward = -np.einsum("ni,ni->n", normals[near] @ T_depth_map[:3, :3].T, seen)
    shows = (toward > _FACING * np.linalg.norm(seen, axis=1)) & (z >= views.near_m) & (z <= views.far_m)
    front = nearest_depth(seen, camera, size_m)
    shown = nearest_depth(seen[shows], camera, size_m)
    known = np.isfinite(shown) & (shown <= front + 2.0 * size_m)
    return np.where(known, _least_around(front), 0.0).astype(np.float32), front


def _least_around(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """The least of each pixel and its eight neighbors."""
    wide = np.pad(image, 1, mode="edge")
    rows = np.minimum(np.minimum(wide[:-2], wide[1:-1]), wide[2:])
    return np.asarray(np.minimum(np.minimum(rows[:, :-2], rows[:, 1:-1]), rows[:, 2:]))
