# SPDX-License-Identifier: Apache-2.0
"""A view aligned to what others have seen, by depth and colour together.

Depth: distances of the view's points from the planes of their nearest neighbors (Chen and Medioni, 1992). Colour:
distances between matched local features. A wall has no geometry along it and a dark corner no texture, so both are in
one least-squares problem, each weighted by its noise, so that the matrix of the normal equations is the information of
the pose: its weak directions are those that nothing determines. Errors beyond the noise count less (Geman-McClure).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import small_gicp
from numpy.typing import NDArray

from mvloc_ros.geometry.covariance import largest_deviations, pose_error, skew
from mvloc_ros.geometry.depth_noise import depth_noise
from mvloc_ros.geometry.voxels import sum_by_key, voxel_keys
from mvloc_ros.localization.local_features import Matches
from mvloc_ros.localization.motion import moved
from mvloc_ros.posing.view import View

Array = NDArray[np.float64]

# Distance of neighbors in metres, iterations, and the largest step that ends a stage.
_STAGES = ((0.25, 8, 4e-3), (0.10, 8, 2e-3), (0.05, 10, 3e-4))
_MOST_POINTS = 2500
# Noise of what is aligned to, where the depth's own is less: fused surfaces, normals of curved ones.
_SURFACE_M = 0.004
# Of a feature: its pixel (of 277 pixels' focal length) sideways, its depth along the ray; matched corners are rougher.
_FEATURE_M, _FEATURE_SHARE = 0.006, 0.006
# Errors of neighboring pixels are alike (disparity is rounded, bands of a Kinect): so much of a point's information
# is its own. Features are few and far between.
_OWN, _OWN_OF_FEATURE = 0.03, 0.5
# Beyond this many standard deviations an error counts less and less.
_CUTOFF = 3.0
# Square of the sine of what normals err by, 6 degrees.
_NORMAL_NOISE = 0.01
_NORMALS_AGREE = 0.5
_IN_REACH_M = 0.3
_INLIER_SIGMAS = 3.0


@dataclass(frozen=True, eq=False)
class Target:
    """A surface to align to, with its search tree; normals of length 1 or 0."""

    points: Array
    normals: Array
    tree: small_gicp.KdTree

    @staticmethod
    def of(points: Array, normals: Array, spacing_m: float) -> Target:
        """One point to a cube: the mean of those in it."""
        origin = np.round(points.mean(axis=0))
        rows = np.hstack([points - origin, normals, np.ones((len(points), 1))])
        sums = sum_by_key(voxel_keys(points - origin, spacing_m), rows)[1]
        places = np.ascontiguousarray(sums[:, :3] / sums[:, 6:] + origin)
        length = np.linalg.norm(sums[:, 3:6], axis=1, keepdims=True)
        # Normals that cancel each other are of a thin board or an edge: they tell no plane.
        mean = np.where(length > 0.5 * sums[:, 6:], sums[:, 3:6] / np.maximum(length, 1e-9), 0.0)
        return Target(places, np.ascontiguousarray(mean), small_gicp.KdTree(small_gicp.PointCloud(places)))


@dataclass(frozen=True, eq=False)
class Prior:
    """A pose (4x4) that is expected, and its information `[6, 6]`: position, rotation, in the target's axes."""

    T: Array
    information: Array


@dataclass(frozen=True, eq=False)
class Aligned:
    """Where a view lies in the target's frame.

    Attributes:
        T: 4x4.
        information: `[6, 6]` of depth and features, without the prior; position and rotation in the target's axes.
        inlier_ratio: of the points that have a surface within 0.3 m, the share that lies on it within its noise.
        in_reach: share of the view's points that have one.
        residual_m: root mean square distance of these inliers from their planes.
        matches: features that agree with the pose.
    """

    T: Array
    information: Array
    inlier_ratio: float
    in_reach: float
    residual_m: float
    matches: int

    @property
    def spread(self) -> tuple[float, float]:
        """Largest standard deviation of position (m) and rotation (rad) in any direction."""
        return spread_of(self.information)


def spread_of(information: Array) -> tuple[float, float]:
    """Largest standard deviation of position (m) and rotation (rad) in any direction, of an information `[6, 6]`."""
    return largest_deviations(np.linalg.inv(information + 1e-3 * np.eye(6)))


def align(
    view: View,
    target: Target,
    start: Array,
    matches: Matches | None = None,
    prior: Prior | None = None,
    *,
    is_near: bool = False,
) -> Aligned:
    """Move a starting pose (4x4) to where the view fits.

    Args:
        view: the frame.
        target: what was seen before.
        start: 4x4, camera in the target's frame.
        matches: features of the view and where they are in the target's frame.
        prior: what is expected from elsewhere.
        is_near: the start is within a decimeter.
    """
    step = max(1, len(view.points) // _MOST_POINTS)
    points, normals = view.points[::step], view.normals[::step]
    sigma = np.hypot(depth_noise(points[:, 2]), _SURFACE_M)
    # A tenth more or less of the points must not make the pose surer.
    own = _OWN * step
    T = np.array(start, dtype=np.float64)
    for reach_m, rounds, enough in _STAGES[1:] if is_near else _STAGES:
        loose = reach_m / _STAGES[-1][0]
        for _ in range(rounds):
            H, b = _geometry(points, normals, sigma, target, T, reach_m, loose)
            H, b = own * H, own * b
            if matches is not None and len(matches.seen):
                more = _features(matches, T, loose)
                H, b = H + more[0], b + more[1]
            if prior is not None:
                error = pose_error(prior.T, T)
                H, b = H + prior.information, b + prior.information @ error
            delta = np.asarray(np.linalg.solve(H + 1e-6 * np.eye(6), b), dtype=np.float64)
            T = moved(T, delta)
            if max(np.linalg.norm(delta[:3]), np.linalg.norm(delta[3:])) < enough:
                break
    return _judged(points, normals, sigma, own, target, T, matches)


def _pairs(
    points: Array, normals: Array, target: Target, T: Array, reach_m: float
) -> tuple[NDArray[np.intp], Array, Array, Array, Array]:
    """Which points have a plane in reach, its normal, the distance along it, the arm, and whether it faces alike."""
    arms = points @ T[:3, :3].T
    index, squared = target.tree.batch_knn_search(arms + T[:3, 3], 1, 1)
    index = np.asarray(index)[:, 0].astype(np.intp)
    near = np.flatnonzero(np.asarray(squared)[:, 0] < reach_m**2)
    index, arms = index[near], arms[near]
    plane = target.normals[index]
    facing = np.einsum("ni,ni->n", normals[near] @ T[:3, :3].T, plane)
    distance = np.einsum("ni,ni->n", target.points[index] - arms - T[:3, 3], plane)
    return near, plane, distance, arms, facing


def _geometry(
    points: Array, normals: Array, sigma: Array, target: Target, T: Array, reach_m: float, loose: float
) -> tuple[Array, Array]:
    near, plane, distance, arms, facing = _pairs(points, normals, target, T, reach_m)
    scaled = distance / (loose * sigma[near])
    weight = np.where(facing > _NORMALS_AGREE, _robust(scaled) / sigma[near] ** 2, 0.0)
    J = np.hstack([plane, np.cross(arms, plane)])
    return (J * weight[:, None]).T @ J, J.T @ (weight * distance)


def _features(matches: Matches, T: Array, loose: float) -> tuple[Array, Array]:
    arms = matches.seen @ T[:3, :3].T
    apart = matches.mapped - arms - T[:3, 3]
    sigma = _feature_sigma(matches)
    weight = _OWN_OF_FEATURE * _robust(np.linalg.norm(apart, axis=1) / (loose * sigma)) / sigma**2
    total = float(weight.sum())
    mean = weight @ arms
    cross = -skew(mean)
    squares = (arms * weight[:, None]).T @ arms
    H = np.block([[total * np.eye(3), cross], [cross.T, np.trace(squares) * np.eye(3) - squares]])
    return H, np.concatenate([weight @ apart, (np.cross(arms, apart) * weight[:, None]).sum(axis=0)])


def _feature_sigma(matches: Matches) -> Array:
    z = np.linalg.norm(matches.seen, axis=1)
    return np.asarray(_FEATURE_M + _FEATURE_SHARE * z)


def _robust(scaled: Array) -> Array:
    """Weights of errors in standard deviations (Geman-McClure)."""
    return np.asarray((_CUTOFF**2 / (_CUTOFF**2 + scaled**2)) ** 2)


def _judged(
    points: Array, normals: Array, sigma: Array, own: float, target: Target, T: Array, matches: Matches | None
) -> Aligned:
    near, plane, distance, arms, facing = _pairs(points, normals, target, T, _IN_REACH_M)
    is_inlier = (np.abs(distance) < _INLIER_SIGMAS * sigma[near]) & (facing > _NORMALS_AGREE)
    J = np.hstack([plane, np.cross(arms, plane)])[is_inlier]
    weight = own / sigma[near][is_inlier] ** 2
    information = _without_noise((J * weight[:, None]).T @ J)
    agree = 0
    if matches is not None and len(matches.seen):
        apart = np.linalg.norm(matches.mapped - matches.seen @ T[:3, :3].T - T[:3, 3], axis=1)
        inlier = apart < _INLIER_SIGMAS * _feature_sigma(matches)
        agree = int(np.count_nonzero(inlier))
        information = information + _features(Matches(matches.seen[inlier], matches.mapped[inlier]), T, 1.0)[0]
    count = int(np.count_nonzero(is_inlier))
    return Aligned(
        T=T,
        information=information,
        inlier_ratio=count / max(1, len(near)),
        in_reach=len(near) / max(1, len(points)),
        residual_m=float(np.sqrt(np.mean(distance[is_inlier] ** 2))) if count else float("inf"),
        matches=agree,
    )


def _without_noise(information: Array) -> Array:
    """Information `[6, 6]` without what noisy normals feign: that of a flat wall has some along it, too."""
    found = np.array(information)
    for block in (slice(0, 3), slice(3, 6)):
        found[block, block] -= _NORMAL_NOISE * float(np.linalg.eigvalsh(information[block, block])[-1]) * np.eye(3)
    values, vectors = np.linalg.eigh(found)
    return np.asarray((vectors * np.maximum(values, 0.0)) @ vectors.T)


def distances(view: View, target: Target, T: Array) -> Array:
    """Distances in metres of the view's points from the planes they lie on at a pose (4x4), of those within 0.1 m."""
    _, _, distance, _, facing = _pairs(view.points, view.normals, target, T, _STAGES[1][0])
    return np.asarray(distance[facing > _NORMALS_AGREE])
