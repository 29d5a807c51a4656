# SPDX-License-Identifier: Apache-2.0
"""The floor of a scene map: a level plane below the cameras, found or given.

The z axis of the map must point up (REP-103), as Nav2's grids need it. That is checked by the training cameras, whose
mean up direction must agree, and by the floor's own tilt.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.localization.scene_map import SceneMap
from mvloc_ros.mapping.errors import MappingError

Array = NDArray[np.float64]

# Normals of level surfaces, against z for the first guess of the tilt, and against that for the levels.
_NEAR_LEVEL, _NEARER_LEVEL, _LEVEL = (float(np.cos(np.deg2rad(degrees))) for degrees in (30.0, 15.0, 8.0))
_BIN_M = 0.02
_WINDOW = 3
# Two levels of one map are this far apart at least.
_APART_M = 0.15
# A level counts from this share of the largest one's area: the lowest such is the floor, so that a table that was
# filmed more than the floor is not taken for it.
_LEAST_SHARE = 0.25
_LEAST_AREA_M2 = 0.5
_MOST_BELOW = 0.05
_MOST_TILT_DEG = 5.0
_LEAST_CAMERA_UP = 0.5
_FIT_M, _FIT_ROUNDS = 0.06, 3
_GIVEN_REACH_M = 0.1
# So many points are looked at, evenly over the map, and heights so far apart.
_MOST_POINTS = 1 << 22
_MOST_HEIGHT_M = 500.0


@dataclass(frozen=True, eq=False)
class Floor:
    """The plane z = `height_m` + `slope` . ((x, y) - `centre`), map frame.

    Attributes:
        height_m: z at the centre.
        centre: x, y in metres.
        slope: rise in x and y, metres per metre.
        spread_m: standard deviation of the floor's points about the plane (robust, of the median); None where no
            surface was seen there.
        area_m2: of the points, one square of the map's resolution each.
        offset_m: median height of these points above a given floor.
        is_given: whether the user named the height.
        other_levels: (height above the floor in metres, area in square metres) of other large level surfaces.
    """

    height_m: float
    centre: tuple[float, float] = (0.0, 0.0)
    slope: tuple[float, float] = (0.0, 0.0)
    spread_m: float | None = None
    area_m2: float = 0.0
    offset_m: float = 0.0
    is_given: bool = False
    other_levels: tuple[tuple[float, float], ...] = ()

    @property
    def tilt_deg(self) -> float:
        """Angle of the floor's normal to the map's z axis."""
        return float(np.rad2deg(np.arctan(np.hypot(*self.slope))))

    def z_at(self, x: Array, y: Array) -> Array:
        """Height z of the floor below or above positions of the map frame, in metres."""
        return np.asarray(self.height_m + self.slope[0] * (x - self.centre[0]) + self.slope[1] * (y - self.centre[1]))

    def heights(self, points: Array) -> Array:
        """Heights `[N]` above the floor of points `[N, 3]`, along z, in metres."""
        return np.asarray(points[:, 2] - self.z_at(points[:, 0], points[:, 1]))


def given_floor(scene_map: SceneMap, height_m: float) -> Floor:
    """A level floor at z = `height_m`, with the spread of the level surfaces seen within 0.1 m of it."""
    surface = _upward(scene_map)
    apart = surface.points[surface.normals[:, 2] >= _LEVEL][:, 2] - height_m
    apart = apart[np.abs(apart) <= _GIVEN_REACH_M]
    if not len(apart):
        return Floor(height_m, is_given=True)
    offset = float(np.median(apart))
    area = len(apart) * surface.area_m2
    return Floor(height_m, spread_m=_spread(apart - offset), area_m2=area, offset_m=offset, is_given=True)


def find_floor(scene_map: SceneMap, poses: Array | None) -> Floor:
    """The lowest large level plane.

    Args:
        scene_map: the map.
        poses: T_map_camera of the training, `[N, 4, 4]`; None where they are not known.

    Raises:
        MappingError: z is not up, no level surface is large enough, or too much of the map lies below it.
    """
    if poses is not None and len(poses):
        _require_up(poses)
    surface = _upward(scene_map)
    up = mean_normal(surface.normals)
    points = surface.points[surface.normals @ up >= _LEVEL]
    levels = _levels(points, up, surface.area_m2)
    if not levels or max(area for _, area in levels) < _LEAST_AREA_M2:
        raise MappingError(
            f"No floor was found: the map has no level surface of {_LEAST_AREA_M2:g} m2 that faces up along z; "
            "check that z points up in the map, or give the floor's height with --floor Z."
        )
    largest = max(area for _, area in levels)
    levels = [level for level in levels if level[1] >= _LEAST_SHARE * largest]
    floor = _fitted(points, up, levels[0][0], surface.area_m2)
    below = _share_below(scene_map, floor)
    if below > _MOST_BELOW:
        raise MappingError(
            f"No floor was found: the lowest large level surface lies at z = {floor.height_m:.2f} m, but {below:.0%} "
            f"of the map's points lie more than {_APART_M:g} m below it; give the floor's height with --floor Z."
        )
    if poses is not None and len(poses) and float(np.median(floor.heights(poses[:, :3, 3]))) <= 0.0:
        raise MappingError(
            f"No floor was found: the lowest large level surface, at z = {floor.height_m:.2f} m, lies above most of "
            "the training cameras; give the floor's height with --floor Z."
        )
    others = tuple((height - levels[0][0], area) for height, area in levels[1:])
    return replace(floor, other_levels=others)


@dataclass(frozen=True, eq=False)
class _Upward:
    """Points and normals `[N, 3]` of the surfaces that face nearly up, and what area one point stands for."""

    points: Array
    normals: Array
    area_m2: float


def _upward(scene_map: SceneMap) -> _Upward:
    step = -(-len(scene_map) // _MOST_POINTS)
    points, normals = [np.zeros((0, 3))], [np.zeros((0, 3))]
    for tile in range(len(scene_map.tiles)):
        content = scene_map.content([tile])
        chosen = np.flatnonzero(content.normals[:, 2] >= _NEAR_LEVEL)[::step]
        points.append(content.points[chosen])
        normals.append(content.normals[chosen])
    return _Upward(np.concatenate(points), np.concatenate(normals), step * scene_map.resolution_m**2)


def camera_up(poses: Array) -> Array:
    """Mean up direction `[3]` of cameras, T_map_camera `[N, 4, 4]`, of length 1."""
    up = -poses[:, :3, 1].mean(axis=0)
    return np.asarray(up / max(float(np.linalg.norm(up)), 1e-6))


def is_upright(poses: Array) -> bool:
    """Whether the cameras' mean up direction is within 60 degrees of z."""
    return bool(camera_up(poses)[2] >= _LEAST_CAMERA_UP)


def _require_up(poses: Array) -> None:
    """The cameras are upright in the map. Raises MappingError."""
    if not is_upright(poses):
        direction = ", ".join(f"{value:.2f}" for value in camera_up(poses))
        raise MappingError(
            f"z does not point up in this map: the training cameras' mean up direction is ({direction}); an occupancy "
            "grid needs poses whose z axis points up (REP-103), or --floor Z where z is up and the camera was not."
        )


def mean_normal(normals: Array) -> Array:
    """The up direction by the surfaces that face nearly up; z where there are none."""
    up = np.array([0.0, 0.0, 1.0])
    for least in (_NEAR_LEVEL, _NEARER_LEVEL, _LEVEL, _LEVEL):
        chosen = normals[normals @ up >= least]
        if len(chosen):
            up = np.median(chosen, axis=0)
            up /= np.linalg.norm(up)
    return np.asarray(up)


def _levels(points: Array, up: Array, area_m2: float) -> list[tuple[float, float]]:
    """(height along `up`, area) of the local maxima of the histogram of heights, from the lowest to the highest."""
    if not len(points):
        return []
    middle = np.median(points, axis=0)
    heights = (points - middle) @ up
    heights = heights[np.abs(heights) <= _MOST_HEIGHT_M]
    low = float(np.min(heights)) - _WINDOW * _BIN_M
    single = np.bincount(((heights - low) / _BIN_M).astype(np.intp), minlength=2 * _WINDOW)
    counts = np.convolve(np.append(single, np.zeros(_WINDOW)), np.ones(_WINDOW), mode="same")
    left, found = counts.copy(), list[tuple[float, float]]()
    reach = round(_APART_M / _BIN_M)
    while left.max() > 0 and left.max() * area_m2 >= _LEAST_AREA_M2 * _LEAST_SHARE:
        peak = int(np.argmax(left))
        found.append((low + (peak + 0.5) * _BIN_M + float(middle @ up), float(counts[peak]) * area_m2))
        left[max(0, peak - reach) : peak + reach + 1] = 0
    return sorted(found)


def _fitted(points: Array, up: Array, level: float, area_m2: float) -> Floor:
    """The plane through the points of a level, by least squares.

    Raises:
        MappingError: it is tilted too much against z.
    """
    near = np.abs(points @ up - level) <= _FIT_M
    centre = points[near, :2].mean(axis=0)
    rows = np.column_stack([np.ones(len(points)), points[:, :2] - centre])
    for _ in range(_FIT_ROUNDS):
        plane = np.linalg.lstsq(rows[near], points[near, 2], rcond=None)[0]
        apart = points[:, 2] - rows @ plane
        near = np.abs(apart) <= _FIT_M
    floor = Floor(
        height_m=float(plane[0]),
        centre=(float(centre[0]), float(centre[1])),
        slope=(float(plane[1]), float(plane[2])),
        spread_m=_spread(apart[near]),
        area_m2=int(np.count_nonzero(near)) * area_m2,
    )
    if floor.tilt_deg > _MOST_TILT_DEG:
        raise MappingError(
            f"z does not point up in this map: the floor is tilted by {floor.tilt_deg:.1f} degrees against it, more "
            f"than {_MOST_TILT_DEG:g}; an occupancy grid needs poses whose z axis points up (REP-103)."
        )
    return floor


def _spread(apart: Array) -> float:
    return float(1.4826 * np.median(np.abs(apart)))


def _share_below(scene_map: SceneMap, floor: Floor) -> float:
    """Which share of the map's points lies clearly below the floor."""
    tiles = range(len(scene_map.tiles))
    below = (floor.heights(scene_map.content([tile]).points) < -_APART_M for tile in tiles)
    return sum(int(np.count_nonzero(part)) for part in below) / len(scene_map)
