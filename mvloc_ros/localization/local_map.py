# SPDX-License-Identifier: Apache-2.0
"""The scene map ready to be searched: all of it, or, where it is too large for that, the parts around the camera.

What is searched is made of what the map stores, points and normals, without looking at neighbours: less than a
microsecond a point. A building of a thousand square metres is ready in a second, when the model is loaded, and nothing
is built when the camera enters another part of it, or when a start lies far away.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry.voxels import voxel_keys
from mvloc_ros.limits import MOST_COORDINATE_M, MOST_LOADED_POINTS
from mvloc_ros.localization.gicp import SearchedSurface, Surface
from mvloc_ros.localization.scene_map import SceneMap

Array = NDArray[np.float64]

COARSE_FACTOR = 2.5
"""Edge of the coarse cloud's cubes, in resolutions of the map."""
BYTES_PER_POINT = 140
"""Of a point in memory, in both clouds and the stored form: 101 (small_gicp's points and tree 32 each, position 24,
normal 12, brightness 1), as much for each fifth one, which is in the coarse cloud, 10 as stored, and what is lost
between them; 147 to 158 were measured of resident memory."""
STORED_BYTES_PER_POINT = 10
"""Of one that is not ready to be searched (`SceneMap`)."""
# Fewer points than this are no surface that a camera could be registered to.
_MIN_POINTS = 100
# Points that are decoded and thinned at once: what that takes beside the result stays below 30 MB.
_BATCH = 1 << 17
# A map that is too large is thinned to at most each fourth point: twice the distance between neighbours.
_MOST_THINNED = 4
# In place of the indices of all tiles, which there may be many of.
_ALL = (-1,)


class LocalMap:
    """A part of the map, or all of it, ready to be searched.

    Attributes:
        fine: its points.
        coarse: one point for each cube of `COARSE_FACTOR` resolutions; the normal is the mean of those in the cube.
        brightness: uint8 `[N]` of the fine points; 0: unknown.
    """

    def __init__(self, scene_map: SceneMap, tiles: Sequence[int], reach_m: float, threads: int, every: int = 1) -> None:
        """Make ready each `every`-th point of some tiles.

        Args:
            scene_map: the map.
            tiles: their indices, ascending.
            reach_m: how far from the camera points are needed.
            threads: for the trees.
            every: 1 takes all points.
        """
        self._map, self._reach_m = scene_map, reach_m
        count = int(_counts(scene_map, tiles, every).sum())
        points, normals = np.empty((count, 3)), np.empty((count, 3), np.float32)
        self.brightness = np.empty(count, np.uint8)
        thinned, done = [], 0
        for batch in _batches(scene_map, tiles, every):
            content, tile_of = scene_map.content(batch, every), np.repeat(batch, _counts(scene_map, batch, every))
            part = slice(done, done + len(tile_of))
            points[part], normals[part], self.brightness[part] = content.points, content.normals, content.brightness
            thinned.append(_thinned(scene_map, tile_of, points[part], normals[part]))
            done = part.stop
        coarse_points, coarse_normals, self._coarse_tile = (np.concatenate(c) for c in zip(*thinned, strict=True))
        self.coarse = SearchedSurface.of(coarse_points, coarse_normals, threads)
        # The mean of a cube's points lies in the cube, as do they: within its diagonal of each other.
        diagonal_m = float(np.sqrt(3.0)) * COARSE_FACTOR * scene_map.resolution_m
        self.fine = SearchedSurface.of(points, normals, threads, self.coarse, diagonal_m)

    def coarse_near(self, position: Array) -> Surface:
        """The coarse points in the tiles in reach of a camera's position `[3]`."""
        near = self._map.tiles_near(self._map.tile_at(position), self._reach_m)
        begins = np.searchsorted(self._coarse_tile, near)
        ends = np.searchsorted(self._coarse_tile, near, side="right")
        parts = [slice(begin, end) for begin, end in zip(begins, ends, strict=True)] or [slice(0)]
        points, normals = (
            np.concatenate([of[part] for part in parts]) for of in (self.coarse.points, self.coarse.normals)
        )
        return Surface(points, normals)


class LocalMaps:
    """What of the map is ready to be searched, at most a stated number of points.

    A map with at most four times as many is one local map, wherever the camera is, of each second, third or fourth
    point if need be. Of a larger one there are all points of the tiles in reach of where the camera, or a start, was
    lately; places from which the same tiles are in reach share them.

    Attributes:
        built: how many local maps were built so far.
    """

    def __init__(
        self, scene_map: SceneMap, reach_m: float, threads: int, most_points: int = MOST_LOADED_POINTS
    ) -> None:
        """Take a map; `reach_m` is how far from the camera points are needed."""
        self._map, self._reach_m, self._threads, self._most_points = scene_map, reach_m, threads, most_points
        self._every = thinning(scene_map, most_points)
        self._ready: OrderedDict[tuple[int, ...], LocalMap] = OrderedDict()
        self._of_tile: dict[tuple[int, int, int], tuple[int, ...]] = {}
        self.built = 0

    def prepare(self, positions: Array) -> None:
        """Build what is needed at positions `[N, 3]`, as far as it is kept; the places with most of them first."""
        visits = Counter(self._tiles_at(position) for position in positions)
        kept, points = [], 0
        for tiles, _ in visits.most_common():
            points += self._size(tiles)
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
            if _counts(self._map, near, 1).sum() < _MIN_POINTS:
                near = ()
            elif self._every is not None:
                near = _ALL
            self._of_tile[tile] = near
        return self._of_tile[tile]

    def _of(self, tiles: tuple[int, ...]) -> LocalMap | None:
        if not tiles:
            return None
        if tiles not in self._ready:
            # What no longer fits goes first, so that both are never in memory together.
            left = self._most_points - self._size(tiles)
            while self._ready and sum(len(local.fine) for local in self._ready.values()) > left:
                self._ready.popitem(last=False)
            chosen = self._listed(tiles)
            self._ready[tiles] = LocalMap(self._map, chosen, self._reach_m, self._threads, self._every or 1)
            self.built += 1
        self._ready.move_to_end(tiles)
        return self._ready[tiles]

    def _size(self, tiles: tuple[int, ...]) -> int:
        return int(_counts(self._map, self._listed(tiles), self._every or 1).sum())

    def _listed(self, tiles: tuple[int, ...]) -> Sequence[int]:
        return range(len(self._map.tiles)) if tiles == _ALL else tiles


def thinning(scene_map: SceneMap, most_points: int = MOST_LOADED_POINTS) -> int | None:
    """Each how many-th point of a map is made ready, so that all of it is at once; None where only parts of it are."""
    every = 1
    while _counts(scene_map, range(len(scene_map.tiles)), every).sum() > most_points:
        every += 1
        if every > _MOST_THINNED:
            return None
    return every


def _counts(scene_map: SceneMap, tiles: Sequence[int], every: int) -> NDArray[np.int64]:
    """How many points are taken of each tile."""
    index = np.array(tiles, dtype=np.intp)
    return -(-(scene_map.first[index + 1] - scene_map.first[index]) // every)


def _batches(scene_map: SceneMap, tiles: Sequence[int], every: int) -> Iterator[list[int]]:
    """The tiles in groups of about `_BATCH` points."""
    number = np.cumsum(_counts(scene_map, tiles, every)) // _BATCH
    for _, group in groupby(zip(number.tolist(), tiles, strict=True), key=itemgetter(0)):
        yield [tile for _, tile in group]


def _thinned(
    scene_map: SceneMap, tile_of: NDArray[np.intp], points: Array, normals: NDArray[np.float32]
) -> tuple[Array, NDArray[np.float32], NDArray[np.intp]]:
    """Coarse points and normals `[M, 3]` and the tile `[M]` of each, of points `[N, 3]` in the order of their tiles.

    Keys are of a tile, as those of the whole map might not fit into them.
    """
    origin = scene_map.tiles * scene_map.tile_m
    inside = points - origin[tile_of]
    keys = voxel_keys(inside, COARSE_FACTOR * scene_map.resolution_m)
    order = np.lexsort((keys, tile_of))
    keys, tile_of = keys[order], tile_of[order]
    first = np.flatnonzero((np.diff(keys, prepend=-1) != 0) | (np.diff(tile_of, prepend=-1) != 0))
    sums = np.add.reduceat(np.hstack([inside, normals, np.ones((len(keys), 1))])[order], first, axis=0)
    tile_of = tile_of[first]
    # Where surfaces of opposite sides share a cube their normals cancel, and the point faces nowhere.
    means = sums[:, :6] / sums[:, 6:]
    return means[:, :3] + origin[tile_of], means[:, 3:].astype(np.float32), tile_of
