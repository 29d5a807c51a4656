# SPDX-License-Identifier: Apache-2.0
"""The part of the scene map around the camera, ready to be searched."""

from __future__ import annotations

from collections import Counter, OrderedDict

import numpy as np
import small_gicp
from numpy.typing import NDArray

from mvloc_ros.geometry.voxels import sum_by_key, voxel_keys
from mvloc_ros.limits import MOST_COORDINATE_M
from mvloc_ros.localization.scene_map import MapPoints, SceneMap

Array = NDArray[np.float64]

COARSE_FACTOR = 2.5
"""Edge of the coarse cloud's cubes, in resolutions of the map."""
_FINE_NEIGHBOURS, _COARSE_NEIGHBOURS = 20, 15
# Fewer points than this are no surface that a camera could be registered to.
_MIN_POINTS = 100
# About 250 bytes each.
_MOST_POINTS = 2_000_000


class LocalMap:
    """Clouds, trees and normals of a region; what they cost is paid once, when the camera comes there.

    Attributes:
        points, normals, brightness: of the fine cloud, as in `MapPoints`.
        fine, fine_tree, coarse, coarse_tree: small_gicp's, with covariances.
        coarse_points, coarse_normals: `[M, 3]` of the coarse cloud.
    """

    def __init__(self, content: MapPoints, resolution_m: float, threads: int) -> None:
        """Build trees and covariances."""
        self.points, self.normals, self.brightness = content.points, content.normals, content.brightness
        self.fine = small_gicp.PointCloud(self.points)
        self.fine_tree = small_gicp.KdTree(self.fine, num_threads=threads)
        small_gicp.estimate_covariances(self.fine, self.fine_tree, _FINE_NEIGHBOURS, threads)
        origin = self.points.min(axis=0)
        keys = voxel_keys(self.points - origin, COARSE_FACTOR * resolution_m)
        _, sums = sum_by_key(keys, np.hstack([self.points - origin, self.normals, np.ones((len(keys), 1))]))
        self.coarse_points = sums[:, :3] / sums[:, 6:] + origin
        # Where surfaces of opposite sides share a cube their normals cancel, and the point faces nowhere.
        self.coarse_normals = sums[:, 3:6] / sums[:, 6:]
        self.coarse = small_gicp.PointCloud(self.coarse_points)
        self.coarse_tree = small_gicp.KdTree(self.coarse, num_threads=threads)
        small_gicp.estimate_covariances(self.coarse, self.coarse_tree, _COARSE_NEIGHBOURS, threads)


class LocalMaps:
    """The local maps of where the camera was lately.

    Places from which the same tiles are in reach share one: a room has one, wherever its tiles' borders lie. Retrieved
    starts jump between places, so more are kept than `keep` while all have few points together.
    """

    def __init__(self, scene_map: SceneMap, reach_m: float, threads: int, keep: int = 8) -> None:
        """Take a map; `reach_m` is how far from the camera points are needed."""
        self._map, self._reach_m, self._threads, self._keep = scene_map, reach_m, threads, keep
        self._ready: OrderedDict[tuple[int, ...], LocalMap | None] = OrderedDict()
        self._in_reach: dict[tuple[int, int, int], tuple[int, ...]] = {}

    def prepare(self, positions: Array) -> None:
        """Build what is needed at positions `[N, 3]`, as far as it is kept; the places with most of them first."""
        visits = Counter(self._tiles_at(position) for position in positions)
        for tiles, _ in reversed(visits.most_common(self._keep)):
            self._of(tiles)

    def at(self, position: Array) -> LocalMap | None:
        """The surroundings of a position `[3]`; None where the map has nothing there."""
        # NaN compares false, and the index of a tile must be a number of 64 bits.
        return self._of(self._tiles_at(position)) if np.all(np.abs(position) <= MOST_COORDINATE_M) else None

    def _tiles_at(self, position: Array) -> tuple[int, ...]:
        tile = self._map.tile_at(position)
        if tile not in self._in_reach:
            self._in_reach[tile] = self._map.tiles_near(tile, self._reach_m)
        return self._in_reach[tile]

    def _of(self, tiles: tuple[int, ...]) -> LocalMap | None:
        if tiles not in self._ready:
            content = self._map.content(tiles)
            usable = len(content.points) >= _MIN_POINTS
            self._ready[tiles] = LocalMap(content, self._map.resolution_m, self._threads) if usable else None
        self._ready.move_to_end(tiles)
        while len(self._ready) > self._keep and self._points() > _MOST_POINTS:
            self._ready.popitem(last=False)
        return self._ready[tiles]

    def _points(self) -> int:
        return sum(len(local.points) for local in self._ready.values() if local is not None)
