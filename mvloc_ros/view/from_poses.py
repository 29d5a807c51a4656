# SPDX-License-Identifier: Apache-2.0
"""What the camera would see of the map from poses along the training path."""

from __future__ import annotations

import cv2
import matplotlib
import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry import se3
from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.geometry.projection import transform_points, visible_points
from mvloc_ros.view.scene import HEIGHT, Scene

Array = NDArray[np.float64]

EMPTY = (96, 48, 24)
"""Blue, green, red of pixels in which no point of the map is: a color that neither scale has."""
UNKNOWN = (160, 80, 160)
"""Of points without brightness."""
FAR_M = 20.0
_WIDEST, _MOST_POINTS = 640, 2_000_000
# A point covers a little more than its share of the surface, so that rounding leaves no holes.
_OVERLAP = 1.5


def poses_to_show(scene: Scene, count: int) -> NDArray[np.intp]:
    """Indices of `count` training poses that are evenly spread over the length of the path; fewer where there are."""
    if not len(scene.poses):
        return np.zeros(0, np.intp)
    path = scene.path_m
    wanted = (np.arange(count) + 0.5) / max(count, 1) * path[-1]
    return np.unique(np.searchsorted(path, wanted).clip(0, len(path) - 1)).astype(np.intp)


def picture_camera(camera: PinholeCamera) -> PinholeCamera:
    """The camera with the size of the pictures: its own, at most 640 pixels wide and high."""
    scale = min(1.0, _WIDEST / max(camera.width, camera.height))
    return camera.scaled_to(max(1, round(camera.width * scale)), max(1, round(camera.height * scale)))


def draw_from(scene: Scene, pose: Array, color: str) -> NDArray[np.uint8]:
    """The picture, BGR `[H, W, 3]` of `picture_camera`, from T_map_camera; points beyond `FAR_M` are left out.

    By height the colors are viridis from the lowest to the highest percentile of the whole map, darker where a surface
    is seen at a grazing angle.
    """
    found, camera = scene.scene_map, picture_camera(scene.camera)
    near = found.tiles_near(found.tile_at(pose[:3, 3]), FAR_M)
    count = int(np.diff(found.first)[list(near)].sum()) if near else 0
    every = max(1, -(-count // _MOST_POINTS))
    content = found.content(near, every)
    seen = transform_points(se3.inverse(pose), content.points)
    index = visible_points(seen, camera, _OVERLAP * found.resolution_m * float(np.sqrt(every)))
    image = np.empty((*index.shape, 3), np.uint8)
    image[:] = EMPTY
    known = index >= 0
    chosen = index[known]
    if color == HEIGHT:
        facing = np.abs(np.einsum("ni,ni->n", content.normals[chosen] @ pose[:3, :3], _directions(seen[chosen])))
        colors = _by_height(scene, content.points[chosen]) * (0.45 + 0.55 * facing)[:, None]
        image[known] = np.rint(colors).astype(np.uint8)
    else:
        brightness = content.brightness[chosen]
        image[known] = np.where(brightness[:, None] > 0, brightness[:, None], np.array(UNKNOWN, np.uint8))
    return image


def png_of(image: NDArray[np.uint8]) -> bytes:
    """The picture's file."""
    done, content = cv2.imencode(".png", image)
    assert done
    return content.tobytes()


def height_range(scene: Scene) -> tuple[float, float]:
    """What the color scale of heights spans, in meters: the lowest and highest percentile of the map."""
    heights = scene.upright(scene.scene_map.thinned(100_000).points)[:, 2]
    low, high = (float(value) for value in np.percentile(heights, [1, 99]))
    return low, max(high, low + 0.1)


def _by_height(scene: Scene, points: Array) -> Array:
    """Blue, green, red `[N, 3]`, 0 to 255."""
    low, high = height_range(scene)
    share = np.clip((scene.upright(points)[:, 2] - low) / (high - low), 0.0, 1.0)
    return np.asarray(255.0 * matplotlib.colormaps["viridis"](share)[:, 2::-1])


def _directions(points: Array) -> Array:
    return np.asarray(points / np.linalg.norm(points, axis=1, keepdims=True))
