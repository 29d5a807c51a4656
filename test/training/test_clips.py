# SPDX-License-Identifier: Apache-2.0
"""Clips of frames and MapNet's objective."""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mvloc_ros.training import checkpoint, verbs
from mvloc_ros.training.clip_objective import ClipObjective
from mvloc_ros.training.datasets import PosedFrames, clip_indices
from mvloc_ros.training.errors import TrainingError
from mvloc_ros.training.networks.posenet import PoseNet
from mvloc_ros.training.objective import Batch, GeometricLoss
from mvloc_ros.training.options import InputConfig, NetworkConfig


def frames(lengths: list[int], seed: int) -> PosedFrames:
    """Frames without content, of sequences that lie shuffled among each other."""
    names = [f"seq-{i}" for i, length in enumerate(lengths) for _ in range(length)]
    stamps = [10 * j + 7 for length in lengths for j in range(length)]
    order = np.random.default_rng(seed).permutation(len(names))
    count = len(names)
    return PosedFrames(
        np.zeros((count, 1, 1, 3), np.uint8),
        np.zeros((count, 1, 1), np.float32),
        np.ones((count, 2), np.float32),
        np.tile(np.eye(4), (count, 1, 1)),
        np.array(stamps, np.int64)[order],
        tuple(names[i] for i in order),
    )


@settings(max_examples=80, deadline=None)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=3), st.integers(2, 4), st.integers(1, 12), st.integers(0, 9))
def test_clips_are_evenly_apart_in_one_sequence(lengths: list[int], length: int, skip: int, seed: int) -> None:
    data = frames(lengths, seed)
    if max(lengths) < length:
        with pytest.raises(TrainingError, match=f"No training sequence has the {length} frames"):
            clip_indices(data, length, skip)
        return
    clips = clip_indices(data, length, skip).numpy()
    names = np.array(data.sequences)[clips]
    assert np.all(names == names[:, :1])
    steps = np.diff(data.stamps_ns[clips], axis=1) // 10
    for i, count in enumerate(lengths):
        own = steps[names[:, 0] == f"seq-{i}"]
        if count < length:
            assert len(own) == 0
            continue
        expected = min(skip, (count - 1) // (length - 1))
        assert np.all(own == expected)
        assert len(own) == count - expected * (length - 1)
    assert len({tuple(clip) for clip in clips}) == len(clips)


def test_clips_of_one_are_the_frames_in_their_order() -> None:
    assert clip_indices(frames([3, 4], 0), 1, 10).tolist() == [[i] for i in range(7)]


def test_the_objective_by_hand() -> None:
    """Two clips of three: Eq. 11 of each frame, and of the four differences between neighbours."""
    torch.manual_seed(0)
    network = PoseNet(NetworkConfig(width=0.125, latent_size=16, dropout=0.0), InputConfig()).eval()
    color = torch.randint(0, 256, (6, 32, 40, 3), dtype=torch.uint8)
    batch = Batch(color, torch.zeros(6, 32, 40), torch.ones(6, 2), torch.randn(6, 6))
    objective = ClipObjective(GeometricLoss(0.2, -1.0), GeometricLoss(-0.4, -2.0), length=3)
    found = objective(network, batch)
    with torch.inference_mode():
        pose = network(color, batch.depth, batch.present).pose
    absolute = GeometricLoss(0.2, -1.0)(pose, batch.target).total
    steps = []
    for i in (0, 1, 3, 4):
        difference = ((pose[i + 1] - pose[i]) - (batch.target[i + 1] - batch.target[i])).abs()
        position, rotation = difference[:3].mean(), difference[3:].mean()
        steps.append(position * np.exp(0.4) - 0.4 + rotation * np.exp(2.0) - 2.0)
    expected = absolute + torch.stack([steps[0] + steps[1]] * 3 + [steps[2] + steps[3]] * 3) / 2
    torch.testing.assert_close(found.total, expected)
    torch.testing.assert_close(found.total.mean(), absolute.mean() + torch.stack(steps).mean())
    found.total.mean().backward()
    assert objective.relative.beta.grad.abs() > 0.0
    assert objective.end_epoch() == pytest.approx({"train/step_beta": -0.4, "train/step_gamma": -2.0})


def test_mapnet_trains_and_goes_on(tiny_folder: Path, tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    verbs.add_train_arguments(parser)
    options = "--system mapnet --short-side 32 --width 0.125 --latent-size 16 --batch-size 12 --clip-skip 4 --epochs 6"
    words = ["--data", str(tiny_folder), "--validation-gap", "2", "--device", "cpu", *options.split()]
    out = tmp_path / "run"
    assert verbs.run_train(parser.parse_args([*words, "--out", str(out)])) == 0
    rows = list(csv.DictReader((out / "metrics.csv").open()))
    assert float(rows[1]["train/step_beta"]) != float(rows[0]["train/step_beta"]) != 0.0
    assert float(rows[-1]["train/loss"]) < float(rows[0]["train/loss"])
    assert json.loads((out / "config.json").read_text())["config"]["clips"] == {"clip_length": 3, "clip_skip": 4}
    values = checkpoint.load(out / "last.pt")
    # 82 frames are 27 clips' worth an epoch, and 4 clips a step: 6 steps.
    assert values["progress"]["step"] == 36
    assert verbs.run_train(parser.parse_args([*words, "--out", str(out)])) == 0
    assert checkpoint.load(out / "last.pt")["progress"]["step"] == 36
