# SPDX-License-Identifier: Apache-2.0
"""Whether anything that the network gives with a pose tells how wrong that pose is.

Candidates, each scaled by validation frames and mixed with a constant variance:

    spread         of the poses of 20 samples of the latent distribution (fixed noise)
    disagreement   of the pose from colour alone and the pose from depth alone
    divergence     of the latent distribution from its prior (KL)
    novelty        distance of the pose to the nearest one that the network was trained on, in standard deviations

For each share of the candidate in the variance: the log-likelihood of validation blocks under a variance fitted to the
other blocks, of the test frames under one fitted to all blocks, and the area between sparsification curves (AUSE) that
the candidate has on both. It helps if it raises the first; the test columns are for the reader.

    python -m bench.uncertainty runs/my_place --data my_place
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from mvloc_ros.evaluation.consistency import sparsification
from mvloc_ros.geometry import se3
from mvloc_ros.geometry.covariance import pose_error
from mvloc_ros.recordings import FrameRecord
from mvloc_ros.training.datasets import PosedFrames, ReadOptions, open_usable_folder, read_frames
from mvloc_ros.training.frame_selection import split_records, usable_records
from mvloc_ros.training.networks.mvloc import MVLoc
from mvloc_ros.training.trained_network import TrainedNetwork, read_refit, read_selected

Array = NDArray[np.float64]

SAMPLES = 20
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
BLOCKS = {"position": slice(0, 3), "rotation": slice(3, 6)}


def observe(trained: TrainedNetwork, frames: PosedFrames) -> tuple[Array, dict[str, Array]]:
    """Poses `[N, 4, 4]`, and per candidate what stands for a variance of position and rotation, `[N, 2]`."""
    network, decode = trained.network, trained.normalisation.decode
    assert isinstance(network, MVLoc), "only mvloc has a latent distribution and two experts"
    network.eval()
    noise = torch.randn(SAMPLES, trained.config.network.latent_size, generator=torch.Generator().manual_seed(0))
    estimates: list[Array] = []
    found: dict[str, list[Array]] = {name: [] for name in ("spread", "disagreement", "divergence")}
    with torch.inference_mode():
        for i in range(len(frames)):
            color, depth, present = (
                torch.from_numpy(np.array(array[i : i + 1])) for array in (frames.color, frames.depth, frames.present)
            )
            joint = network.encode(color, depth, present)
            latents = torch.cat([joint.mean, joint.mean + torch.exp(0.5 * joint.log_variance) * noise])
            single = [network.encode(color, depth, torch.tensor([mask])).mean for mask in ((1.0, 0.0), (0.0, 1.0))]
            poses = decode(network.decode(torch.cat([latents, *single])).numpy())
            estimates.append(poses[0])
            apart = pose_error(poses[1 : 1 + SAMPLES], np.broadcast_to(poses[0], (SAMPLES, 4, 4)))
            found["spread"].append(_sizes(np.mean(apart**2, axis=0)))
            found["disagreement"].append(_sizes(pose_error(poses[-2], poses[-1]) ** 2))
            divergence = 0.5 * torch.sum(joint.log_variance.exp() + joint.mean**2 - 1.0 - joint.log_variance)
            found["divergence"].append(np.full(2, float(divergence)))
    return np.array(estimates), {name: np.array(values) for name, values in found.items()}


def novelty(poses: Array, seen: Sequence[FrameRecord], errors: Array) -> Array:
    """Squared distance to the nearest training pose, `[N, 2]`, in the network's mean squared errors `[M, 6]`."""
    known = np.array([record.T_map_camera for record in seen])
    metres, radians = np.mean(np.square(errors), axis=0).reshape(2, 3).sum(axis=1)
    squares = [
        np.min(
            np.sum((pose[:3, 3] - known[:, :3, 3]) ** 2, axis=1) / metres
            + se3.rotation_error(np.broadcast_to(pose, known.shape), known) ** 2 / radians
        )
        for pose in poses
    ]
    return np.repeat(np.array(squares)[:, None], 2, axis=1)


def _sizes(squares: Array) -> Array:
    return np.array([squares[:3].sum(), squares[3:].sum()])


def likelihood(errors: Array, size: Array, of_errors: Array, of_size: Array, share: float) -> float:
    """Mean Gaussian log-likelihood (no constant) of `of_errors` `[M, 3]`, isotropic, scaled by `errors` `[N, 3]`."""
    mean = float(np.mean(size))
    weight, of_weight = (1.0 - share + share * values / mean for values in (size, of_size))
    variance = np.mean(np.sum(errors**2, axis=1) / 3.0 / weight) * of_weight
    return -float(np.mean(0.5 * np.sum(of_errors**2, axis=1) / variance + 1.5 * np.log(variance)))


def ause(errors: Array, uncertainty: Array) -> float:
    """Area between the sparsification curves of `uncertainty` and of an oracle."""
    return float(np.mean(sparsification(errors, uncertainty) - sparsification(errors, errors)))


def main() -> None:
    """Print one table for position and one for rotation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of `mvloc train`")
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER")
    arguments = parser.parse_args()
    selected = read_selected(arguments.run, False)
    final = read_refit(arguments.run, False) or selected
    reading = ReadOptions()
    folder = open_usable_folder(arguments.data, selected.run["test_fraction"], reading)
    config = selected.config
    validation = read_frames(config.input, folder, split_records(config, folder)[1], "validation", reading)
    test = read_frames(config.input, folder, usable_records(config, folder.test), "test", reading)
    (poses, found), (test_poses, test_found) = observe(selected, validation), observe(final, test)
    errors, test_errors = pose_error(poses, validation.poses), pose_error(test_poses, test.poses)
    seen = split_records(config, folder)[0]
    found["novelty"] = novelty(poses, seen, errors)
    test_found["novelty"] = novelty(
        test_poses, seen if final is selected else usable_records(config, folder.train), errors
    )
    blocks = np.array(validation.sequences)
    for column, (name, axes) in enumerate(BLOCKS.items()):
        sizes, test_sizes = (np.linalg.norm(values[:, axes], axis=1) for values in (errors, test_errors))
        flat, test_flat = (ause(values, np.ones(len(values))) for values in (sizes, test_sizes))
        print(f"\n{name}: AUSE of a constant {flat:.3f} (validation), {test_flat:.3f} (test)")
        print(f"{'candidate':14}{'share':>7}{'validation, held-out blocks':>30}{'test':>9}{'AUSE':>9}{'on test':>9}")
        for candidate, values in found.items():
            size, test_size = values[:, column], test_found[candidate][:, column]
            for share in SHARES:
                held = [
                    (
                        likelihood(errors[~inside, axes], size[~inside], errors[inside, axes], size[inside], share),
                        inside,
                    )
                    for inside in (blocks == block for block in np.unique(blocks))
                ]
                crossed = sum(value * np.count_nonzero(inside) for value, inside in held) / len(errors)
                on_test = likelihood(errors[:, axes], size, test_errors[:, axes], test_size, share)
                areas = (ause(sizes, size), ause(test_sizes, test_size)) if share else (flat, test_flat)
                print(f"{candidate:14}{share:>7.2f}{crossed:>30.2f}{on_test:>9.2f}{areas[0]:>9.3f}{areas[1]:>9.3f}")


if __name__ == "__main__":
    main()
