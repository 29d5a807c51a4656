# SPDX-License-Identifier: Apache-2.0
"""The map's points drawn into depth images, from many poses."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.geometry.projection import project_pinhole
from mvloc_ros.geometry.voxels import voxel_keys
from mvloc_ros.localization.scene_map import SceneMap

Array = NDArray[np.float64]

# Points are thinned to cubes of so many resolutions of the map.
_COARSE = 2.0
_SPLATS = (1, 2, 4, 8)


def surfaces_around(
    scene_map: SceneMap, positions: Array, far_m: float
) -> Iterator[tuple[NDArray[np.intp], Array, Array, float]]:
    """For the positions `[N, 3]` of each tile: their indices, what lies within `far_m` of the tile, and its size.

    That is points `[M, 3]` and normals `[M, 3]`, map frame, thinned to cubes of the size, metres. One tile at a time,
    so that little is in memory at once.
    """
    tiles = np.array([scene_map.tile_at(position) for position in positions]).reshape(-1, 3)
    size_m = _COARSE * scene_map.resolution_m
    for tile in np.unique(tiles, axis=0):
        near = scene_map.tiles_near((int(tile[0]), int(tile[1]), int(tile[2])), far_m)
        content = scene_map.content(near)
        origin = np.asarray(tile) * scene_map.tile_m
        _, chosen = np.unique(voxel_keys(content.points - origin, size_m), return_index=True)
        mine = np.flatnonzero(np.all(tiles == tile, axis=1))
        yield mine, content.points[chosen], content.normals[chosen], size_m


def nearest_depth(points: Array, camera: PinholeCamera, size_m: float) -> NDArray[np.float32]:
    """Depth of the nearest point of each pixel, infinite where there is none.

    Args:
        points: `[N, 3]` before the camera, in its frame.
        camera: of the image.
        size_m: a point covers a square of this size.
    """
    pixels = np.maximum(camera.fx, camera.fy) * size_m / points[:, 2]
    result = np.full((camera.height, camera.width), np.inf, np.float32)
    for splat, smaller in zip(_SPLATS, (0, *_SPLATS), strict=False):
        least, most = smaller, np.inf if splat == _SPLATS[-1] else splat
        band = points[(pixels > least) & (pixels <= most)]
        image = project_pinhole(band, camera, float(splat))
        result = np.minimum(result, np.where(image > 0.0, image, np.inf))
    return result
