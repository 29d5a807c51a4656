# SPDX-License-Identifier: Apache-2.0
"""Baselines that need no localization, to compare errors with.

"constant pose" answers the middle of the training poses for every image. "nearest training pose" is what a perfect
retrieval of one image would answer; it uses the truth, so it is not a method. It is no bound for a retrieval that
averages the poses of several images: their mean can be nearer to the truth than each of them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mvloc_ros.evaluation.pose_errors import PoseErrors
from mvloc_ros.geometry import quaternion, se3

Array = npt.NDArray[np.float64]

NEAREST_MEASURE = "distance in cm + angle in degrees"


def constant_pose(training: Array) -> Array:
    """4x4 of the per-axis median position and the mean rotation of training poses [M, 4, 4]."""
    positions, orientations = se3.to_parts(training)
    return se3.from_parts(np.median(positions, axis=0), quaternion.mean(orientations))


def constant_pose_errors(training: Array, truth: Array) -> PoseErrors:
    """Errors of answering the constant pose of training poses [M, 4, 4] for every true pose [N, 4, 4]."""
    return PoseErrors.of(np.broadcast_to(constant_pose(training), truth.shape), truth)


def nearest_training_poses(training: Array, truth: Array) -> Array:
    """For each true pose [N, 4, 4] the nearest of the training poses [M, 4, 4], by NEAREST_MEASURE."""
    nearest = np.empty_like(truth)
    for i, pose in enumerate(truth):
        centimetres = 100.0 * se3.translation_error(training, pose)
        degrees = np.degrees(se3.rotation_error(training, np.broadcast_to(pose, training.shape)))
        nearest[i] = training[int(np.argmin(centimetres + degrees))]
    return nearest
