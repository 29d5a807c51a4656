# SPDX-License-Identifier: Apache-2.0
"""Poses of a network with one modality missing, as in the node when a camera fails."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from mvloc_ros.training.datasets import PosedFrames
from mvloc_ros.training.predict import evaluation_mode, input_batches, predict
from mvloc_ros.training.trained_network import TrainedNetwork


def single_modality_poses(trained: TrainedNetwork, validation: PosedFrames, kept: int) -> NDArray[np.float64] | None:
    """Poses `[N, 4, 4]` of the network without the experts of all other modalities.

    Args:
        trained: the network.
        validation: its validation frames.
        kept: the modality that remains: its column of `PosedFrames.present`.

    Returns:
        NaN for frames that lack the modality; None if all do, or if the network does not use it.
    """
    known = validation.present[:, kept] > 0.0
    frames = validation.only(kept).chosen(known)
    if not len(frames) or not _uses(trained, frames, kept):
        return None
    poses = np.full((len(validation), 4, 4), np.nan)
    poses[known] = predict(trained.network, frames, trained.normalisation, torch.device("cpu"), 1, trained.config.clips)
    return poses


def _uses(trained: TrainedNetwork, frames: PosedFrames, kept: int) -> bool:
    """Whether the modality's expert has a share in the first frame's pose."""
    with evaluation_mode(trained.network), torch.inference_mode():
        inputs = next(input_batches(frames, 1, torch.device("cpu")))
        return bool(trained.network(*inputs).expert_share[0, 1 + kept] > 0.0)
