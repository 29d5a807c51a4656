# SPDX-License-Identifier: Apache-2.0
"""What a scene map takes: points, file and memory, in all and per square metre of ground."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mvloc_ros.limits import MOST_LOADED_POINTS
from mvloc_ros.localization.local_map import BYTES_PER_POINT, STORED_BYTES_PER_POINT, thinning
from mvloc_ros.localization.scene_map import SceneMap, read_scene_map
from mvloc_ros.model.bundle import Bundle

GROUND_CELL_M = 0.25
"""Edge of the cells, in x and y of the map frame, that are counted as ground where the map has a point."""


@dataclass(frozen=True)
class MapSize:
    """The size of one map.

    Attributes:
        points: how many it has.
        file_bytes: of its file in the bundle.
        ground_m2: area of the ground cells with map points.
        loaded_bytes: what a node that has loaded it needs for it, estimated.
        every: each how many-th point is then ready to be searched; None: all points of a part of the map.
        most_points: that are ready to be searched.
    """

    points: int
    file_bytes: int
    ground_m2: float
    loaded_bytes: int
    every: int | None
    most_points: int = MOST_LOADED_POINTS

    @staticmethod
    def of(scene_map: SceneMap, file_bytes: int, most_points: int = MOST_LOADED_POINTS) -> MapSize:
        """Measure a map; `file_bytes` is what its file has."""
        every = thinning(scene_map, most_points)
        searched = most_points if every is None else len(scene_map) // every
        loaded = searched * BYTES_PER_POINT + (len(scene_map) - searched) * STORED_BYTES_PER_POINT
        return MapSize(len(scene_map), file_bytes, _ground_m2(scene_map), loaded, every, most_points)

    def __str__(self) -> str:
        per_m2 = f"{self.points / self.ground_m2:.0f} points and {1e-3 * self.file_bytes / self.ground_m2:.1f} kB"
        text = (
            f"{self.points} points, {1e-6 * self.file_bytes:.1f} MB, {self.ground_m2:.0f} m2 of ground ("
            f"{GROUND_CELL_M:g} m cells in x and y with map points): {per_m2} per m2; the node needs about "
            f"{1e-6 * self.loaded_bytes:.0f} MB of memory for it"
        )
        if self.every == 1:
            return text
        if self.every is not None:
            return f"{text}, of which it uses each {self.every}. point; a larger --resolution gives fewer points"
        return (
            f"{text} and searches at most {self.most_points} points at a time, those around the camera: entering "
            "another part takes longer than a frame's budget; a larger --resolution gives fewer points"
        )


def size_of_map(bundle: Bundle) -> MapSize:
    """The size of a bundle's map; raises SceneMapError where it cannot be used."""
    scene_map = read_scene_map(bundle)
    spec = bundle.manifest.scene_map
    assert spec is not None
    return MapSize.of(scene_map, (bundle.path / spec.file).stat().st_size)


def _ground_m2(scene_map: SceneMap) -> float:
    cells: set[tuple[int, ...]] = set()
    for tile, begin, end in zip(scene_map.tiles, scene_map.first[:-1], scene_map.first[1:], strict=True):
        inside = scene_map.offset[begin:end, :2].astype(np.float64) / (1 << 16)
        # Cells of tiles one above the other are the same ones.
        index = np.floor((tile[:2] + inside) * scene_map.tile_m / GROUND_CELL_M).astype(np.int64)
        cells.update(map(tuple, np.unique(index, axis=0).tolist()))
    return len(cells) * GROUND_CELL_M**2
