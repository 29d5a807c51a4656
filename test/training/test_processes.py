# SPDX-License-Identifier: Apache-2.0
"""Training by several processes, started by torchrun as a user would: the same result, and death in mid-epoch."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from mvloc_ros import cli
from mvloc_ros.training import checkpoint
from mvloc_ros.training.errors import TrainingError
from mvloc_ros.training.options import flag
from mvloc_ros.training.processes import Processes
from mvloc_ros.training.train import pick_device

OPTIONS = [
    *("--short-side", "32", "--width", "0.125", "--latent-size", "16", "--dropout", "0.2", "--batch-size", "8"),
    *("--validation-gap", "2", "--learning-rate", "3e-3", "--device", "cpu", "--epochs", "4", "--ema", "0.9"),
]
STEPS = 10  # of an epoch
SENTENCE = "mvloc train: One of the 2 processes of this training ended or does not respond"
GRADIENT_LIMIT = "11.5"
DEADLINE = 120.0


def words(folder: Path, out: Path) -> list[str]:
    return ["train", "--data", str(folder), "--out", str(out), *OPTIONS]


class Launch:
    """torchrun with two processes, and what they say."""

    def __init__(self, program: list[str], log: Path) -> None:
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1"]
        self.log = log
        self.process = subprocess.Popen(
            [*command, "--nproc-per-node", "2", *program],
            stdout=subprocess.DEVNULL,
            stderr=log.open("w"),
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        self.workers: dict[int, psutil.Process] = {}

    def find_workers(self) -> bool:
        """Whether both ranks run."""
        for child in psutil.Process(self.process.pid).children():
            try:
                rank = child.environ().get("RANK")
            except psutil.Error:
                continue
            if rank is not None:
                self.workers[int(rank)] = child
        return len(self.workers) == 2

    def steps(self) -> int:
        """The last step that the main process's bar tells of."""
        return max(map(int, re.findall(r"training: .*?(\d+)/40 \[", self.log.read_text())), default=0)

    def kill(self) -> None:
        """End everything that still runs."""
        self.process.kill()
        for worker in self.workers.values():
            if worker.is_running():
                worker.kill()
        self.process.wait()


@pytest.fixture
def launch() -> Iterator[Callable[..., Launch]]:
    started: list[Launch] = []

    def start(*arguments: Any) -> Launch:
        started.append(Launch(*arguments))
        return started[-1]

    yield start
    for one in started:
        one.kill()


def rows(run: Path) -> list[dict[str, str]]:
    return [{**row, "seconds": ""} for row in csv.DictReader((run / "metrics.csv").open())]


@pytest.mark.timeout(4 * DEADLINE)
def test_one_of_two_killed_in_mid_epoch(
    tiny_folder: Path, tmp_path: Path, launch: Callable[..., Launch], wait_for: Callable[..., object]
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert launch(["-m", "mvloc_ros.cli", *words(tiny_folder, whole)], tmp_path / "1").process.wait(DEADLINE) == 0

    program = ["-m", "mvloc_ros.cli", *words(tiny_folder, killed)]
    victim = launch(program, tmp_path / "2")
    wait_for(victim.find_workers, DEADLINE, "both processes")
    wait_for(lambda: victim.steps() > STEPS and victim.steps() % STEPS != 0, DEADLINE, "the middle of an epoch")
    victim.workers[1].send_signal(signal.SIGKILL)
    assert victim.process.wait(DEADLINE) != 0
    assert victim.log.read_text().count(SENTENCE) == 1
    assert not any(worker.is_running() for worker in victim.workers.values())
    epoch = checkpoint.load(killed / "last.pt")["epoch"]
    assert 1 <= epoch < 4
    assert victim.steps() > epoch * STEPS, "killed after steps that no checkpoint has"

    assert launch(program, tmp_path / "3").process.wait(DEADLINE) == 0
    assert [int(row["epoch"]) for row in rows(whole)] == [1, 2, 3, 4]
    assert rows(killed) == rows(whole)
    one, other = (checkpoint.load(run / "last.pt") for run in (whole, killed))
    for key in ("network", "trained_network", "objective"):
        for name, value in one[key].items():
            assert torch.equal(value, other[key][name]), (key, name)
    (of_one,), (of_other,) = one["random_of_others"], other["random_of_others"]
    assert torch.equal(of_one["torch"], of_other["torch"])
    assert not torch.equal(of_one["torch"], one["random"]["torch"]), "each process has its own chance"
    assert json.loads((killed / "config.json").read_text())["processes"] == 2


def test_old_checkpoints_go_on_and_those_of_more_processes_do_not(
    tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [word for word in words(tiny_folder, tmp_path) if word not in ("--ema", "0.9")] + ["--epochs", "1"]
    assert cli.main(command) == 0
    path = tmp_path / "last.pt"
    values = checkpoint.load(path)
    assert values["run"]["processes"] == 1

    old = {name: value for name, value in values.items() if name != "random_of_others"}
    old["run"] = {name: value for name, value in values["run"].items() if name != "processes"}
    optimiser = {k: v for k, v in values["run"]["config"]["optimiser"].items() if k not in ("ema", "accumulate")}
    old["run"]["config"] = values["run"]["config"] | {"optimiser": optimiser}
    checkpoint.save(path, old)
    assert cli.main(command) == 0, "of a version without averages, parts of steps and several processes"

    checkpoint.save(path, values | {"run": values["run"] | {"processes": 3}})
    capsys.readouterr()
    assert cli.main(command) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert re.fullmatch(
        r"mvloc train: .* was started with 3 processes and cannot be resumed with one process, .*--out\.", said
    )


SCRIPT = """
import sys
sys.path[:0] = {folders!r}
from mvloc_ros import cli
from mvloc_ros.training.systems import NETWORKS
from conftest import Plain
NETWORKS["mvloc"] = Plain
sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.mark.timeout(2 * DEADLINE)
def test_two_processes_are_one(
    tiny_folder: Path,
    tmp_path: Path,
    no_augmentation: dict[str, int],
    plain_network: None,
    launch: Callable[..., Launch],
) -> None:
    """Of a network without batch norms: the mean gradient and the logged loss are those of the whole batch.

    The limit of the gradient's norm lies among the norms of this run, so that some steps are cut and others not:
    AdamW alone would not notice gradients of twice the size.

    Seven frames a step, four and three of them, so that the means weigh the processes by their frames. One
    epoch, as the main process draws the next one's order after other numbers than a single process.
    """
    script = tmp_path / "plain.py"
    here, root = Path(__file__).parent, Path(__file__).parents[2]
    folders = [str(folder) for folder in (here, root / "test" / "helpers", root / "bench" / "harness")]
    script.write_text(SCRIPT.format(folders=folders))
    options = ["--batch-size", "7", "--epochs", "1", "--gradient-limit", GRADIENT_LIMIT, "--single-experts", "0"]
    options += [word for name, value in no_augmentation.items() for word in (flag(name), str(value))]
    program = [str(script), *words(tiny_folder, tmp_path / "two"), *options]
    two = launch(program, tmp_path / "log")
    assert cli.main([*words(tiny_folder, tmp_path / "one"), *options]) == 0
    assert two.process.wait(DEADLINE) == 0, two.log.read_text()
    for one, other in zip(rows(tmp_path / "one"), rows(tmp_path / "two"), strict=True):
        for name in [name for name in one if name != "seconds"]:
            assert float(other[name]) == pytest.approx(float(one[name]), rel=1e-3, abs=1e-4), name
    network, other = (checkpoint.load(tmp_path / name / "last.pt")["network"] for name in ("one", "two"))
    for name, value in network.items():
        torch.testing.assert_close(other[name], value, rtol=1e-3, atol=1e-4, msg=name)


class BesideOnes(Processes):
    """One of two processes, of which the other has ones everywhere."""

    def total(self, values: torch.Tensor) -> torch.Tensor:
        return values + torch.ones_like(values)


def test_statistics_of_batch_norms_are_means_over_the_processes() -> None:
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3))
    network(torch.randn(5, 4))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    BesideOnes(0, 2).average_buffers(network)
    for name, value in network.state_dict().items():
        running = name in ("1.running_mean", "1.running_var")
        torch.testing.assert_close(value, (before[name] + 1.0) / 2.0 if running else before[name])


def test_one_gpu_is_not_for_two() -> None:
    with pytest.raises(TrainingError, match="cuda:1 is one GPU for 2 processes"):
        pick_device("cuda:1", Processes(0, 2))
    with pytest.raises(TrainingError, match="has 0 GPUs for more processes"):
        pick_device("cuda", Processes(0, 2, torch.cuda.device_count()))
