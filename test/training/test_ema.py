# SPDX-License-Identifier: Apache-2.0
"""The moving average of the weights: its closed form, and that it is what a run judges, keeps and resumes."""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from mvloc_ros import interrupts
from mvloc_ros.evaluation.pose_errors import PoseErrors
from mvloc_ros.training import checkpoint, verbs
from mvloc_ros.training.checkpoint import BEST, LAST
from mvloc_ros.training.ema import WeightAverage
from mvloc_ros.training.predict import predict
from mvloc_ros.training.train import read_data
from mvloc_ros.training.train_step import Minimiser
from mvloc_ros.training.trained_network import read_network

OPTIONS = [
    *("--short-side", "32", "--width", "0.125", "--latent-size", "16", "--epochs", "3", "--batch-size", "8"),
    *("--validation-gap", "2", "--learning-rate", "3e-3", "--device", "cpu", "--ema", "0.8", "--accumulate", "2"),
]


def train(folder: Path, out: Path) -> int:
    parser = argparse.ArgumentParser()
    verbs.add_train_arguments(parser)
    return verbs.run_train(parser.parse_args(["--data", str(folder), "--out", str(out), *OPTIONS]))


@pytest.mark.parametrize("decay", [0.1, 0.9999])
def test_the_closed_form(decay: float) -> None:
    """Every step's weight by its own product of decays; with a decay of 0.1 that is plainly geometric."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    course, statistics = [network[0].weight.double()], [network[1].running_mean.double()]
    average = WeightAverage(network, decay)
    count = 40
    for _ in range(count):
        with torch.no_grad():
            network[0].weight.normal_()
            network(torch.randn(5, 4))
        average.update(network)
        course.append(network[0].weight.detach().double().clone())
        statistics.append(network[1].running_mean.double().clone())
    decays = [1.0] + [min(decay, (1 + t) / (10 + t)) for t in range(count)]
    weights = [(1.0 - (decays[i] if i else 0.0)) * np.prod(decays[i + 1 :]) for i in range(count + 1)]
    assert sum(weights) == pytest.approx(1.0)
    if decay == 0.1:
        assert weights == pytest.approx([0.1**count] + [0.9 * 0.1 ** (count - i) for i in range(1, count + 1)])
    else:
        assert weights[0] < 1e-6, "the weights of the start are forgotten long before 1 / (1 - decay) steps"
    for values, found in ((course, average.network[0].weight), (statistics, average.network[1].running_mean)):
        expected = sum(weight * value for weight, value in zip(weights, values, strict=True))
        torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-5)
    assert average.network[1].num_batches_tracked == count
    assert not average.network.training


def test_a_run_judges_and_keeps_the_average_and_resumes_exactly(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert train(tiny_folder, tmp_path / "whole") == 0
    last = checkpoint.load(tmp_path / "whole" / LAST)
    name = "regressor.position.0.weight"
    assert not torch.equal(last["network"][name], last["trained_network"][name])
    assert last["averaged_steps"] == last["progress"]["step"] == 30
    rows = list(csv.DictReader((tmp_path / "whole" / "metrics.csv").open()))
    for name in (BEST, LAST):
        kept = read_network(tmp_path / "whole" / name, half_weights=False)
        frames = read_data(kept.config, tiny_folder, 0.2).validation
        poses = predict(kept.network, frames, kept.normalisation, torch.device("cpu"), 8, kept.config.clips)
        translation, rotation = PoseErrors.of(poses, frames.poses).medians()
        row = rows[kept.epoch - 1]
        assert float(row["validation/translation_m"]) == pytest.approx(translation, rel=1e-4)
        assert float(row["validation/rotation_deg"]) == pytest.approx(rotation, rel=1e-4)

    add, calls = Minimiser.add, []

    def interrupted(self, part):
        calls.append(part.share)
        if len(calls) == 48:  # in the middle of a step, in the middle of the third epoch
            raise KeyboardInterrupt
        return add(self, part)

    with monkeypatch.context() as patch:
        patch.setattr(Minimiser, "add", interrupted)
        assert train(tiny_folder, tmp_path / "cut") == interrupts.EXIT_CODE
    assert set(calls) == {0.5}, "two parts of half a step each"
    assert checkpoint.load(tmp_path / "cut" / LAST)["epoch"] == 2
    assert train(tiny_folder, tmp_path / "cut") == 0
    resumed = checkpoint.load(tmp_path / "cut" / LAST)
    for key in ("network", "trained_network", "objective"):
        for name, value in last[key].items():
            assert torch.equal(value, resumed[key][name]), (key, name)
    again = list(csv.DictReader((tmp_path / "cut" / "metrics.csv").open()))
    assert [{**row, "seconds": ""} for row in again] == [{**row, "seconds": ""} for row in rows]
