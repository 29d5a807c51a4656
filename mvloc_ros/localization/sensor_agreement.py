# SPDX-License-Identifier: Apache-2.0
"""What each depth sensor alone says of a pose that all were registered to.

A sensor that sits elsewhere than is declared, or whose image is of another moment, pulls the pose of all to a place
between its own and that of the others, where the points of both fit badly. Each sensor alone moves the pose a little
on: where two sensors move it apart, one of them is wrong. Which one, a frame does not tell. Poses are of a camera of
the pair, so the pose of the pair's depth alone is taken then (`refinement`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry.covariance import pose_error
from mvloc_ros.geometry.projection import transform_points
from mvloc_ros.localization.free_space import FreeSpace
from mvloc_ros.localization.gicp import Surface, step
from mvloc_ros.localization.inlier_residuals import Support, determined, hessian_of
from mvloc_ros.localization.local_map import LocalMap
from mvloc_ros.localization.motion import moved
from mvloc_ros.localization.registration import STAGES, Source
from mvloc_ros.localization.rig_points import image_of

Array = NDArray[np.float64]

# Steps of each sensor alone. Three settle what is determined; what is not hardly moves.
_STEPS = 3
# Directions of which two sensors together know less than this share of what they know best say nothing.
_WELL = 0.02
# Two sensors that move the pose apart by more contradict each other, if that is clear: by the squared Mahalanobis
# distance, of which 6 are expected of right ones. In a rendered house right ones were above both limits in none of 80
# frames, and where furniture had been moved in 6 %; of a sensor that was 5 cm and 3 degrees off 92 and 81 % were.
_APART_M, _APART_RAD, _CLEAR = 0.045, float(np.radians(2.25)), 40.0


@dataclass(frozen=True, eq=False)
class SensorEvidence:
    """What one depth sensor says of a pose.

    Attributes:
        name: of the sensor.
        points: how many of it were registered.
        support: share of them that lie on the map's surfaces.
        seen_through, hidden: see `FreeSpace`.
        moved: by what it alone would move the pose, `[6]` in ROS order, map axes; zeros where it is the only one, or
            nobody asked.
        hessian: of its points, as `Support.hessian`; zeros likewise.
    """

    name: str
    points: int
    support: float
    seen_through: float
    hidden: float
    moved: Array
    hessian: Array


def sensor_evidence(source: Source, found: Support, spaces: Sequence[FreeSpace]) -> tuple[SensorEvidence, ...]:
    """Of all sensors of a frame at one pose."""
    evidence = []
    for i, (part, space) in enumerate(zip(source.parts, spaces, strict=True)):
        own = found.inlier[found.rays.sensor == i]
        seen = part.seen.name, len(own), float(np.mean(own)), space.seen_through, space.hidden
        evidence.append(SensorEvidence(*seen, np.zeros(6), np.zeros((6, 6))))
    return tuple(evidence)


def each_alone(
    evidence: Sequence[SensorEvidence],
    source: Source,
    found: Support,
    target: LocalMap,
    T_map_depth: Array,
    resolution_m: float,
    threads: int,
) -> tuple[SensorEvidence, ...]:
    """With what each sensor alone does to a pose (4x4 of the pair's depth camera); `found` is the support there."""
    if len(evidence) < 2:
        return tuple(evidence)
    result = []
    for i, (one, part) in enumerate(zip(evidence, source.parts, strict=True)):
        T = settled_alone(part.fine, target, T_map_depth, resolution_m, threads)
        hessian = hessian_of(found, found.rays.sensor == i, target, T_map_depth)
        result.append(replace(one, moved=pose_error(T, T_map_depth), hessian=hessian))
    return tuple(result)


def settled_alone(surface: Surface, target: LocalMap, T_map_depth: Array, resolution_m: float, threads: int) -> Array:
    """Where points alone (of the frame of the pair's depth camera) move that camera's pose (4x4) from near its end."""
    T, within_m = T_map_depth, STAGES[-1].distance * resolution_m
    near = surface.chosen(target.fine.in_reach(transform_points(T, surface.points), 2.0 * within_m, threads))
    for _ in range(_STEPS if len(near) else 0):
        T = moved(T, step(near, target.fine, T, within_m, threads))
    return T


def disagreement(evidence: Sequence[SensorEvidence], length_m: float, inflation: float) -> str:
    """Which two depth sensors contradict each other most, in words; empty if none do.

    Args:
        evidence: with what each does alone.
        length_m: see `determined`.
        inflation: by what the points' information is too large.
    """
    worst, said = 1.0, ""
    for i, one in enumerate(evidence):
        for other in evidence[:i]:
            apart, squared = known_by_both(one.moved - other.moved, one.hessian, other.hessian, length_m)
            metres, radians = float(np.linalg.norm(apart[:3])), float(np.linalg.norm(apart[3:]))
            share = max(metres / _APART_M, radians / _APART_RAD)
            if share > worst and squared > _CLEAR * inflation:
                worst = share
                said = (
                    f"{image_of(other.name)} and that of {one.name} contradict each other by {100.0 * metres:.0f} cm "
                    f"and {np.degrees(radians):.1f} degrees (a wrong T_reference_sensor, or images of different "
                    "moments)"
                )
    return said


def known_by_both(apart: Array, one: Array, other: Array, length_m: float) -> tuple[Array, float]:
    """The part of a difference of two poses `[6]` in the directions that both Hessians (6x6) determine well.

    And its squared Mahalanobis distance, as if the points' errors were independent.
    """
    scale = np.array([1.0, 1.0, 1.0, length_m, length_m, length_m])
    both = []
    for hessian in (one, other):
        values, vectors = determined(hessian, length_m)
        both.append((vectors * values) @ vectors.T)
    first, second = both
    # What two sensors know of a difference: the inverse of the sum of their covariances.
    known = first @ np.linalg.pinv(first + second, rcond=1e-9, hermitian=True) @ second
    values, vectors = np.linalg.eigh(0.5 * (known + known.T))
    well = values > _WELL * max(values[-1], 1e-12)
    along = vectors[:, well].T @ (apart * scale)
    return np.asarray(vectors[:, well] @ along / scale), float(np.sum(values[well] * along**2))
