# SPDX-License-Identifier: Apache-2.0
"""Depth points registered to the scene map where the pose is known to centimetres already.

From there each point's surface is known as well, and generalised ICP does harm: what the map does not have (moved
furniture, people) finds the surface next to it, and where little else holds the pose, it slides. So the pose is the
likeliest one of the model that its covariance comes from: the residuals along the normals of the points that lie on
the map's surfaces (`support`), and the expected pose as prior, by Gauss-Newton steps.
"""

from __future__ import annotations

import math
import time

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry.covariance import pose_error
from mvloc_ros.localization.inlier_residuals import Support, information_of, pull, support
from mvloc_ros.localization.local_map import LocalMap
from mvloc_ros.localization.motion import moved
from mvloc_ros.localization.pose import Pose
from mvloc_ros.localization.registration import Registered, Source

Array = NDArray[np.float64]

REACH = 2.5
"""Resolutions of the map within which the true pose must be: further away the points' surfaces are not known yet."""
_ROUNDS = 6
# Metres, and radians, of a step that is the last one.
_SETTLED = 5e-4
# Where the points tell less than this share of what the prior does, the pose is the prior's.
_LEAST_SHARE = 0.1


def register_near(
    source: Source,
    target: LocalMap,
    expected: Pose,
    inflation: float,
    resolution_m: float,
    deadline: float,
    threads: int,
) -> Registered:
    """Where the points alone would have the pose, to first order about the likeliest one.

    `fused` with the expected pose as prior gives the likeliest one, and the difference says whether both agree.

    Args:
        source: the frame.
        target: the map there.
        expected: of the depth camera.
        inflation: by which the independent errors that the points' information assumes are too few.
        resolution_m: of the map.
        deadline: time.perf_counter() after which no further steps begin.
        threads: of the search.
    """
    T, precision = expected.T, np.linalg.inv(expected.covariance)
    done, left_m, slowest_s = 0, math.inf, 0.0
    while done < _ROUNDS and left_m > _SETTLED:
        began = time.perf_counter()
        if began + slowest_s > deadline:
            return Registered(T, left_m, done)
        found = support(source.points, target, T, resolution_m, threads, source.rays)
        information = _information(found, inflation)
        told = pull(found, target, T) / inflation - precision @ pose_error(T, expected.T)
        step = np.asarray(np.linalg.solve(information + precision, told), dtype=np.float64)
        T, done, left_m = moved(T, step), done + 1, float(max(np.linalg.norm(step[:3]), np.linalg.norm(step[3:])))
        slowest_s = max(slowest_s, time.perf_counter() - began)
    delta = of_points_alone(pose_error(T, expected.T), information, expected.covariance)
    return Registered(moved(expected.T, delta), 0.0, done)


def _information(found: Support, inflation: float) -> Array:
    return information_of(found.hessian, found.rays.typical_m, inflation)[0]


def of_points_alone(delta: Array, information: Array, covariance: Array) -> Array:
    """What the points alone tell, `[6]`, by the likeliest pose; both from the expected one."""
    root = np.linalg.cholesky(covariance)
    shares, axes = np.linalg.eigh(root.T @ information @ root)
    told = shares > _LEAST_SHARE
    factors = np.where(told, (1.0 + shares) / np.where(told, shares, 1.0), 1.0)
    return np.asarray(root @ (axes @ (factors * (axes.T @ np.linalg.solve(root, delta)))))
