# SPDX-License-Identifier: Apache-2.0
"""Runs of the second stage: where they start, what stays fixed, that they go on exactly, what they refuse."""

from __future__ import annotations

import argparse
import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from mvloc_ros.model.bundle import read_bundle
from mvloc_ros.training import checkpoint, verbs
from mvloc_ros.training.config import TrainingConfig
from mvloc_ros.training.errors import TrainingError
from mvloc_ros.training.export import export
from mvloc_ros.training.networks.resnet import BLOCKS
from mvloc_ros.training.presets import PRESETS
from mvloc_ros.training.warm_start import read_start

TINY = [
    "--short-side",
    "32",
    "--width",
    "0.125",
    "--latent-size",
    "16",
    "--batch-size",
    "8",
    "--validation-gap",
    "2",
    "--samples-at-once",
    "2",
    "--device",
    "cpu",
]
FIRST = ["--epochs", "2", "--learning-rate", "3e-3"]
SECOND = ["--stage2-epochs", "4", "--samples", "4"]
SCRIPT = """
import argparse, sys, torch
from mvloc_ros.training import verbs
torch.set_num_threads(1)
parser = argparse.ArgumentParser()
verbs.add_train_arguments(parser)
sys.exit(verbs.run_train(parser.parse_args(sys.argv[1:])))
"""


def words(folder: Path, out: Path, *more: str) -> list[str]:
    return ["--data", str(folder), "--out", str(out), *TINY, *more]


def train(folder: Path, out: Path, *more: str) -> int:
    parser = argparse.ArgumentParser()
    verbs.add_train_arguments(parser)
    return verbs.run_train(parser.parse_args(words(folder, out, *more)))


def rows(run: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((run / "metrics.csv").open()))


def same_weights(one: Path, other: Path) -> bool:
    a, b = (checkpoint.load(path)["network"] for path in (one, other))
    return a.keys() == b.keys() and all(torch.equal(value, b[name]) for name, value in a.items())


@pytest.fixture(scope="module")
def run(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both stages in one command; the first lies in the folder `stage1`."""
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("runs") / "wall"
    assert train(tiny_folder, out, "--stage", "both", *FIRST, *SECOND) == 0
    return out


def test_stage_2_goes_on_from_stage_1_with_fixed_scales(run: Path) -> None:
    first, second = rows(run / "stage1"), rows(run)
    assert (len(first), len(second)) == (2, 4)
    best = checkpoint.load(run / "stage1" / "best.pt")["epoch"]
    for name in ("train/beta", "train/gamma"):
        assert {row[name] for row in second} == {first[best - 1][name]}
    assert float(second[0]["train/beta"]) != 0.0
    for row in second:
        assert 1.0 <= float(row["train/ess"]) <= 4.0
        assert float(row["train/kl"]) > 0.0
    weights = [float(row["train/lambda"]) for row in second]
    assert weights[0] == pytest.approx(PRESETS["small"].stages.latent_weight), "warmed up over the first fifth"
    assert not {"train/ess", "train/lambda", "train/kl"} & first[0].keys()
    assert float(second[-1]["train/loss"]) < float(second[0]["train/loss"])
    told = json.loads((run / "config.json").read_text())
    assert (told["config"]["system"], told["config"]["stages"]["stage"]) == ("mvloc", "both")
    assert told["config"]["stages"]["estimator"] == "dreg"
    assert len(told["start_from"]) == 64
    assert not same_weights(run / "best.pt", run / "stage1" / "best.pt")


def test_one_command_or_two_is_the_same(run: Path, tiny_folder: Path, tmp_path: Path) -> None:
    assert train(tiny_folder, tmp_path, "--stage", "2", "--start-from", str(run / "stage1"), *SECOND) == 0
    assert same_weights(tmp_path / "last.pt", run / "last.pt")
    before = (run / "last.pt").read_bytes()
    assert train(tiny_folder, run, "--stage", "both", *FIRST, *SECOND) == 0
    assert (run / "last.pt").read_bytes() == before, "a finished run stands"


def test_a_killed_second_stage_goes_on_bit_by_bit(run: Path, tiny_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "killed"
    command = words(tiny_folder, out, "--stage", "both", *FIRST, *SECOND)
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    deadline = time.monotonic() + 100
    while not (out / "last.pt").exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it was still training"
    assert 1 <= checkpoint.load(out / "last.pt")["epoch"] < 4
    assert train(tiny_folder, out, "--stage", "both", *FIRST, *SECOND) == 0
    assert same_weights(out / "last.pt", run / "last.pt")
    whole, resumed = (checkpoint.load(folder / "last.pt") for folder in (run, out))
    assert whole["objective"].keys() == resumed["objective"].keys()
    for name, value in whole["objective"].items():
        assert torch.equal(value, resumed["objective"][name]), name
    for one, other in zip(rows(run), rows(out), strict=True):
        assert {**one, "seconds": ""} == {**other, "seconds": ""}


def test_mvloc_p_through_both_stages_and_a_refit_to_a_bundle(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(BLOCKS, "resnet18", (1, 1, 1, 1))  # fewer blocks of the same kind, for the exporter's time
    out = tmp_path / "run"
    plain = ["--epochs", "1", "--stage2-epochs", "1", "--learning-rate", "3e-3", "--refit", "--test"]
    assert train(tiny_folder, out, "--system", "mvloc-p", *plain) == 0
    for folder in (out / "stage1", out, out / "refit" / "stage1", out / "refit"):
        assert (folder / "last.pt").exists(), folder
    manifest = read_bundle(export(out, tmp_path / "model").path).manifest
    assert manifest.system == "mvloc-p"
    training = manifest.training
    assert (training["stage"], training["estimator"], training["samples"], training["epochs"]) == (2, "elbo", 1, 1)
    assert training["latent_weight"] == PRESETS["small"].stages.latent_weight
    assert "--system mvloc-p --preset small" in training["command"]
    assert "--start-from" not in training["command"]
    judged = json.loads((out / "test.json").read_text())
    assert (judged["system"], judged["stage"], judged["epoch"]) == ("mvloc-p", 2, 1)
    assert {"test frames", "without depth", "without color", "constant pose"} < judged.keys()
    last = checkpoint.load(out / "refit" / "last.pt")
    assert last["run"]["data"]["frames"] == training["frames"] == 2 * 48


def test_a_system_of_colour_trains_and_says_its_name(tiny_folder: Path, tmp_path: Path) -> None:
    assert train(tiny_folder, tmp_path, "--system", "atloc", "--epochs", "1", "--test") == 0
    assert json.loads((tmp_path / "config.json").read_text())["config"]["system"] == "atloc"
    judged = json.loads((tmp_path / "test.json").read_text())
    assert {"test frames", "constant pose"} < judged.keys()
    assert not {"without depth", "without color"} & judged.keys(), "it never sees depth, and nothing without colour"
    with pytest.raises(TrainingError, match="different values of system; use"):
        train(tiny_folder, tmp_path, "--system", "posenet", "--epochs", "1")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--stage", "2"], "--stage 2 needs --start-from"),
        (["--start-from", "RUN"], "--start-from applies to --stage 2 only"),
        (["--stage", "2", "--start-from", "RUN", "--epochs", "3"], "--epochs applies to stage 1; use --stage2-epochs"),
        (["--stage", "2", "--start-from", "RUN", "--weights", "x.pth"], "remove --weights"),
        (
            ["--stage", "2", "--start-from", "RUN", "--latent-size", "24"],
            "best.pt differs from this run in network",
        ),
        (["--stage", "2", "--start-from", "RUN", "--max-depth", "5"], "differs from this run in input"),
        (["--stage", "2", "--start-from", "RUN", "--validation-gap", "4"], "differs from this run in data"),
        (["--stage", "2", "--start-from", "RUN", "--refit"], "has none; train that with --refit too"),
        (["--stage", "2", "--start-from", "NOWHERE"], "There is no checkpoint .*NOWHERE"),
    ],
)
def test_what_does_not_fit_is_refused(
    run: Path, tiny_folder: Path, tmp_path: Path, more: list[str], message: str
) -> None:
    more = [str(run / "stage1") if word == "RUN" else word for word in more]
    with pytest.raises(TrainingError, match=message):
        train(tiny_folder, tmp_path / "out", *more)


def test_a_run_from_before_there_were_stages_is_understood(run: Path, tiny_folder: Path, tmp_path: Path) -> None:
    for name in ("best.pt", "last.pt"):
        values = checkpoint.load(run / "stage1" / name)
        del values["run"]["config"]["stages"], values["run"]["config"]["system"]
        checkpoint.save(tmp_path / name, values)
    old = [*FIRST, "--single-experts", "0"]
    assert train(tiny_folder, tmp_path, *old) == 0, "whatever the preset says of a second stage"
    assert same_weights(tmp_path / "last.pt", run / "stage1" / "last.pt")
    second = checkpoint.load(run / "last.pt")["run"]
    config = TrainingConfig.from_dict(second["config"])
    old, new = (read_start(folder / "best.pt", config, second["data"]) for folder in (tmp_path, run / "stage1"))
    assert old.scales == new.scales
