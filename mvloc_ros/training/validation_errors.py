# SPDX-License-Identifier: Apache-2.0
"""The errors of a trained network on its validation frames: what a bundle states as its accuracy and covariance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from mvloc_ros.evaluation.baselines import constant_pose_errors
from mvloc_ros.evaluation.pose_errors import PoseErrors
from mvloc_ros.recordings import PosedFolder
from mvloc_ros.training.datasets import PosedFrames, ReadOptions, read_frames
from mvloc_ros.training.frame_selection import split_records, training_poses
from mvloc_ros.training.predict import predict, residual_variance, spread_variance
from mvloc_ros.training.trained_network import TrainedNetwork


@dataclass(frozen=True, eq=False)
class ValidationErrors:
    """The errors of a network, and the frames that they were measured on.

    Attributes:
        frames: the validation frames; of a run without them the training frames.
        variance: `[6]`, as `Manifest.residual_variance`.
        covariance_of: in words, what that variance was measured on.
        estimates: `[N, 4, 4]`, the poses of the validation frames by the network; None without validation frames.
        errors, baseline: of the network and of the constant pose on the validation frames; None without them.
    """

    frames: PosedFrames
    variance: NDArray[np.float64]
    covariance_of: str
    estimates: NDArray[np.float64] | None = None
    errors: PoseErrors | None = None
    baseline: PoseErrors | None = None


def measure_errors(network: TrainedNetwork, folder: PosedFolder, reading: ReadOptions) -> ValidationErrors | None:
    """The errors of a network on its validation frames; None if the folder does not have the data of its training.

    Errors on training frames do not predict those on new frames. Without validation frames the covariance is that of
    always answering the mean training pose, since the network may not be better.
    """
    config, described = network.config, network.run["data"]
    trained, held = split_records(config, folder)
    if not network.is_validated:
        frames = read_frames(config.input, folder, trained, "training", reading)
        if frames.digest() != described["digest"]:
            return None
        variance = spread_variance(network.normalisation, frames.poses)
        return ValidationErrors(frames, variance, "the training poses about their mean: no frames were held out")
    frames = read_frames(config.input, folder, held, "validation", reading)
    if frames.digest() != described["validation_digest"]:
        return None
    estimates = predict(network.network, frames, network.normalisation, torch.device("cpu"), 1, config.clips)
    errors = PoseErrors.of(estimates, frames.poses)
    baseline = constant_pose_errors(training_poses(network, folder, refitted=False), frames.poses)
    variance = residual_variance(estimates, frames.poses)
    return ValidationErrors(frames, variance, "the validation frames", estimates, errors, baseline)
