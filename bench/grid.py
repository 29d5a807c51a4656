# SPDX-License-Identifier: Apache-2.0
"""How true an occupancy grid is, where the place's surfaces are known: the demo's room, or a mesh.

    python -m bench.grid models/demo
    python -m bench.grid models/house --mesh house.npz --resolution 0.05

`--mesh` names a file with the arrays `v` (vertices [N, 3], map frame, metres) and `f` (triangles [M, 3]). Measured are
the distance of each occupied cell's centre to the nearest true surface in the robot's range of heights, the share of
true upright surfaces, as far as training poses saw them, that have the centre of an occupied cell within 5 cm, and
the share of free cells in which there is a true surface in that range.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import small_gicp
from numpy.typing import NDArray

from mvloc_ros.demo.room import build_room
from mvloc_ros.geometry import se3
from mvloc_ros.geometry.projection import image_points, project_pinhole, transform_points
from mvloc_ros.localization.scene_map import SceneMap, read_scene_map
from mvloc_ros.mapping.grid_cells import Cell, Grid, GridOptions, make_grid
from mvloc_ros.mapping.grid_floor import Floor, find_floor
from mvloc_ros.mapping.grid_views import Views
from mvloc_ros.model.bundle import read_bundle

Array = NDArray[np.float64]

_SPACING_M = 0.015
_MOST_VIEWS, _LEAST_SEEN, _COLUMNS = 200, 3, 160
_NEAR_M = 0.05
# A wall on the border of two cells is in both: only what reaches so far into a free cell makes it wrong.
_INSIDE_M = 0.015


@dataclass(frozen=True, eq=False)
class Truth:
    """Samples of the true surfaces `[N, 3]`, their normals, and which of them training poses saw."""

    points: Array
    normals: Array
    seen: NDArray[np.bool_]


@dataclass(frozen=True)
class Figures:
    """What is measured; distances in metres.

    Attributes:
        distance_median, distance_p95, distance_p99: of occupied cells' centres to true surfaces; `occupied_within_5cm`
            is the share within 5 cm.
        true_walls_found: share of true upright surfaces, seen by training poses, near an occupied cell.
        free_but_occupied: share of free cells with a true surface inside.
        free_of_seen_free: share of cells with seen ground and no true surface above it that are free.
    """

    occupied_cells: int
    distance_median: float
    distance_p95: float
    distance_p99: float
    occupied_within_5cm: float
    true_walls_found: float
    free_cells: int
    free_but_occupied: float
    free_of_seen_free: float


def triangles_of_demo() -> Array:
    """The room's surfaces as triangles `[N, 3, 3]`."""
    found = []
    for face in build_room().surfaces:
        right, down = face.right * face.half_width, face.down * face.half_height
        a, b, c, d = (face.centre + x * right + y * down for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1)))
        found += [(a, b, c), (a, c, d)]
    return np.array(found)


def sampled(triangles: Array, spacing_m: float) -> tuple[Array, Array]:
    """Random points on triangles `[N, 3, 3]`, one a square of the spacing on average, and normals."""
    rng = np.random.default_rng(0)
    a, ab, ac = triangles[:, 0], triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]
    cross = np.cross(ab, ac)
    double = np.linalg.norm(cross, axis=1)
    count = np.floor(0.5 * double / spacing_m**2 + rng.random(len(double))).astype(np.intp)
    which = np.repeat(np.arange(len(double)), count)
    s, t = rng.random((2, len(which)))
    fold = s + t > 1.0
    s, t = np.where(fold, 1.0 - s, s), np.where(fold, 1.0 - t, t)
    points = a[which] + s[:, None] * ab[which] + t[:, None] * ac[which]
    return points, (cross / np.maximum(double, 1e-12)[:, None])[which]


def truth_of(triangles: Array, views: Views, spacing_m: float = _SPACING_M, most_views: int = _MOST_VIEWS) -> Truth:
    """Samples, and which of them at least three of the training poses saw, by the samples' own depth images."""
    points, normals = sampled(triangles, spacing_m)
    camera = views.camera.scaled_to(_COLUMNS, round(views.camera.height * _COLUMNS / views.camera.width))
    poses = views.different().poses
    times = np.zeros(len(points), np.int64)
    for pose in poses[:: -(-len(poses) // most_views)]:
        near = np.flatnonzero(np.linalg.norm(points - pose[:3, 3], axis=1) < 1.5 * views.far_m)
        placed = transform_points(se3.inverse(pose), points[near])
        ahead = placed[:, 2] > 0.05
        near, placed = near[ahead], placed[ahead]
        image = project_pinhole(placed, camera, 2.0)
        u, v = image_points(placed, camera)
        inside = (np.abs(u - camera.width / 2) < camera.width / 2 - 1) & (
            np.abs(v - camera.height / 2) < camera.height / 2 - 1
        )
        near, placed = near[inside], placed[inside]
        front = image[np.rint(v[inside]).astype(np.intp), np.rint(u[inside]).astype(np.intp)]
        z = placed[:, 2]
        times[near[(z <= front + 0.03 + 0.02 * z) & (z >= views.near_m) & (z <= views.far_m)]] += 1
    return Truth(points, normals, times >= _LEAST_SEEN)


def compare(grid: Grid, floor: Floor, options: GridOptions, truth: Truth) -> Figures:
    """The grid against the truth."""
    heights = floor.heights(truth.points)
    within = (heights >= options.low_m) & (heights <= options.high_m)
    occupied = _centres(grid, Cell.OCCUPIED)
    distance = _distances(truth.points[within], occupied)
    upright = within & truth.seen & (np.abs(truth.normals[:, 2]) < 0.3)
    walls = np.unique(np.round(truth.points[upright, :2], 2), axis=0)
    found = _distances(np.column_stack([occupied[:, :2], np.zeros(len(occupied))]), walls)
    free = grid.cells == Cell.FREE
    wrong = free & _hit(grid, truth.points[within])
    ground = truth.seen & (np.abs(heights) < options.low_m) & (np.abs(truth.normals[:, 2]) > 0.8)
    really = _hit(grid, truth.points[ground]) & ~_hit(grid, truth.points[within])
    return Figures(
        occupied_cells=len(occupied),
        distance_median=round(float(np.median(distance)), 4),
        distance_p95=round(float(np.percentile(distance, 95)), 4),
        distance_p99=round(float(np.percentile(distance, 99)), 4),
        occupied_within_5cm=round(float(np.mean(distance <= _NEAR_M)), 4),
        true_walls_found=round(float(np.mean(found <= _NEAR_M)), 4),
        free_cells=int(np.count_nonzero(free)),
        free_but_occupied=round(float(np.count_nonzero(wrong) / max(1, np.count_nonzero(free))), 5),
        free_of_seen_free=round(float(np.mean(free[really])), 4),
    )


def _centres(grid: Grid, kind: Cell) -> Array:
    x, y = grid.frame.centres(*np.nonzero(grid.cells == kind))
    return np.column_stack([x, y])


def _distances(among: Array, of: Array) -> Array:
    """Distances in the plane of points `[N, 2]` to the nearest of others."""
    flat = np.column_stack([among[:, :2], np.zeros(len(among))])
    queries = np.column_stack([of[:, :2], np.zeros(len(of))])
    _, squared = small_gicp.KdTree(flat, num_threads=1).batch_nearest_neighbor_search(queries, 1)
    return np.sqrt(np.asarray(squared))


def _hit(grid: Grid, points: Array) -> NDArray[np.bool_]:
    """Cells that have points well inside."""
    frame = grid.frame
    place = points[:, :2] / frame.resolution_m
    index = np.floor(place).astype(np.int64) - frame.first
    inside = np.all(np.abs(place - np.floor(place) - 0.5) <= 0.5 - _INSIDE_M / frame.resolution_m, axis=1)
    inside &= np.all((index >= 0) & (index < frame.shape[::-1]), axis=1)
    result = np.zeros(frame.shape, bool)
    result[index[inside, 1], index[inside, 0]] = True
    return result


def measured(scene_map: SceneMap, views: Views, truth: Truth, options: GridOptions) -> Figures:
    """Make a grid and compare it with the truth."""
    floor = find_floor(scene_map, views.poses)
    return compare(make_grid(scene_map, floor, options, views), floor, options, truth)


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="a bundle with a scene map")
    parser.add_argument("--mesh", type=Path, help="the true surfaces (default: those of the demo's room)")
    parser.add_argument("--resolution", type=float, default=GridOptions.resolution_m)
    parser.add_argument("--height", type=float, nargs=2, default=(GridOptions.low_m, GridOptions.high_m))
    args = parser.parse_args()
    bundle = read_bundle(args.model)
    views = Views.of(bundle)
    if views is None:
        parser.error("the bundle does not tell its training poses")
    if args.mesh is None:
        triangles = triangles_of_demo()
    else:
        with np.load(args.mesh, allow_pickle=False) as mesh:
            triangles = np.asarray(mesh["v"], np.float64)[mesh["f"]]
    options = GridOptions(args.resolution, *args.height)
    truth = truth_of(triangles, views)
    print(json.dumps(asdict(measured(read_scene_map(bundle), views, truth, options)), indent=2))


if __name__ == "__main__":
    main()
