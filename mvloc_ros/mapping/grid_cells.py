# SPDX-License-Identifier: Apache-2.0
"""A scene map -> occupied, free and unknown cells of the map frame's x-y plane.

Occupied: surfaces in the robot's range of heights, without groups that are too small to be one.
Free: not occupied, the ground was seen there, and the training cameras saw through the space above it, from the lower
end of the range upwards without a gap; so far a table is not taken for free whose top no camera saw. A gap in the seen
ground is free where the whole range was seen through. Unknown: all else, also where a surface lies below the floor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum

import cv2
import numpy as np
from numpy.typing import NDArray

from mvloc_ros.limits import MOST_GRID_CELLS
from mvloc_ros.localization.scene_map import MapPoints, SceneMap
from mvloc_ros.mapping.errors import MappingError
from mvloc_ros.mapping.grid_floor import Floor
from mvloc_ros.mapping.grid_views import DepthView, Views, depth_views

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

# A group of touching cells with less surface than that is a speck.
SPECK_M2 = 0.005
# Gaps of the seen ground that are bridged where the space above was seen through.
GROUND_GAP_M = 0.3
_SLAB_M, _MOST_SLABS = 0.1, 16
_GROUND_COSINE = 0.8


class Cell(IntEnum):
    """What is known of a cell."""

    UNKNOWN = 0
    FREE = 1
    OCCUPIED = 2


@dataclass(frozen=True)
class GridOptions:
    """How a grid is made.

    Attributes:
        resolution_m: edge of a cell.
        low_m, high_m: the robot's range of heights above the floor: lower things do not stop it, higher ones are
            above it.
        clear_m: how far the space above seen ground must have been seen through for a free cell, from `low_m` up; at
            most the whole range.
    """

    resolution_m: float = 0.05
    low_m: float = 0.1
    high_m: float = 1.5
    clear_m: float = 0.6

    def __post_init__(self) -> None:
        if not 0.0 < self.resolution_m <= 1.0:
            raise MappingError(f"The resolution must be above 0 and at most 1 m, not {self.resolution_m:g} m.")
        if not 0.0 < self.low_m < self.high_m <= 100.0:
            raise MappingError(
                f"The heights must begin above the floor and before they end, not {self.low_m:g} to {self.high_m:g} m: "
                "the unit is the metre."
            )
        if not 0.0 <= self.clear_m <= 100.0:
            raise MappingError(f"The height to be seen through must be from 0 to 100 m, not {self.clear_m:g} m.")


@dataclass(frozen=True, eq=False)
class Frame2D:
    """Where cells lie: column and row of the map frame's x and y.

    Attributes:
        first: index of the lowest column and row; a cell begins at index * resolution, so that the map frame's axes
            are edges of cells.
        shape: rows, columns.
    """

    first: tuple[int, int]
    shape: tuple[int, int]
    resolution_m: float

    @property
    def origin(self) -> tuple[float, float]:
        """x, y in metres of the lower-left corner of the first cell."""
        return self.first[0] * self.resolution_m, self.first[1] * self.resolution_m

    def flat(self, points: Array) -> NDArray[np.int64]:
        """Index of the cell of each point, row after row from the lowest; all must lie inside."""
        index = np.floor(points[:, :2] / self.resolution_m).astype(np.int64) - self.first
        return np.asarray(index[:, 1] * self.shape[1] + index[:, 0])

    def centres(self, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> tuple[Array, Array]:
        """Coordinates x and y of cells' centres, in metres."""
        x, y = columns + (self.first[0] + 0.5), rows + (self.first[1] + 0.5)
        return np.asarray(x * self.resolution_m), np.asarray(y * self.resolution_m)


@dataclass(frozen=True, eq=False)
class Grid:
    """The cells, uint8 `[rows, columns]` of `Cell`; the first row is the lowest y.

    Attributes:
        specks: cells that were taken out as too small to be an object.
        drops: cells that are unknown because a surface lies below the floor there.
        views: how many training poses were looked from; None where the bundle has none.
    """

    cells: NDArray[np.uint8]
    frame: Frame2D
    specks: int
    drops: int
    views: int | None

    def share(self, kind: Cell) -> float:
        """Which share of the cells is of a kind."""
        return float(np.mean(self.cells == kind))


@dataclass(frozen=True, eq=False)
class _Surfaces:
    """What the map shows in each cell: points in the robot's heights, ground, and surfaces below the floor."""

    obstacle: NDArray[np.int64]
    ground: Mask
    below: Mask


def make_grid(
    scene_map: SceneMap,
    floor: Floor,
    options: GridOptions,
    views: Views | None,
    progress: Callable[[Iterable[DepthView], int], Iterable[DepthView]] = lambda each, _: each,
) -> Grid:
    """Classify the cells.

    Args:
        scene_map: the map.
        floor: where its floor is.
        options: of the grid.
        views: of the training; None: nothing is free but ground that was seen.
        progress: wraps the views, of which there are so many.

    Raises:
        MappingError: no surface lies in the range of heights, or the grid would be too large.
    """
    if options.resolution_m < scene_map.resolution_m:
        raise MappingError(
            f"Cells of {options.resolution_m:g} m would have holes: the map has one point every "
            f"{scene_map.resolution_m:g} m; give a --resolution of at least that."
        )
    places = np.zeros((0, 2)) if views is None else views.poses[:, :2, 3]
    frame = _extent(scene_map, floor, options, places)
    surfaces = _surfaces(scene_map, floor, options, frame)
    occupied, specks = _occupied(surfaces.obstacle, scene_map.resolution_m)
    closed = _bridged(surfaces.ground, options.resolution_m)
    can_be_free = closed & ~surfaces.below & (surfaces.obstacle == 0)
    drops = closed & surfaces.below & ~occupied
    if views is None:
        free, count = can_be_free & surfaces.ground, None
    else:
        views = views.different()
        count = len(views.poses)
        each = progress(depth_views(scene_map, views), count)
        clear = _clear_height(each, views.far_m, can_be_free, frame, floor, options)
        whole = options.high_m - options.low_m
        needed = np.where(surfaces.ground, min(options.clear_m, whole), whole)
        free = can_be_free & (clear >= needed - 1e-6)
    cells = np.where(occupied, Cell.OCCUPIED, np.where(free, Cell.FREE, Cell.UNKNOWN)).astype(np.uint8)
    cells, frame = _cropped(cells, frame, places)
    return Grid(cells, frame, specks, int(np.count_nonzero(drops)), count)


def _parts(scene_map: SceneMap, floor: Floor, options: GridOptions) -> Iterable[tuple[MapPoints, Array]]:
    """The points of tile after tile with their heights above the floor; those above the robot are left out."""
    for tile in range(len(scene_map.tiles)):
        content = scene_map.content([tile])
        heights = floor.heights(content.points)
        kept = heights <= options.high_m
        if kept.any():
            part = MapPoints(content.points[kept], content.normals[kept], content.brightness[kept])
            yield part, heights[kept]


def _extent(scene_map: SceneMap, floor: Floor, options: GridOptions, places: Array) -> Frame2D:
    """The cells around places `[N, 2]` and all points that are not above the robot.

    Raises:
        MappingError: none is in the range of heights, or the cells are too many.
    """
    low, high, count = places.min(axis=0, initial=np.inf), places.max(axis=0, initial=-np.inf), 0
    for part, heights in _parts(scene_map, floor, options):
        low, high = np.minimum(low, part.points[:, :2].min(axis=0)), np.maximum(high, part.points[:, :2].max(axis=0))
        count += int(np.count_nonzero(heights >= options.low_m))
    if not count:
        raise MappingError(
            f"The map has no surface from {options.low_m:g} to {options.high_m:g} m above the floor at z = "
            f"{floor.height_m:.2f} m; check --height and --floor."
        )
    first = np.floor(low / options.resolution_m).astype(np.int64) - 1
    size = np.floor(high / options.resolution_m).astype(np.int64) + 2 - first
    if float(size[0]) * float(size[1]) > MOST_GRID_CELLS:
        raise MappingError(
            f"The grid would have {size[0]} x {size[1]} cells, more than {MOST_GRID_CELLS}; choose a larger "
            "--resolution."
        )
    return Frame2D((int(first[0]), int(first[1])), (int(size[1]), int(size[0])), options.resolution_m)


def _surfaces(scene_map: SceneMap, floor: Floor, options: GridOptions, frame: Frame2D) -> _Surfaces:
    count = frame.shape[0] * frame.shape[1]
    obstacle, ground, below = np.zeros(count, np.int64), np.zeros(count, bool), np.zeros(count, bool)
    for part, heights in _parts(scene_map, floor, options):
        cell, up = frame.flat(part.points), part.normals[:, 2] >= _GROUND_COSINE
        np.add.at(obstacle, cell[heights >= options.low_m], 1)
        ground[cell[up & (np.abs(heights) < options.low_m)]] = True
        below[cell[heights <= -options.low_m]] = True
    return _Surfaces(obstacle.reshape(frame.shape), ground.reshape(frame.shape), below.reshape(frame.shape))


def _occupied(points: NDArray[np.int64], resolution_m: float) -> tuple[Mask, int]:
    """Cells with surfaces, without specks, and how many cells of specks there were."""
    count, label = cv2.connectedComponents((points > 0).astype(np.uint8), connectivity=8)
    labels = label.astype(np.intp, copy=False)
    area = np.bincount(labels.reshape(-1), weights=points.reshape(-1), minlength=count) * resolution_m**2
    occupied = (points > 0) & (area >= SPECK_M2)[labels]
    return occupied, int(np.count_nonzero(points)) - int(np.count_nonzero(occupied))


def _bridged(ground: Mask, resolution_m: float) -> Mask:
    """The ground with its gaps (morphological closing)."""
    edge = 2 * max(1, round(0.5 * GROUND_GAP_M / resolution_m)) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (edge, edge))
    around = np.pad(ground.astype(np.uint8), edge)
    closed = cv2.morphologyEx(around, cv2.MORPH_CLOSE, kernel)[edge:-edge, edge:-edge]
    return np.asarray(closed > 0) | ground


def _clear_height(
    views: Iterable[DepthView], far_m: float, wanted: Mask, frame: Frame2D, floor: Floor, options: GridOptions
) -> Array:
    """How far each wanted cell was seen through, from the lower end of the range up without a gap, in metres."""
    count = int(np.clip(np.ceil((options.high_m - options.low_m) / _SLAB_M - 1e-6), 1, _MOST_SLABS))
    slab_m = (options.high_m - options.low_m) / count
    unseen = np.repeat(wanted[..., None], count, axis=2)
    for view in views:
        low, high = view.bounds(far_m)
        rows, columns = (_reached(low[axis], high[axis], frame, axis) for axis in (1, 0))
        inside = unseen[rows, columns]
        row, column, slab = np.nonzero(inside)
        x, y = frame.centres(row + rows.start, column + columns.start)
        height = options.low_m + (slab + 0.5) * slab_m
        seen = view.sees_through(np.column_stack([x, y, floor.z_at(x, y) + height]), frame.resolution_m)
        inside[row[seen], column[seen], slab[seen]] = False
    closed = np.concatenate([unseen, np.ones((*frame.shape, 1), bool)], axis=2)
    return np.asarray(np.where(wanted, np.argmax(closed, axis=2) * slab_m, 0.0))


def _reached(low_m: float, high_m: float, frame: Frame2D, axis: int) -> slice:
    """The columns (axis 0) or rows (axis 1) between two coordinates."""
    first, last = (
        int(np.clip(np.floor(value / frame.resolution_m) + more - frame.first[axis], 0, frame.shape[1 - axis]))
        for value, more in ((low_m, 0), (high_m, 1))
    )
    return slice(first, last)


def _cropped(cells: NDArray[np.uint8], frame: Frame2D, places: Array) -> tuple[NDArray[np.uint8], Frame2D]:
    """Without outer rows and columns of which nothing is known and in which no place `[N, 2]` lies, but for one."""
    known = cells != Cell.UNKNOWN
    if not known.any():
        raise MappingError("Nothing is left of the grid but specks; choose another --height.")
    known.reshape(-1)[frame.flat(places)] = True
    rows, columns = (np.flatnonzero(known.any(axis=axis)) for axis in (1, 0))
    bottom, left = max(0, int(rows[0]) - 1), max(0, int(columns[0]) - 1)
    kept = cells[bottom : int(rows[-1]) + 2, left : int(columns[-1]) + 2]
    first = frame.first[0] + left, frame.first[1] + bottom
    return np.ascontiguousarray(kept), Frame2D(first, (kept.shape[0], kept.shape[1]), frame.resolution_m)
