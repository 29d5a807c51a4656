# SPDX-License-Identifier: Apache-2.0
"""Where the robot would be lost: positions and headings of the free space that no training view covers.

A view covers a position and a heading if it was taken within `REACH_M` and `REACH_DEG` of them and no surface at the
height of the cameras lies between. Both were measured on drives through two furnished buildings
(docs/learn_report.md): of single frames within them 57 % are accepted, of others 9 %.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.learn.report.place import Place
from mvloc_ros.localization.scene_map import SceneMap
from mvloc_ros.mapping.errors import MappingError
from mvloc_ros.mapping.grid_cells import Cell, Frame2D, Grid, GridOptions, make_grid
from mvloc_ros.mapping.grid_floor import Floor, find_floor
from mvloc_ros.mapping.grid_views import Views
from mvloc_ros.recordings.held_out_blocks import REACH_DEG, REACH_M

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

HEADINGS_DEG = tuple(30.0 * i for i in range(12))
"""Of the camera's optical axis, counterclockwise from the x axis of the pictures."""
_GRID_M, _CELL_M = 0.1, 0.2
# Surfaces that hide: at the median height of the cameras, so much above and below.
_BAND_M = 0.2
_PATH_M = 0.2
# A camera that looks up or down more steeply than 72 degrees has no heading.
_LEAST_LEVEL = 0.3


@dataclass(frozen=True, eq=False)
class ViewPoints:
    """Where training cameras stood and looked.

    Attributes:
        places: `[N, 2]` in metres.
        headings: `[N]` in radians.
        opaque: `[rows, columns]`: cells that hide.
        frame: of these cells.
    """

    places: Array
    headings: Array
    opaque: Mask
    frame: Frame2D

    @staticmethod
    def of(poses: Array, opaque: Mask, frame: Frame2D) -> ViewPoints:
        """Of poses T_map_camera `[N, 4, 4]`, without those that have no heading and those like an earlier one."""
        level = poses[np.hypot(poses[:, 0, 2], poses[:, 1, 2]) >= _LEAST_LEVEL]
        places, headings = level[:, :2, 3], np.arctan2(level[:, 1, 2], level[:, 0, 2])
        key = np.column_stack([np.rint(places / 0.02), np.rint(np.degrees(headings) / 2.0)])
        _, first = np.unique(key, axis=0, return_index=True)
        return ViewPoints(places[np.sort(first)], headings[np.sort(first)], opaque, frame)

    def cover(self, place: Array, heading: float) -> bool:
        """Whether a view covers a position `[2]` and a heading in radians."""
        turn = np.abs(np.angle(np.exp(1j * (self.headings - heading))))
        near = np.linalg.norm(self.places - place, axis=1) <= REACH_M
        chosen = self.places[near & (turn <= np.radians(REACH_DEG) + 1e-9)]
        return bool(len(chosen) and self.in_sight(np.broadcast_to(place, chosen.shape), chosen).any())

    def in_sight(self, starts: Array, ends: Array) -> Mask:
        """`[N]`: between which positions `[N, 2]` no cell hides; cells of the ends do not count."""
        step_m = 0.5 * self.frame.resolution_m
        steps = max(2, int(np.ceil(np.max(np.linalg.norm(ends - starts, axis=1), initial=0.0) / step_m)))
        share = (np.arange(1, steps) / steps)[None, :, None]
        between = starts[:, None] + share * (ends - starts)[:, None]
        index = _index(between, self.frame)
        inside = np.all((index >= 0) & (index < np.array(self.frame.shape)[::-1]), axis=-1)
        index = np.where(inside[..., None], index, 0)
        of_ends = np.all(index == _index(starts, self.frame)[:, None], axis=-1)
        of_ends |= np.all(index == _index(ends, self.frame)[:, None], axis=-1)
        return np.asarray(~np.any(self.opaque[index[..., 1], index[..., 0]] & inside & ~of_ends, axis=1))


@dataclass(frozen=True, eq=False)
class Coverage:
    """What of the free space is covered.

    Attributes:
        free: `[rows, columns]`: which cells are free space.
        covered: `[rows, columns, len(HEADINGS_DEG)]`; false where not free.
        frame: of the cells.
        views: what covers.
    """

    free: Mask
    covered: Mask
    frame: Frame2D
    views: ViewPoints

    @property
    def share(self) -> float:
        """Of all free positions times headings, those that are covered."""
        return float(self.covered[self.free].mean())

    @property
    def lost_positions(self) -> float:
        """The share of the free positions of which no heading is covered."""
        return float(np.mean(~self.covered[self.free].any(axis=1)))

    @property
    def area_m2(self) -> float:
        """Of the free space."""
        return float(np.count_nonzero(self.free)) * self.frame.resolution_m**2

    def of_heading(self) -> Array:
        """`[len(HEADINGS_DEG)]`: the covered share of the free positions."""
        return np.asarray(self.covered[self.free].mean(axis=0))

    def of_poses(self, poses: Array, by: Array | None = None) -> Mask:
        """`[N]`: which poses T_map_camera `[N, 4, 4]` are covered, wherever they are; by views `[M, 4, 4]` if given."""
        points = self.views if by is None else ViewPoints.of(by, self.views.opaque, self.views.frame)
        headings = np.arctan2(poses[:, 1, 2], poses[:, 0, 2])
        covered = [points.cover(pose[:2, 3], heading) for pose, heading in zip(poses, headings, strict=True)]
        return np.array(covered, dtype=bool)


def coverage_of(place: Place) -> Coverage:
    """Of the free space that the map tells, in the axes of the pictures.

    Raises:
        MappingError: there is no map, no training pose, no floor, or no free space.
    """
    if place.scene_map is None or place.views is None:
        raise MappingError(
            "The free space is not known: the bundle has no scene map, or does not tell its training poses."
        )
    scene_map = place.turned_map()
    assert scene_map is not None
    views = Views(place.turned_poses(place.views.poses), place.views.camera, place.views.near_m, place.views.far_m)
    floor = find_floor(scene_map, views.poses)
    options = GridOptions(resolution_m=max(_GRID_M, scene_map.resolution_m))
    grid = make_grid(scene_map, floor, options, views)
    height_m = float(np.median(floor.heights(views.poses[:, :3, 3])))
    opaque = _opaque(scene_map, floor, height_m, grid.frame)
    return covered(_with_path(grid, views.poses[:, :2, 3]), ViewPoints.of(views.poses, opaque, grid.frame))


def covered(grid: Grid, views: ViewPoints) -> Coverage:
    """What of the free cells of a grid is covered.

    Raises:
        MappingError: no cell is free.
    """
    free, frame = _coarser(grid)
    if not free.any():
        raise MappingError("No free space was found: the cameras did not see the floor; see `mvloc grid`.")
    result = np.zeros((*free.shape, len(HEADINGS_DEG)), dtype=bool)
    headings = np.radians(HEADINGS_DEG)
    reach = int(np.ceil(REACH_M / frame.resolution_m))
    for place, heading in zip(views.places, views.headings, strict=True):
        column, row = _index(place, frame)
        rows = slice(max(0, row - reach), max(0, row + reach + 1))
        columns = slice(max(0, column - reach), max(0, column + reach + 1))
        near_row, near_column = np.nonzero(free[rows, columns])
        near_row, near_column = near_row + rows.start, near_column + columns.start
        centres = np.column_stack(frame.centres(near_row, near_column))
        near = np.linalg.norm(centres - place, axis=1) <= REACH_M
        near[near] = views.in_sight(centres[near], np.broadcast_to(place, (int(near.sum()), 2)))
        turn = np.abs(np.angle(np.exp(1j * (headings - heading))))
        result[near_row[near], near_column[near]] |= turn <= np.radians(REACH_DEG) + 1e-9
    return Coverage(free, result, frame, views)


def _with_path(grid: Grid, places: Array) -> Grid:
    """With unknown cells free where a training camera was, within 0.2 m of places `[N, 2]`.

    No camera sees the floor below itself, so the path is often unknown; but something was there that carried it.
    """
    around = np.arange(-2, 3) * 0.5 * _PATH_M
    shifts = np.stack(np.meshgrid(around, around), axis=-1).reshape(-1, 2)
    shifts = shifts[np.linalg.norm(shifts, axis=1) <= _PATH_M]
    index = np.unique(_index((places[:, None] + shifts).reshape(-1, 2), grid.frame), axis=0)
    index = index[np.all((index >= 0) & (index < np.array(grid.frame.shape)[::-1]), axis=1)]
    cells = grid.cells.copy()
    column, row = index.T
    unknown = cells[row, column] == Cell.UNKNOWN
    cells[row[unknown], column[unknown]] = Cell.FREE
    return replace(grid, cells=cells)


def _index(places: Array, frame: Frame2D) -> NDArray[np.int64]:
    """Column and row `[..., 2]` of positions `[..., 2]`."""
    return np.asarray(np.floor(places / frame.resolution_m).astype(np.int64) - frame.first)


def _coarser(grid: Grid) -> tuple[Mask, Frame2D]:
    """Larger cells, of which those are free that are so for at least a half."""
    factor = max(1, round(_CELL_M / grid.frame.resolution_m))
    first = np.array(grid.frame.first)
    before = first % factor
    rows, columns = grid.frame.shape
    padding = ((before[1], -(before[1] + rows) % factor), (before[0], -(before[0] + columns) % factor))
    free = np.pad(grid.cells == Cell.FREE, padding)
    blocks = free.reshape(free.shape[0] // factor, factor, free.shape[1] // factor, factor)
    coarse = np.asarray(blocks.mean(axis=(1, 3)) >= 0.5)
    column, row = ((first - before) // factor).tolist()
    return coarse, Frame2D((column, row), (coarse.shape[0], coarse.shape[1]), factor * grid.frame.resolution_m)


def _opaque(scene_map: SceneMap, floor: Floor, height_m: float, frame: Frame2D) -> Mask:
    """Cells `[rows, columns]` of a frame with surfaces at a height above the floor."""
    result = np.zeros(frame.shape, dtype=bool)
    low_m = max(0.1, height_m - _BAND_M)
    try:
        options = GridOptions(frame.resolution_m, low_m, max(low_m, height_m) + _BAND_M)
        found = make_grid(scene_map, floor, options, None)
    except MappingError:  # no surface at that height
        return result
    row, column = np.nonzero(found.cells == Cell.OCCUPIED)
    row, column = row + found.frame.first[1] - frame.first[1], column + found.frame.first[0] - frame.first[0]
    inside = (row >= 0) & (column >= 0) & (row < frame.shape[0]) & (column < frame.shape[1])
    result[row[inside], column[inside]] = True
    return result
