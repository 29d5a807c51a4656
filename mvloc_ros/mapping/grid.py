# SPDX-License-Identifier: Apache-2.0
"""`mvloc grid`: a bundle with a scene map in, an occupancy grid out, with what was assumed and found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from mvloc_ros.foreign_text import shown
from mvloc_ros.localization.scene_map import read_scene_map
from mvloc_ros.mapping.grid_cells import SPECK_M2, Cell, Grid, GridOptions, make_grid
from mvloc_ros.mapping.grid_floor import Floor, camera_up, find_floor, given_floor, is_upright
from mvloc_ros.mapping.grid_views import DepthView, Views
from mvloc_ros.model.bundle import Bundle, read_bundle


@dataclass(frozen=True, eq=False)
class MadeGrid:
    """A grid and what it was made of; `poses` are the training's, `[N, 4, 4]`, None where the bundle has none."""

    bundle: Bundle
    options: GridOptions
    floor: Floor
    grid: Grid
    poses: NDArray[np.float64] | None


def grid_of(model: Path | str, options: GridOptions, floor_m: float | None = None) -> MadeGrid:
    """Make the grid of a bundle.

    Args:
        model: the bundle.
        options: of the grid.
        floor_m: z of the floor in the map frame; None: it is looked for.

    Raises:
        SceneMapError: the bundle has no usable map.
        MappingError: no floor is found, or no surface lies in the range of heights.
    """
    bundle = read_bundle(model)
    scene_map = read_scene_map(bundle)
    views = Views.of(bundle)
    poses = None if views is None else views.poses
    floor = find_floor(scene_map, poses) if floor_m is None else given_floor(scene_map, floor_m)
    return MadeGrid(bundle, options, floor, make_grid(scene_map, floor, options, views, _with_progress), poses)


def summary(made: MadeGrid) -> list[str]:
    """What was assumed, what was found, and what to look at, in lines."""
    grid, options = made.grid, made.options
    rows, columns = grid.frame.shape
    x, y = grid.frame.origin
    edge = options.resolution_m
    kinds = ", ".join(
        f"{grid.share(kind):.1%} {kind.name.lower()}" for kind in (Cell.OCCUPIED, Cell.FREE, Cell.UNKNOWN)
    )
    return [
        f"frame: {shown(made.bundle.manifest.frames.map)}, taken to have z up (REP-103); metres",
        *_floor_lines(made),
        f"heights: {options.low_m:g} to {options.high_m:g} m above the floor",
        f"grid: {columns} x {rows} cells of {edge:g} m, x {x:.2f} to {x + columns * edge:.2f} m, "
        f"y {y:.2f} to {y + rows * edge:.2f} m",
        f"cells: {kinds}",
        _free_line(made),
        f"left out: {grid.specks} cells in groups with less than {1e4 * SPECK_M2:g} cm2 of surface",
        *_drop_lines(grid),
    ]


def _floor_lines(made: MadeGrid) -> list[str]:
    floor = made.floor
    lines = [f"floor: given as z = {floor.height_m:.3f} m"]
    if not floor.is_given:
        lines = [
            f"floor: found at z = {floor.height_m:.3f} m at x {floor.centre[0]:.1f}, y {floor.centre[1]:.1f}, tilted "
            f"by {floor.tilt_deg:.2f} degrees"
        ]
    if floor.spread_m is None:
        lines.append("WARNING: no level surface of the map lies within 0.1 m of the floor; check --floor")
    else:
        offset = "" if not floor.is_given else f", which lie at {1e3 * floor.offset_m:+.0f} mm"
        lines[0] += f"; spread {1e3 * floor.spread_m:.1f} mm of {floor.area_m2:.1f} m2 of points{offset}"
        if 3.0 * floor.spread_m + abs(floor.offset_m) >= made.options.low_m:
            lines.append(f"WARNING: the floor is as uneven as {made.options.low_m:g} m: parts of it may be occupied")
    if made.poses is not None:
        heights = np.percentile(floor.heights(made.poses[:, :3, 3]), [0, 50, 100])
        tilt = np.rad2deg(np.arccos(np.clip(camera_up(made.poses)[2], -1.0, 1.0)))
        lines.append(
            f"training cameras: {heights[0]:.2f} to {heights[2]:.2f} m above the floor, median {heights[1]:.2f}; on "
            f"average their up direction is {tilt:.0f} degrees from z"
        )
        if not is_upright(made.poses):
            lines.append(
                "WARNING: the training cameras were not upright, if z points up in the map as the grid needs it"
            )
    if floor.other_levels:
        others = ", ".join(f"{height:.2f} m above ({area:.1f} m2)" for height, area in floor.other_levels[:5])
        lines.append(f"other large level surfaces: {others}; if one is the floor, name it with --floor")
    return lines


def _free_line(made: MadeGrid) -> str:
    if made.grid.views is None:
        return (
            "WARNING: the bundle does not tell its training poses, so free is where the floor was seen, whatever is "
            "above it unseen"
        )
    clear = min(made.options.clear_m, made.options.high_m - made.options.low_m)
    return (
        f"free: floor seen, and {clear:g} m above {made.options.low_m:g} m seen through, from {made.grid.views} of "
        f"{0 if made.poses is None else len(made.poses)} training poses (the others are nearly the same)"
    )


def _drop_lines(grid: Grid) -> list[str]:
    if not grid.drops:
        return []
    return [f"unknown: {grid.drops} cells because a surface lies below the floor there (a drop, or a reflection)"]


def _with_progress(views: Iterable[DepthView], count: int) -> Iterable[DepthView]:
    return tqdm(views, total=count, desc="looking", unit="pose")
