# SPDX-License-Identifier: Apache-2.0
"""How far a network errs with one of the two images: what the node says when a camera fails."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from mvloc_ros.training.datasets import PosedFrames
from mvloc_ros.training.predict import predict
from mvloc_ros.training.trained import TrainedNetwork

COLOR, DEPTH = 0, 1


def single_modality_poses(trained: TrainedNetwork, validation: PosedFrames, kept: int) -> NDArray[np.float64] | None:
    """The network's poses `[N, 4, 4]` with the expert of the other modality dropped.

    Args:
        trained: the network that is judged.
        validation: its validation frames.
        kept: `COLOR` or `DEPTH`.

    Returns:
        NaN where a frame lacks the kept one; None where all do, or the network looks at nothing of it.
    """
    present = np.zeros_like(validation.present)
    present[:, kept] = 1.0
    known = validation.present[:, kept] > 0.0
    frames = _only(replace(validation, present=present), known)
    if not len(frames) or not _uses(trained, frames, kept):
        return None
    poses = np.full((len(validation), 4, 4), np.nan)
    poses[known] = predict(trained.network, frames, trained.normalisation, torch.device("cpu"), 1, trained.config.clips)
    return poses


def _only(frames: PosedFrames, chosen: np.ndarray) -> PosedFrames:
    return PosedFrames(
        frames.color[chosen],
        frames.depth[chosen],
        frames.present[chosen],
        frames.poses[chosen],
        frames.stamps_ns[chosen],
        tuple(name for name, is_chosen in zip(frames.sequences, chosen, strict=True) if is_chosen),
    )


def _uses(trained: TrainedNetwork, frames: PosedFrames, kept: int) -> bool:
    """Whether the modality's expert has a share in the first frame's pose."""
    was_training = trained.network.training
    trained.network.eval()
    with torch.inference_mode():
        inputs = (torch.from_numpy(array[:1]) for array in (frames.color, frames.depth, frames.present))
        share = trained.network(*inputs).expert_share[0, 1 + kept]
    trained.network.train(was_training)
    return bool(share > 0.0)
