# SPDX-License-Identifier: Apache-2.0
"""Poses of a network on frames in memory, and their errors."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from mvloc_ros.geometry.covariance import pose_error
from mvloc_ros.training.datasets import PosedFrames, as_tensor, windows
from mvloc_ros.training.datasets.clips import Window
from mvloc_ros.training.networks.pose_network import PoseNetwork
from mvloc_ros.training.networks.vidloc import VidLoc
from mvloc_ros.training.normalisation import PoseNormalisation
from mvloc_ros.training.options import ClipConfig

CLIP_MEDIANS = 5.0
# An exactly known axis does not exist: a floor of 0.1 mm and 0.1 mrad keeps the covariance invertible.
MIN_VARIANCE = 1e-8
MANY_WINDOWS = 2000  # from which on a progress bar is worth its line


def predict(
    network: PoseNetwork,
    frames: PosedFrames,
    normalisation: PoseNormalisation,
    device: torch.device,
    batch_size: int,
    clips: ClipConfig,
) -> NDArray[np.float64]:
    """Poses `[N, 4, 4]` at the mean of the latent distribution; the network is left in training mode as found.

    A recurrent network sees windows like the `clips` of its training, and answers for every frame once.
    """
    was_training = network.training
    network.eval()
    values = []
    with torch.inference_mode():
        for start in range(0, len(frames), batch_size):
            part = slice(start, start + batch_size)
            arrays = (frames.color[part], frames.depth[part], frames.present[part])
            inputs = (as_tensor(array).to(device) for array in arrays)
            values.append(network.features(*inputs) if isinstance(network, VidLoc) else network(*inputs).pose)
        answers = torch.cat(values)
        if isinstance(network, VidLoc):
            answers = _through_windows(
                network, answers, windows(frames, clips.clip_length, clips.clip_skip, network.causal)
            )
    network.train(was_training)
    return normalisation.decode(answers.float().cpu().numpy())


def _through_windows(network: VidLoc, features: Tensor, among: list[Window]) -> Tensor:
    """Poses `[N, 6]` of features `[N, F]`, window by window."""
    poses = torch.empty(len(features), 6, device=features.device)
    for window in tqdm(among, desc="clips", unit="clip", leave=False, disable=len(among) < MANY_WINDOWS):
        found, _ = network.poses(features[torch.from_numpy(window.frames)].unsqueeze(0))
        poses[torch.from_numpy(window.frames[window.answers])] = found[0, window.answers].float()
    return poses


def constant_pose(normalisation: PoseNormalisation, count: int) -> NDArray[np.float64]:
    """The mean training pose `count` times: what knowing nothing of the images achieves."""
    return normalisation.decode(np.zeros((count, 6)))


def residual_variance(estimates: NDArray[np.float64], truth: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean square error per axis `[6]`: x, y, z in m^2, rotations about the map's axes in rad^2.

    Errors are clipped at five times the median absolute error of their axis (3.4 standard deviations of
    a Gaussian), so that a few frames far off do not decide. The mean square includes the bias, which
    the user of a pose sees as error like any other.
    """
    errors = np.abs(pose_error(estimates, truth))
    limit = CLIP_MEDIANS * np.median(errors, axis=0)
    return np.maximum(np.mean(np.minimum(errors, limit) ** 2, axis=0), MIN_VARIANCE)


def spread_variance(normalisation: PoseNormalisation, poses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean square distance per axis `[6]` of poses from the mean training pose, in the units of `residual_variance`.

    Not clipped: it stands for a network of which nothing is known, and shall not promise too much.
    """
    errors = pose_error(constant_pose(normalisation, len(poses)), poses)
    return np.maximum(np.mean(errors**2, axis=0), MIN_VARIANCE)
