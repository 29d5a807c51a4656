# SPDX-License-Identifier: Apache-2.0
"""6x6 pose covariances in ROS order: x, y, z, rotation about x, y, z.

Metres and radians, both about the fixed axes of the parent frame (REP-103): an error is
`[p_est - p_true, log(R_est R_true^T)]`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mvloc_ros.geometry import se3

Array = NDArray[np.float64]


def pose_error(T_estimate: ArrayLike, T_truth: ArrayLike) -> Array:
    """Errors `[..., 6]` of estimated poses in the parent frame, metres and radians, in ROS order."""
    T_estimate, T_truth = np.asarray(T_estimate, dtype=np.float64), np.asarray(T_truth, dtype=np.float64)
    translation = T_estimate[..., :3, 3] - T_truth[..., :3, 3]
    rotation = T_estimate[..., :3, :3] @ np.swapaxes(T_truth[..., :3, :3], -1, -2)
    return np.concatenate([translation, se3.rotation_vector(rotation)], axis=-1)


def skew(v: ArrayLike) -> Array:
    """The 3x3 matrix of the cross product v x."""
    x, y, z = np.asarray(v, dtype=np.float64)
    return np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])


def at_least(covariance: ArrayLike, lower: ArrayLike) -> Array:
    """The covariance, raised to `lower` in the directions in which it is smaller; both positive definite.

    In the coordinates in which `lower` is the identity, eigenvalues below 1 become 1. What results is not smaller than
    either of the two in any direction.
    """
    root = np.linalg.cholesky(np.asarray(lower, dtype=np.float64))
    half = np.linalg.solve(root, np.asarray(covariance, dtype=np.float64))
    values, vectors = np.linalg.eigh(np.linalg.solve(root, half.T))
    spread = root @ vectors
    result = (spread * np.maximum(values, 1.0)) @ spread.T
    return 0.5 * (result + result.T)


def largest_deviations(covariance: ArrayLike) -> tuple[float, float]:
    """Standard deviations of a pose's position (m) and rotation (rad) in the directions in which they are largest."""
    covariance = np.asarray(covariance, dtype=np.float64)
    position, rotation = (np.linalg.eigvalsh(covariance[axes, axes])[-1] for axes in (slice(0, 3), slice(3, 6)))
    return float(np.sqrt(max(position, 0.0))), float(np.sqrt(max(rotation, 0.0)))


def through_extrinsic(covariance: ArrayLike, T_map_camera: ArrayLike, T_camera_base: ArrayLike) -> Array:
    """Covariance of `T_map_base = T_map_camera @ T_camera_base` from that of `T_map_camera`.

    The extrinsic is exact. A rotation error about the camera's origin moves the base by the lever arm
    `r = R_map_camera t_camera_base`: dp_base = dp + dtheta x r = dp - [r]x dtheta.
    """
    covariance = np.asarray(covariance, dtype=np.float64)
    lever = np.asarray(T_map_camera)[:3, :3] @ np.asarray(T_camera_base)[:3, 3]
    if not lever.any():
        return 0.5 * (covariance + covariance.T)
    jacobian = np.eye(6)
    jacobian[:3, 3:] = -skew(lever)
    result = jacobian @ covariance @ jacobian.T
    return 0.5 * (result + result.T)
