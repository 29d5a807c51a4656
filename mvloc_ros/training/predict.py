# SPDX-License-Identifier: Apache-2.0
"""Poses of a network for frames in memory, and their variance."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from mvloc_ros.geometry.covariance import pose_error
from mvloc_ros.training.datasets import PosedFrames, as_tensor, windows
from mvloc_ros.training.datasets.clips import Window
from mvloc_ros.training.networks.pose_network import PoseNetwork
from mvloc_ros.training.networks.vidloc import VidLoc
from mvloc_ros.training.normalisation import PoseNormalisation
from mvloc_ros.training.options import ClipConfig

CLIP_MEDIANS = 5.0
# A floor of 0.1 mm and 0.1 mrad keeps the covariance invertible.
MIN_VARIANCE = 1e-8
MANY_WINDOWS = 2000  # from this number on with a progress bar


def predict(
    network: PoseNetwork,
    frames: PosedFrames,
    normalisation: PoseNormalisation,
    device: torch.device,
    batch_size: int,
    clips: ClipConfig,
) -> NDArray[np.float64]:
    """Poses `[N, 4, 4]` at the mean of the latent distribution; the mode of the network is kept.

    A recurrent network gets windows like the `clips` of its training, which give one pose per frame.
    """
    with evaluation_mode(network), torch.inference_mode():
        batches = input_batches(frames, batch_size, device)
        if isinstance(network, VidLoc):
            features = torch.cat([network.features(*inputs) for inputs in batches])
            among = windows(frames, clips.clip_length, clips.clip_skip, network.causal)
            poses = _poses_of_windows(network, features, among)
        else:
            poses = torch.cat([network(*inputs).pose for inputs in batches])
    return normalisation.decode(poses.float().cpu().numpy())


@contextmanager
def evaluation_mode(network: nn.Module) -> Iterator[None]:
    """Evaluation mode (no dropout, fixed batch norms) within this; afterwards the mode that was found."""
    was_training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(was_training)


def input_batches(frames: PosedFrames, batch_size: int, device: torch.device) -> Iterator[list[Tensor]]:
    """Color, depth and presence of all frames, batch by batch in their order."""
    for start in range(0, len(frames), batch_size):
        yield [as_tensor(array).to(device) for array in frames.inputs(slice(start, start + batch_size))]


def _poses_of_windows(network: VidLoc, features: Tensor, among: list[Window]) -> Tensor:
    """Poses `[N, 6]` of features `[N, F]`, window by window."""
    poses = torch.empty(len(features), 6, device=features.device)
    for window in tqdm(among, desc="clips", unit="clip", leave=False, disable=len(among) < MANY_WINDOWS):
        found, _ = network.poses(features[torch.from_numpy(window.frames)].unsqueeze(0))
        poses[torch.from_numpy(window.frames[window.answers])] = found[0, window.answers].float()
    return poses


def residual_variance(estimates: NDArray[np.float64], truth: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean square error per axis `[6]`: x, y, z in m^2, rotations about the map's axes in rad^2.

    Errors are clipped at five times the median absolute error of their axis (3.4 standard deviations of a Gaussian), so
    that a few outliers do not dominate. The mean square includes the bias, which is an error for the user of a pose.
    """
    errors = np.abs(pose_error(estimates, truth))
    limit = CLIP_MEDIANS * np.median(errors, axis=0)
    return np.maximum(np.mean(np.minimum(errors, limit) ** 2, axis=0), MIN_VARIANCE)


def spread_variance(normalisation: PoseNormalisation, poses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean square distance per axis `[6]` of poses from the mean training pose, in the units of `residual_variance`.

    Not clipped: it is used for a network of unknown accuracy, and must not be too optimistic.
    """
    errors = pose_error(normalisation.mean_pose(len(poses)), poses)
    return np.maximum(np.mean(errors**2, axis=0), MIN_VARIANCE)
