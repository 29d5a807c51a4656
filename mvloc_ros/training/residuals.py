# SPDX-License-Identifier: Apache-2.0
"""What a bundle may say of its network's errors, and which frames the network was trained on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from mvloc_ros.evaluation.pose_errors import PoseErrors
from mvloc_ros.recordings import FrameRecord, PosedFolder
from mvloc_ros.training.datasets import PosedFrames, Reading, read_frames
from mvloc_ros.training.predict import constant_pose, predict, residual_variance, spread_variance
from mvloc_ros.training.records import split_records, visible
from mvloc_ros.training.trained import TrainedNetwork


@dataclass(frozen=True, eq=False)
class Judgement:
    """What is known of a network's errors, and real frames to compare ONNX Runtime and PyTorch on.

    Attributes:
        frames: the held-out frames, or the training frames of a run that held none out.
        variance: `[6]`, as `Manifest.residual_variance`.
        covariance_of: in words, what that is the variance of.
        estimates: `[N, 4, 4]`, the network's poses of the held-out frames; None where there are none.
        errors, baseline: of the network and of a constant pose on the held-out frames; None where there are none.
    """

    frames: PosedFrames
    variance: NDArray[np.float64]
    covariance_of: str
    estimates: NDArray[np.float64] | None = None
    errors: PoseErrors | None = None
    baseline: PoseErrors | None = None


def judge_residuals(judged: TrainedNetwork, folder: PosedFolder, reading: Reading) -> Judgement | None:
    """The network's errors on the frames that were held out of its training; None where the folder holds other data.

    Errors on training frames say nothing of others. Of a run that held none out nothing is known but where the
    training frames were: its covariance is that of always answering their mean pose, which the network may be no
    better than.
    """
    config, described = judged.config, judged.run["data"]
    trained, held = split_records(config, folder)
    if not judged.is_validated:
        frames = read_frames(config.input, folder, trained, "training", reading)
        if frames.digest() != described["digest"]:
            return None
        variance = spread_variance(judged.normalisation, frames.poses)
        return Judgement(frames, variance, "the training poses about their mean: no frames were held out")
    frames = read_frames(config.input, folder, held, "validation", reading)
    if frames.digest() != described["validation_digest"]:
        return None
    estimates = predict(judged.network, frames, judged.normalisation, torch.device("cpu"), 1, config.clips)
    errors = PoseErrors.of(estimates, frames.poses)
    baseline = PoseErrors.of(constant_pose(judged.normalisation, len(frames)), frames.poses)
    variance = residual_variance(estimates, frames.poses)
    return Judgement(frames, variance, "the validation frames", estimates, errors, baseline)


def trained_records(network: TrainedNetwork, refitted: bool, folder: PosedFolder) -> list[FrameRecord]:
    """The records that a network was trained on."""
    config = network.config
    records = visible(config, folder.train) if refitted else split_records(config, folder)[0]
    lost = {(sequence, index) for sequence, index in network.run["data"].get("lost", [])}
    return [record for record in records if (record.sequence, record.index) not in lost]
