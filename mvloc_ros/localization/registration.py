# SPDX-License-Identifier: Apache-2.0
"""Depth points registered to the scene map, coarse to fine, by generalised ICP (see `gicp`).

First a thin cloud against a thin map with distant correspondences, which pulls a pose in from 0.3 m and 10 degrees;
then the full ones with near correspondences, which settles it. Iterations run in small portions, so that a deadline
is kept.
"""

from __future__ import annotations

import math
import time
from collections.abc import Container, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import small_gicp
from numpy.typing import NDArray

from mvloc_ros.geometry import quaternion, se3
from mvloc_ros.geometry.projection import transform_points
from mvloc_ros.localization.gicp import Surface, step
from mvloc_ros.localization.local_map import LocalMap
from mvloc_ros.localization.rig_points import PAIR_DEPTH, Rays, SensorPoints

Array = NDArray[np.float64]

# Neighbours that a point's normal is estimated from.
_NEIGHBOURS = 8
# What is left where the deadline ends a registration: of thin clouds a share of the map's resolution or of the last
# step, whichever is more; of full ones a share of the last step. Measured on training frames of RedKitchen and of the
# demo's room: 5 to 10 mm (root mean square) after any thin portion, 0.1 to 0.45 of the last step after full ones.
_LEFT_OF_RESOLUTION, _LEFT_OF_COARSE_STEP, _LEFT_OF_FINE_STEP = 0.4, 0.1, 0.4


@dataclass(frozen=True)
class Stage:
    """Iterations with one largest distance of correspondences, in resolutions of the map.

    It ends early when a step is smaller than `step_m` metres and as many radians. `portion` iterations run between two
    looks at the clock.
    """

    fine: bool
    distance: float
    iterations: int
    step_m: float
    portion: int


STAGES = (
    Stage(fine=False, distance=15.0, iterations=9, step_m=4e-3, portion=3),
    Stage(fine=False, distance=7.5, iterations=6, step_m=2e-3, portion=3),
    Stage(fine=True, distance=5.0, iterations=6, step_m=1e-3, portion=1),
)


@dataclass(frozen=True, eq=False)
class SourcePart:
    """The points of one sensor.

    Attributes:
        seen: those of the fine cloud, in the sensor's own frame.
        fine, coarse: in the frame of the pair's depth camera.
    """

    seen: SensorPoints
    fine: Surface
    coarse: Surface


@dataclass(frozen=True, eq=False)
class Source:
    """The depth points of one frame, ready for registration.

    Attributes:
        parts: of each sensor that has enough of them; at least one.
        fine, coarse: those of all, one sensor after another, in the frame of the pair's depth camera.
        rays: how those of the fine cloud were measured.
    """

    parts: tuple[SourcePart, ...]
    fine: Surface = field(init=False)
    coarse: Surface = field(init=False)
    rays: Rays = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "fine", _joined([part.fine for part in self.parts]))
        object.__setattr__(self, "coarse", _joined([part.coarse for part in self.parts]))
        object.__setattr__(self, "rays", Rays.of(tuple(part.seen for part in self.parts)))

    @property
    def points(self) -> Array:
        """`[N, 3]` of the fine cloud."""
        return self.fine.points

    @property
    def names(self) -> tuple[str, ...]:
        """Of the sensors."""
        return tuple(part.seen.name for part in self.parts)

    def only(self, names: Container[str]) -> Source:
        """That of some of the sensors, at least one."""
        return Source(tuple(part for part in self.parts if part.seen.name in names))

    @staticmethod
    def of(points: Array, resolution_m: float, limit: int, threads: int) -> Source | None:
        """`of_sensors` of the pair's depth camera alone, from its points `[N, 3]`."""
        return Source.of_sensors((SensorPoints(PAIR_DEPTH, points),), resolution_m, limit, threads)

    @staticmethod
    def of_sensors(seen: Sequence[SensorPoints], resolution_m: float, limit: int, threads: int) -> Source | None:
        """Thin the points of all sensors together to at most `limit`, evenly over the surfaces.

        A sensor with too few points for a pose is left out; None if all have too few. Each is thinned by itself, so
        that a wrong extrinsic makes two surfaces and not one between them.
        """
        size = 3.0 * resolution_m
        fine = [_thinned(one.points, size) for one in seen]
        while (count := sum(map(len, fine))) > limit:
            # The number of cubes on a surface falls with the square of their edge.
            size *= max(1.05, float(np.sqrt(count / limit)))
            fine = [_thinned(one.points, size) for one in seen]
        parts = []
        for one, thin in zip(seen, fine, strict=True):
            coarse = _thinned(thin, max(5.0 * resolution_m, 1.5 * size))
            if len(coarse) >= 2 * _NEIGHBOURS:
                own = replace(one, points=thin)
                parts.append(SourcePart(own, *(_placed(_surface(p, threads), one) for p in (thin, coarse))))
        return Source(tuple(parts)) if parts else None


@dataclass(frozen=True, eq=False)
class Registered:
    """Where registration ended.

    Attributes:
        T_map_depth: 4x4.
        left_m: how far the pose may still be from where registration would have ended, root mean square: 0 unless the
            deadline ended it, infinite if nothing was done.
        iterations: how many there were.
    """

    T_map_depth: Array
    left_m: float
    iterations: int


def stages_within(reach_m: float, resolution_m: float) -> tuple[Stage, ...]:
    """The stages without the first ones that the next one makes needless, as it looks `reach_m` far already."""
    stages: tuple[Stage, ...] = STAGES
    while len(stages) > 1 and stages[1].distance * resolution_m >= reach_m:
        stages = stages[1:]
    return stages


def register(
    source: Source,
    target: LocalMap,
    start: Array,
    resolution_m: float,
    deadline: float,
    threads: int,
    reach_m: float = math.inf,
) -> Registered:
    """Move a starting pose (4x4 of the depth camera) to where the points fit the map.

    Stages that look further than `reach_m` are left out, but for the last: what the map does not have (moved furniture,
    people) then has distant surfaces to be drawn to, and draws the pose with it where little else holds it.

    Args:
        source: the frame.
        target: the map there.
        start: 4x4.
        resolution_m: of the map.
        deadline: time.perf_counter() after which no further iterations begin.
        threads: of the search.
        reach_m: how far from the start the true pose may be, see `Start`.
    """
    T = np.array(start, dtype=np.float64)
    total, slowest_s, left_m = 0, 0.0, math.inf
    for stage in stages_within(reach_m, resolution_m):
        still, moving = (target.fine, source.fine) if stage.fine else (target.coarse, source.coarse)
        within_m = stage.distance * resolution_m
        # Twice, as the pose still moves.
        moving = moving.chosen(still.in_reach(transform_points(T, moving.points), 2.0 * within_m, threads))
        if not len(moving):
            break
        left = stage.iterations
        while left > 0:
            planned = min(stage.portion, left)
            began = time.perf_counter()
            # What an iteration takes goes with the number of points.
            if began + slowest_s * planned * len(moving) > deadline:
                return Registered(T, left_m, total)
            before, done, settled = T, 0, False
            while done < planned and not settled:
                delta = step(moving, still, T, within_m, threads)
                T, done = _moved(T, delta), done + 1
                settled = bool(max(np.linalg.norm(delta[:3]), np.linalg.norm(delta[3:])) < stage.step_m)
            left_m = _left(stage, float(np.linalg.norm(T[:3, 3] - before[:3, 3])), resolution_m)
            total, left = total + done, left - done
            slowest_s = max(slowest_s, (time.perf_counter() - began) / (done * len(moving)))
            if settled:
                break
    return Registered(T, 0.0, total)


def _left(stage: Stage, step_m: float, resolution_m: float) -> float:
    if stage.fine:
        return _LEFT_OF_FINE_STEP * step_m
    return max(_LEFT_OF_RESOLUTION * resolution_m, _LEFT_OF_COARSE_STEP * step_m)


def _thinned(points: Array, size: float) -> Array:
    cloud = small_gicp.voxelgrid_sampling(np.ascontiguousarray(points), size, 1)
    return np.asarray(cloud.points())[:, :3]


def _placed(surface: Surface, seen: SensorPoints) -> Surface:
    """A surface in a sensor's frame in that of the pair's depth camera."""
    T = seen.T_depth_sensor
    if T is None:
        return surface
    return Surface(transform_points(T, surface.points), surface.normals @ T[:3, :3].T)


def _joined(surfaces: Sequence[Surface]) -> Surface:
    if len(surfaces) == 1:
        return surfaces[0]
    return Surface(*(np.concatenate([vars(one)[name] for one in surfaces]) for name in ("points", "normals")))


def _surface(points: Array, threads: int) -> Surface:
    cloud = small_gicp.PointCloud(points)
    small_gicp.estimate_normals(cloud, small_gicp.KdTree(cloud), _NEIGHBOURS, threads)
    return Surface(np.ascontiguousarray(points), np.ascontiguousarray(np.asarray(cloud.normals())[:, :3]))


def _moved(T: Array, delta: Array) -> Array:
    """A pose (4x4) moved by a step `[6]`."""
    result = np.eye(4)
    result[:3, 3] = T[:3, 3] + delta[:3]
    result[:3, :3] = se3.project_to_so3(quaternion.to_matrix(quaternion.exp(0.5 * delta[3:])) @ T[:3, :3])
    return result
