# SPDX-License-Identifier: Apache-2.0
"""What each process sees of each step: together all of it, nobody twice; and parts add up to one batch."""

from __future__ import annotations

import argparse
import csv
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor

from mvloc_ros.training import checkpoint, verbs
from mvloc_ros.training.batches import Batches
from mvloc_ros.training.config import TrainingConfig
from mvloc_ros.training.errors import TrainingError
from mvloc_ros.training.normalisation import PoseNormalisation
from mvloc_ros.training.options import flag
from mvloc_ros.training.presets import preset
from mvloc_ros.training.processes import Processes
from mvloc_ros.training.train import TrainingData, read_data

CPU = torch.device("cpu")


def as_words(options: Mapping[str, object]) -> list[str]:
    return [word for name, value in options.items() for word in (flag(name), str(value))]


class OneOf(Processes):
    """One of several processes that are not there: each draws the order that the main process would send."""

    def from_main(self, values: Tensor) -> Tensor:
        return values


@pytest.fixture(scope="module")
def data(tiny_folder: Path) -> TrainingData:
    return read_data(preset("mvloc", "small").with_options({"short_side": 32, "validation_gap": 2}), tiny_folder, 0.2)


def batches(data: TrainingData, config: TrainingConfig, processes: Processes) -> Batches:
    return Batches(data.training, PoseNormalisation.fit(data.training.poses), config, CPU, processes)


@pytest.mark.parametrize("system", ["mvloc", "mapnet"])
@pytest.mark.parametrize(("count", "accumulate", "batch_size"), [(1, 3, 20), (2, 1, 21), (3, 2, 22)])
def test_shares_are_disjoint_and_whole(
    data: TrainingData, no_augmentation: dict[str, int], system: str, count: int, accumulate: int, batch_size: int
) -> None:
    options = {"batch_size": batch_size, **no_augmentation}
    config = preset(system, "small").with_options({"clip_skip": 2, **options} if system == "mapnet" else options)
    torch.manual_seed(3)
    whole = list(batches(data, config, Processes()).epoch())
    assert all(part.share == 1.0 and part.last for part in whole)
    steps: list[list[Tensor]] = [[] for _ in whole]
    shares = [0.0] * len(whole)
    split = config.with_options({"accumulate": accumulate})
    for rank in range(count):
        torch.manual_seed(3)
        step = 0
        for part in batches(data, split, OneOf(rank, count)).epoch():
            assert part.share == pytest.approx(len(part.batch.target) / len(whole[0].batch.target))
            steps[step].append(part.batch.target)
            shares[step] += part.share
            step += part.last
        assert step == len(whole)
    assert shares == pytest.approx([1.0] * len(whole))
    for parts, step_of_one in zip(steps, whole, strict=True):
        assert len(parts) == count * accumulate
        assert torch.equal(torch.cat(parts), step_of_one.batch.target), "the same frames in the same order"


def test_too_small_a_share_is_refused(data: TrainingData) -> None:
    config = preset("mvloc", "small").with_options({"batch_size": 8, "accumulate": 2})
    batches(data, config, Processes(1, 2))
    with pytest.raises(TrainingError, match=r"8 frames for 6 micro-batches, fewer than two each.*--nproc-per-node"):
        batches(data, config, Processes(1, 3))


def test_two_parts_are_one_batch(
    tiny_folder: Path, tmp_path: Path, no_augmentation: dict[str, int], plain_network: None
) -> None:
    """Of a network whose frames do not meet in batch norms, to the rounding of the sums."""
    found = {}
    for accumulate in ("1", "2", "3"):
        parser = argparse.ArgumentParser()
        verbs.add_train_arguments(parser)
        words = ["--data", str(tiny_folder), "--out", str(tmp_path / accumulate), "--accumulate", accumulate]
        words += ["--device", "cpu", "--short-side", "32", "--epochs", "3", "--batch-size", "7"]
        words += ["--validation-gap", "2", "--single-experts", "0", *as_words(no_augmentation)]
        assert verbs.run_train(parser.parse_args(words)) == 0
        rows = list(csv.DictReader((tmp_path / accumulate / "metrics.csv").open()))
        network = checkpoint.load(tmp_path / accumulate / "last.pt")["network"]
        found[accumulate] = [float(row["train/loss"]) for row in rows], network
    losses, network = found["1"]
    assert losses[-1] < losses[0]
    for accumulate in ("2", "3"):
        assert found[accumulate][0] == pytest.approx(losses, rel=1e-4)
        for name, value in network.items():
            torch.testing.assert_close(found[accumulate][1][name], value, rtol=1e-3, atol=1e-4, msg=name)
