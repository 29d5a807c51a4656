# SPDX-License-Identifier: Apache-2.0
"""The latent's unit at the start of stage 2: another scale, the same poses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mvloc_ros.training import checkpoint
from mvloc_ros.training.config import TrainingConfig
from mvloc_ros.training.datasets import PosedFrames
from mvloc_ros.training.latent_scale import noise_of_samples, set_noise
from mvloc_ros.training.networks.mvloc import MVLoc
from mvloc_ros.training.options import InputConfig, NetworkConfig
from mvloc_ros.training.train import train

NETWORK = NetworkConfig(width=0.125, latent_size=16, dropout=0.3)


@pytest.fixture
def frames() -> PosedFrames:
    rng = np.random.default_rng(3)
    color = rng.integers(0, 256, (40, 32, 40, 3), dtype=np.uint8)
    depth = rng.uniform(0.2, 5.0, (40, 32, 40)).astype(np.float32)
    present = np.ones((40, 2), dtype=np.float32)
    present[::4, 0], present[1::4, 1] = 0.0, 0.0
    return PosedFrames(color, depth, present, np.tile(np.eye(4), (40, 1, 1)), np.arange(40), ("one",) * 40)


def outputs(network: MVLoc, frames: PosedFrames) -> tuple[torch.Tensor, ...]:
    with torch.no_grad():
        network.eval()
        found = network(*(torch.from_numpy(array) for array in (frames.color, frames.depth, frames.present)))
        network.train()
    return tuple(found)


def test_the_noise_is_as_asked_and_no_pose_changes(frames: PosedFrames) -> None:
    torch.manual_seed(0)
    network = MVLoc(NETWORK, InputConfig(short_side=32)).train()
    pose, mean, log_variance, share = outputs(network, frames)
    spread = (mean - mean.mean(dim=0)).square().mean(dim=0).sqrt()
    by_hand = (log_variance.exp().mean(dim=0).sqrt() / spread).median().item()
    assert noise_of_samples(network, frames) == pytest.approx(by_hand, rel=1e-4)
    factor = set_noise(network, frames, 0.25)
    assert factor == pytest.approx(by_hand / 0.25, rel=1e-4)
    assert abs(factor - 1.0) > 0.5, "the test must change something"
    assert network.training
    assert noise_of_samples(network, frames) == pytest.approx(0.25, rel=1e-4)
    after = outputs(network, frames)
    torch.testing.assert_close(after[0], pose, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(after[1], factor * mean, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(after[2], log_variance)
    torch.testing.assert_close(after[3], share)


def test_the_second_stage_begins_with_it(
    tiny_folder: Path, tmp_path: Path, tiny_config: TrainingConfig, no_augmentation: dict[str, int]
) -> None:
    """Hardly moving from its start, stage 2 has the poses of stage 1 and the latent of its own unit."""
    options = no_augmentation | {"epochs": 1, "latent_size": 16, "validation_fraction": 0.0}
    first = tiny_config.with_options(options | {"stage": "1"})
    train(first, tiny_folder, tmp_path / "one", "cpu", None, 0.2)
    changes = {"stage": "2", "stage2_epochs": 1, "stage2_learning_rate": 1e-9, "samples": 2, "latent_noise": 0.1}
    second = first.with_options(changes)
    stages = replace(second.stages, latent_noise=0.0)
    means = {}
    for name, config in (("scaled", second), ("plain", replace(second, stages=stages))):
        train(config, tiny_folder, tmp_path / name, "cpu", None, 0.2, start_from=tmp_path / "one")
        means[name] = checkpoint.load(tmp_path / name / "last.pt")["network"]["color.mean.weight"]
    of_first = checkpoint.load(tmp_path / "one" / "last.pt")["network"]["color.mean.weight"]
    torch.testing.assert_close(means["plain"], of_first, rtol=1e-3, atol=1e-6)
    factor = (means["scaled"] / of_first).median()
    assert factor > 2.0
    torch.testing.assert_close(means["scaled"], factor * of_first, rtol=1e-3, atol=1e-5)
