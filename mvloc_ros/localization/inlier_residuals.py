# SPDX-License-Identifier: Apache-2.0
"""How a pose is supported by the map: residuals and Hessian of the frame's points at that pose.

Point to plane, each residual against the sensor's noise there. From this come the score, the directions that the
geometry determines, and the covariance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry.depth_noise import depth_noise
from mvloc_ros.geometry.projection import transform_points
from mvloc_ros.localization.local_map import LocalMap
from mvloc_ros.localization.rig_points import Rays

Array = NDArray[np.float64]

# A point is an inlier within this many standard deviations, and its correspondence within so many resolutions.
_INLIER_SIGMAS = 3.0
_NEAR_RESOLUTIONS = 4.0
# Share of the information that normals, which are noisy themselves, seem to give across a plane: 4 degrees of noise.
_NORMAL_NOISE = 0.005


@dataclass(frozen=True, eq=False)
class Support:
    """The frame's points at one pose.

    Attributes:
        points: `[N, 3]` in the depth camera's frame.
        nearest: index `[N]` of the map's nearest point; any where none is near.
        inlier: `[N]`: which points lie on the map's surface.
        residuals: `[N]` metres along the surface's normal.
        sigmas: `[N]` metres, what the sensor and the map's resolution let expect.
        hessian: 6x6 information of position (1/m^2) and rotation about the camera (1/rad^2), ROS order, map axes, as
            if the inliers' errors were independent.
        rays: how the points were measured.
    """

    points: Array
    nearest: NDArray[np.intp]
    inlier: NDArray[np.bool_]
    residuals: Array
    sigmas: Array
    hessian: Array
    rays: Rays

    @property
    def share(self) -> float:
        """Share of the points that are inliers."""
        return float(np.mean(self.inlier)) if len(self.inlier) else 0.0

    @property
    def misfit(self) -> float:
        """Root mean square of the inliers' residuals in standard deviations; the inliers' bound where there is none."""
        if not self.inlier.any():
            return _INLIER_SIGMAS
        return float(np.sqrt(np.mean((self.residuals[self.inlier] / self.sigmas[self.inlier]) ** 2)))


def support(
    points: Array, target: LocalMap, T_map_depth: Array, resolution_m: float, threads: int, rays: Rays | None = None
) -> Support:
    """Match points `[N, 3]` with the map at a pose; without `rays` they are all of the pair's depth camera."""
    rays = Rays.of_one(points) if rays is None else rays
    placed = transform_points(T_map_depth, points)
    near_m = _NEAR_RESOLUTIONS * resolution_m
    nearest, squared = np.zeros(len(points), np.intp), np.full(len(points), np.inf)
    if len(reached := target.fine.in_reach(placed, near_m, threads)):
        nearest[reached], squared[reached] = target.fine.nearest(placed[reached], threads)
    normals = target.fine.normals[nearest].astype(np.float64)
    residuals = np.einsum("ni,ni->n", placed - target.fine.points[nearest], normals)
    sigmas = np.hypot(depth_noise(rays.along), 0.25 * resolution_m)
    near = squared < near_m**2
    # Light comes back from surfaces that face the camera only.
    facing = np.einsum("ni,ni->n", normals, rays.from_each(placed, T_map_depth)) < 0.0
    inlier = near & facing & (np.abs(residuals) < _INLIER_SIGMAS * sigmas)
    arms = placed[inlier] - T_map_depth[:3, 3]
    return Support(points, nearest, inlier, residuals, sigmas, _hessian(arms, normals[inlier], sigmas[inlier]), rays)


def hessian_of(found: Support, which: NDArray[np.bool_], target: LocalMap, T_map_depth: Array) -> Array:
    """That of some of the points, `[N]`, alone."""
    inlier = found.inlier & which
    arms = transform_points(T_map_depth, found.points[inlier]) - T_map_depth[:3, 3]
    return _hessian(arms, target.fine.normals[found.nearest[inlier]].astype(np.float64), found.sigmas[inlier])


def pull(found: Support, target: LocalMap, T_map_depth: Array) -> Array:
    """Which way the inliers' residuals pull their pose, `[6]`: the negative gradient of half of chi-square.

    In the units of `hessian`: that times a step is the pull that the step takes away.
    """
    inlier = found.inlier
    normals = target.fine.normals[found.nearest[inlier]].astype(np.float64)
    arms = transform_points(T_map_depth, found.points[inlier]) - T_map_depth[:3, 3]
    jacobian = np.hstack([normals, np.cross(arms, normals)])
    return np.asarray(-jacobian.T @ (found.residuals[inlier] / found.sigmas[inlier] ** 2))


def _hessian(arms: Array, normals: Array, sigmas: Array) -> Array:
    jacobian = np.hstack([normals, np.cross(arms, normals)]) / sigmas[:, None]
    return np.asarray(jacobian.T @ jacobian)


def determined(hessian: Array, length_m: float) -> tuple[Array, Array]:
    """Eigenvalues `[6]` and eigenvectors `[6, 6]` (columns) of a Hessian without what noisy normals pretend.

    In units in which a rotation moves a point at `length_m` by metres, so that the six are comparable. Across a
    plane nothing is known, but noisy normals give about `_NORMAL_NOISE` of what is known along its normal; that much
    is taken off.
    """
    scale = np.array([1.0, 1.0, 1.0, length_m, length_m, length_m])
    values, vectors = np.linalg.eigh(hessian / np.outer(scale, scale))
    return np.maximum(values - _NORMAL_NOISE * values[-1], 0.0), vectors


def weakest_m(found: Support) -> float:
    """Standard deviation in metres of a pose in the direction that the points determine least; infinite if not at all.

    As if the inliers' errors were independent; a rotation counts by how far it moves a point at the typical distance.
    """
    if not len(found.points):
        return math.inf
    least = float(determined(found.hessian, found.rays.typical_m)[0][0])
    return 1.0 / math.sqrt(least) if least > 0.0 else math.inf


def fused(delta: Array, hessian: Array, prior: Array, length_m: float, inflation: float) -> tuple[Array, Array, int]:
    """What registration may change of the network's pose, and the covariance of the result.

    The network's estimate is the prior and the registration a measurement of it, so directions that the geometry does
    not determine keep the network's estimate and variance.

    Args:
        delta: the registered pose minus the network's, `[6]` in ROS order, map axes.
        hessian: see `Support`.
        prior: the network's covariance, 6x6.
        length_m: typical distance of the points.
        inflation: by which the independent errors that `hessian` assumes are too few.

    Returns:
        The part of `delta` to be applied, the covariance 6x6, and how many of the six directions are determined.
    """
    information, count = information_of(hessian, length_m, inflation)
    before = np.linalg.inv(prior)
    covariance = np.linalg.inv(information + before)
    covariance = 0.5 * (covariance + covariance.T)
    return covariance @ information @ delta, covariance, count


def information_of(hessian: Array, length_m: float, inflation: float) -> tuple[Array, int]:
    """What the points tell of the pose, 6x6, and how many directions they determine; arguments as of `fused`."""
    scale = np.array([1.0, 1.0, 1.0, length_m, length_m, length_m])
    values, vectors = determined(hessian, length_m)
    information = np.outer(scale, scale) * ((vectors * values) @ vectors.T) / inflation
    return information, int(np.count_nonzero(values))


def innovation(delta: Array, information: Array, expected: Array) -> float:
    """The squared Mahalanobis distance of a registered pose from an expected one, in what the points determine.

    Args:
        delta: the registered pose minus the expected one, `[6]`.
        information: of the registration, 6x6; it may be singular.
        expected: covariance of the expected pose, 6x6.
    """
    # (P + I^-1)^-1 = I - I (I + P^-1)^-1 I, which holds where I has no inverse as well (Woodbury).
    told = information @ delta
    return float(delta @ told - told @ np.linalg.solve(information + np.linalg.inv(expected), told))
