# SPDX-License-Identifier: Apache-2.0
"""Points that several depth sensors measured at one moment, and from where each was measured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry.projection import transform_points

Array = NDArray[np.float64]

PAIR_DEPTH = "depth"
"""The name of the pair's depth camera."""


def image_of(name: str) -> str:
    """What the image of a depth sensor is called in a message."""
    return "the depth image" if name == PAIR_DEPTH else f"the depth image of {name}"


@dataclass(frozen=True, eq=False)
class SensorPoints:
    """Points of one sensor.

    Attributes:
        name: of the sensor.
        points: `[N, 3]` in its own frame, meters.
        T_depth_sensor: 4x4, maps them into the pair's depth camera; None: they are its own.
    """

    name: str
    points: Array
    T_depth_sensor: Array | None = None

    @property
    def placed(self) -> Array:
        """`[N, 3]` in the frame of the pair's depth camera."""
        return self.points if self.T_depth_sensor is None else transform_points(self.T_depth_sensor, self.points)

    @property
    def origin(self) -> Array:
        """`[3]`: the sensor itself in the frame of the pair's depth camera."""
        return np.zeros(3) if self.T_depth_sensor is None else self.T_depth_sensor[:3, 3]


@dataclass(frozen=True, eq=False)
class Rays:
    """How points `[N, 3]` in the frame of the pair's depth camera were measured.

    Attributes:
        along: `[N]`, meters along the optical axis of the sensor that measured the point.
        sensor: `[N]`, index of that sensor.
        origins: `[S, 3]`, the sensors in the frame of the pair's depth camera.
    """

    along: Array
    sensor: NDArray[np.intp]
    origins: Array

    @staticmethod
    def of_one(points: Array) -> Rays:
        """Of points that the pair's own depth camera measured."""
        return Rays(points[:, 2], np.zeros(len(points), np.intp), np.zeros((1, 3)))

    @staticmethod
    def of(sensors: tuple[SensorPoints, ...]) -> Rays:
        """Of the points of several sensors, one after another."""
        return Rays(
            np.concatenate([one.points[:, 2] for one in sensors]),
            np.repeat(np.arange(len(sensors)), [len(one.points) for one in sensors]),
            np.array([one.origin for one in sensors]),
        )

    def from_each(self, placed: Array, T_map_depth: Array) -> Array:
        """From the sensors at a pose (4x4) to the points `[N, 3]`, which they measured, in the map: `[N, 3]`."""
        origins = self.origins @ T_map_depth[:3, :3].T + T_map_depth[:3, 3]
        return placed - origins[self.sensor]

    @property
    def typical_m(self) -> float:
        """The median of the distances."""
        return float(np.median(self.along))
