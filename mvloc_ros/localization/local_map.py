# SPDX-License-Identifier: Apache-2.0
"""The scene map ready to be searched: all of it, or, where it is too large for that, the parts around the camera.

What is searched is made of what the map stores, points and normals, without looking at neighbours: less than a
microsecond a point. A building of a thousand square metres is ready in a second, when the model is loaded, and nothing
is built when the camera enters another part of it, or when a start lies far away.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry.voxels import voxel_keys
from mvloc_ros.limits import MOST_COORDINATE_M, MOST_LOADED_POINTS
from mvloc_ros.localization.gicp import SearchedSurface
from mvloc_ros.localization.scene_map import SceneMap

Array = NDArray[np.float64]

COARSE_FACTOR = 2.5
"""Edge of the coarse cloud's cubes, in resolutions of the map."""
BYTES_PER_POINT = 140
"""Of a point in memory, in both clouds and the stored form: 101 (small_gicp's points and tree 32 each, position 24,
normal 12, brightness 1), as much for each fifth one, which is in the coarse cloud, 10 as stored, and what is lost
between them; 147 to 158 were measured of resident memory."""
# Fewer points than this are no surface that a camera could be registered to.
_MIN_POINTS = 100
# Points that are decoded and thinned at once: what that takes beside the result stays below 30 MB.
_BATCH = 1 << 17


class LocalMap:
    """A part of the map, or all of it, ready to be searched.

    Attributes:
        fine: its points.
        coarse: one point for each cube of `COARSE_FACTOR` resolutions.
        brightness: uint8 `[N]` of the fine points; 0: unknown.
    """

    def __init__(self, scene_map: SceneMap, tiles: Sequence[int], reach_m: float, threads: int) -> None:
        """Make ready the tiles with these indices; `reach_m` is how far from the camera points are needed."""
        self._map, self._reach_m, self._tiles = scene_map, reach_m, np.array(tiles, dtype=np.intp)
        count = int(_points_in(scene_map, tiles))
        points, normals = np.empty((count, 3)), np.empty((count, 3), np.float32)
        self.brightness = np.empty(count, np.uint8)
        thinned, done = [], 0
        for batch in _batches(scene_map, tiles):
            content = scene_map.content(batch)
            part = slice(done, done + len(content.points))
            points[part], normals[part], self.brightness[part] = content.points, content.normals, content.brightness
            done = part.stop
            thinned.append(_thinned(scene_map, batch, points[part], normals[part]))
        self.fine = SearchedSurface.of(points, normals, threads)
        self.coarse = SearchedSurface.of(
            np.concatenate([found[0] for found in thinned]),
            np.concatenate([found[1] for found in thinned]),
            threads,
        )
        self._first = np.concatenate([[0], np.cumsum(np.concatenate([found[2] for found in thinned]))])

    def coarse_near(self, position: Array) -> tuple[Array, NDArray[np.float32]]:
        """Points and normals `[M, 3]` of the coarse cloud in the tiles in reach of a camera's position `[3]`."""
        near = self._map.tiles_near(self._map.tile_at(position), self._reach_m)
        parts = [slice(self._first[i], self._first[i + 1]) for i in np.flatnonzero(np.isin(self._tiles, near))]
        points, normals = self.coarse.points, np.asarray(self.coarse.normals)
        if not parts:
            return points[:0], normals[:0]
        return np.concatenate([points[part] for part in parts]), np.concatenate([normals[part] for part in parts])


class LocalMaps:
    """What of the map is ready to be searched, at most a stated number of points.

    A map with at most so many points is one local map, from everywhere in it. Of a larger one there are the tiles in
    reach of where the camera was, or a start was, lately; places from which the same ones are in reach share them.

    Attributes:
        built: how many local maps were built so far.
    """

    def __init__(
        self, scene_map: SceneMap, reach_m: float, threads: int, most_points: int = MOST_LOADED_POINTS
    ) -> None:
        """Take a map; `reach_m` is how far from the camera points are needed."""
        self._map, self._reach_m, self._threads, self._most_points = scene_map, reach_m, threads, most_points
        self._all = tuple(range(len(scene_map.tiles))) if fits(scene_map, most_points) else None
        self._ready: OrderedDict[tuple[int, ...], LocalMap] = OrderedDict()
        self._of_tile: dict[tuple[int, int, int], tuple[int, ...]] = {}
        self.built = 0

    def prepare(self, positions: Array) -> None:
        """Build what is needed at positions `[N, 3]`, as far as it is kept; the places with most of them first."""
        visits = Counter(self._tiles_at(position) for position in positions)
        kept, points = [], 0
        for tiles, _ in visits.most_common():
            points += _points_in(self._map, tiles)
            if points > self._most_points:
                break
            kept.append(tiles)
        for tiles in reversed(kept):
            self._of(tiles)

    def at(self, position: Array) -> LocalMap | None:
        """The surroundings of a position `[3]`; None where the map has nothing there."""
        # NaN compares false, and the index of a tile must be a number of 64 bits.
        return self._of(self._tiles_at(position)) if np.all(np.abs(position) <= MOST_COORDINATE_M) else None

    def _tiles_at(self, position: Array) -> tuple[int, ...]:
        """Of which tiles the local map for a position is made; none where too little of the map is in reach."""
        tile = self._map.tile_at(position)
        if tile not in self._of_tile:
            near = self._map.tiles_near(tile, self._reach_m)
            usable = _points_in(self._map, near) >= _MIN_POINTS
            self._of_tile[tile] = () if not usable else near if self._all is None else self._all
        return self._of_tile[tile]

    def _of(self, tiles: tuple[int, ...]) -> LocalMap | None:
        if not tiles:
            return None
        if tiles not in self._ready:
            # What no longer fits goes first, so that both are never in memory together.
            left = self._most_points - _points_in(self._map, tiles)
            while self._ready and sum(len(local.fine) for local in self._ready.values()) > left:
                self._ready.popitem(last=False)
            self._ready[tiles] = LocalMap(self._map, tiles, self._reach_m, self._threads)
            self.built += 1
        self._ready.move_to_end(tiles)
        return self._ready[tiles]


def fits(scene_map: SceneMap, most_points: int = MOST_LOADED_POINTS) -> bool:
    """Whether all of a map is made ready at once."""
    return len(scene_map) <= most_points


def _points_in(scene_map: SceneMap, tiles: Sequence[int]) -> int:
    index = np.array(tiles, dtype=np.intp)
    return int(np.sum(scene_map.first[index + 1] - scene_map.first[index]))


def _batches(scene_map: SceneMap, tiles: Sequence[int]) -> Iterator[list[int]]:
    """The tiles in groups of about `_BATCH` points."""
    batch: list[int] = []
    count = 0
    for i in tiles:
        batch.append(i)
        count += int(scene_map.first[i + 1] - scene_map.first[i])
        if count >= _BATCH:
            yield batch
            batch, count = [], 0
    if batch:
        yield batch


def _thinned(
    scene_map: SceneMap, tiles: Sequence[int], points: Array, normals: NDArray[np.float32]
) -> tuple[Array, NDArray[np.float32], NDArray[np.intp]]:
    """The coarse points and normals `[M, 3]` of tiles, in their order, and how many there are of each."""
    counts = scene_map.first[np.array(tiles) + 1] - scene_map.first[np.array(tiles)]
    tile_of = np.repeat(np.arange(len(tiles)), counts)
    inside = points - scene_map.tiles[np.array(tiles)][tile_of] * scene_map.tile_m
    keys = voxel_keys(inside, COARSE_FACTOR * scene_map.resolution_m)
    order = np.lexsort((keys, tile_of))
    keys, tile_of = keys[order], tile_of[order]
    first = np.flatnonzero(np.concatenate([[True], (keys[1:] != keys[:-1]) | (tile_of[1:] != tile_of[:-1])]))
    rows = np.hstack([inside, normals, np.ones((len(keys), 1))])[order]
    sums = np.add.reduceat(rows, first, axis=0)
    tile_of = tile_of[first]
    found = sums[:, :3] / sums[:, 6:] + scene_map.tiles[np.array(tiles)][tile_of] * scene_map.tile_m
    # Where surfaces of opposite sides share a cube their normals cancel, and the point faces nowhere.
    mean = (sums[:, 3:6] / sums[:, 6:]).astype(np.float32)
    return found, mean, np.bincount(tile_of, minlength=len(tiles))
