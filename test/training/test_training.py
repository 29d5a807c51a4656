# SPDX-License-Identifier: Apache-2.0
"""Training runs: they learn, they can be killed, they refuse what is not theirs."""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from mvloc_ros.training import checkpoint, verbs
from mvloc_ros.training.config import TrainingConfig
from mvloc_ros.training.errors import TrainingError
from mvloc_ros.training.options import all_options, flag, is_switch
from mvloc_ros.training.presets import PRESETS
from mvloc_ros.training.run_identity import describe_run
from mvloc_ros.training.train import read_data
from mvloc_ros.training.trainer import Trainer

TINY = [
    "--short-side",
    "32",
    "--width",
    "0.125",
    "--latent-size",
    "16",
    "--dropout",
    "0.2",
    "--epochs",
    "4",
    "--batch-size",
    "8",
    "--validation-gap",
    "2",
    "--learning-rate",
    "3e-3",
    "--device",
    "cpu",
]


def arguments(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    verbs.add_train_arguments(parser)
    return parser.parse_args(list(words))


def train(folder: Path, out: Path, *more: str) -> int:
    return verbs.run_train(arguments("--data", str(folder), "--out", str(out), *TINY, *more))


SCRIPT = """
import argparse, sys, torch
from mvloc_ros.training import verbs
torch.set_num_threads(1)
parser = argparse.ArgumentParser()
verbs.add_train_arguments(parser)
sys.exit(verbs.run_train(parser.parse_args(sys.argv[1:])))
"""


def test_a_killed_run_goes_on_bit_by_bit(tiny_folder: Path, tmp_path: Path) -> None:
    assert train(tiny_folder, tmp_path / "whole", "--epochs", "6") == 0
    killed = tmp_path / "killed"
    command = [sys.executable, "-c", SCRIPT, "--data", str(tiny_folder), "--out", str(killed), *TINY, "--epochs", "6"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    deadline = time.monotonic() + 60
    while not (killed / "last.pt").exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it was still training"
    assert 1 <= checkpoint.load(killed / "last.pt")["epoch"] < 6

    assert train(tiny_folder, killed, "--epochs", "6") == 0
    whole, resumed = (checkpoint.load(tmp_path / name / "last.pt") for name in ("whole", "killed"))
    assert whole["network"].keys() == resumed["network"].keys()
    for name, value in whole["network"].items():
        assert torch.equal(value, resumed["network"][name]), name
    for name, value in whole["objective"].items():
        assert torch.equal(value, resumed["objective"][name]), name
    for index, state in whole["optimiser"]["state"].items():
        for name, value in state.items():
            assert torch.equal(value, resumed["optimiser"]["state"][index][name]), (index, name)
    assert torch.equal(whole["random"]["torch"], resumed["random"]["torch"])
    rows = [list(csv.DictReader((tmp_path / name / "metrics.csv").open())) for name in ("whole", "killed")]
    for one, other in zip(*rows, strict=True):
        assert {**one, "seconds": ""} == {**other, "seconds": ""}
    assert [int(row["epoch"]) for row in rows[0]] == [1, 2, 3, 4, 5, 6]
    assert list(killed.glob("*.part")) == []


def test_it_learns(tiny_folder: Path, tmp_path: Path, tiny_config: TrainingConfig) -> None:
    config = tiny_config.with_options({"epochs": 12, "drop_color": 0.0, "drop_depth": 0.0})
    data = read_data(config, tiny_folder, 0.2)
    run = describe_run(config, tiny_folder, data.training, data.validation, "") | {"test_fraction": 0.2}
    trainer = Trainer(config, data.training, data.validation, run, tmp_path / "run", torch.device("cpu"))
    errors, baseline = trainer.fit(), trainer.baseline()
    assert errors.medians()[0] < 0.6 * baseline.medians()[0]
    assert errors.medians()[1] < 0.4 * baseline.medians()[1]
    rows = list(csv.DictReader((tmp_path / "run" / "metrics.csv").open()))
    assert float(rows[-1]["train/position"]) < 0.7 * float(rows[0]["train/position"])
    assert float(rows[-1]["train/loss"]) < float(rows[0]["train/loss"])
    best = min(
        range(len(rows)),
        key=lambda i: sum(
            float(rows[i][name]) / base
            for name, base in zip(
                ("validation/translation_m", "validation/rotation_deg"), baseline.medians(), strict=True
            )
        ),
    )
    assert checkpoint.load(tmp_path / "run" / "best.pt")["epoch"] == best + 1
    assert list((tmp_path / "run").glob("events.out.tfevents.*"))


def test_another_run_is_refused_and_a_finished_one_stands(
    tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(tiny_folder, tmp_path, "--epochs", "1") == 0
    written = (tmp_path / "last.pt").read_bytes()
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["config"]["optimiser"]["epochs"] == 1
    assert config["data"]["frames"] == 2 * (48 - 5 - 2)
    with pytest.raises(TrainingError, match=r"different values of batch_size, seed; use"):
        train(tiny_folder, tmp_path, "--epochs", "1", "--seed", "4", "--batch-size", "6")
    assert train(tiny_folder, tmp_path, "--epochs", "1") == 0
    assert (tmp_path / "last.pt").read_bytes() == written
    rows = re.findall(r"^ *(.+): median (\S+) m, (\S+) deg$", capsys.readouterr().out, re.MULTILINE)[-4:]
    assert [row[0] for row in rows] == ["validation", "without depth", "without color", "constant pose"]
    assert len({row[1:] for row in rows}) == 4, "each has errors of its own"


def test_a_damaged_checkpoint_is_named(tiny_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "last.pt").write_bytes(b"PK\x03\x04 cut")
    with pytest.raises(TrainingError, match=r"last\.pt is damaged"):
        train(tiny_folder, tmp_path)


def test_a_loss_that_explodes_is_said(tiny_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="not finite in epoch 1; lower --learning-rate"):
        train(tiny_folder, tmp_path, "--initial-beta", "-1000")


def test_every_value_has_an_option() -> None:
    for section, item in all_options():
        if is_switch(item):
            for word, expected in ((flag(item.name), True), (flag(f"no_{item.name}"), False)):
                config = verbs.configuration(arguments("--data", "x", "--out", "y", word))
                assert getattr(getattr(config, section), item.name) is expected
            continue
        value = item.metadata["choices"][-1] if item.metadata["choices"] else {int: 40, float: 0.25}[type(item.default)]
        system = ("--system", "mapnet", "--batch-size", "64") if section == "clips" else ()
        config = verbs.configuration(arguments("--data", "x", "--out", "y", *system, flag(item.name), str(value)))
        assert getattr(getattr(config, section), item.name) == value
    assert verbs.configuration(arguments("--data", "x", "--out", "y", "--preset", "paper")) == PRESETS["paper"]
    assert TrainingConfig.from_dict(json.loads(json.dumps(PRESETS["paper"].to_dict()))) == PRESETS["paper"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--epochs", "0"], r"--epochs 0 must be at least 1"),
        (["--backbone", "vgg"], r"--backbone 'vgg' is unknown; choose one of resnet18, resnet34"),
        (["--min-depth", "7"], r"--min-depth 7.0 must be below --max-depth 6.0"),
        (["--dropout", "nan"], r"--dropout nan must be at least 0 and at most 0.95"),
        (["--learning-rate", "-1"], r"--learning-rate -1 must be at least"),
    ],
)
def test_impossible_values_are_refused(words: list[str], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        verbs.configuration(arguments("--data", "x", "--out", "y", *words))
    assert math.isfinite(PRESETS["small"].optimiser.learning_rate)


def test_without_torch_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(TrainingError, match=r"mvloc train needs torch; run `make setup-dev` .* `pip install torch`"):
        train(tmp_path, tmp_path / "out")


def test_verbs_do_not_import_torch() -> None:
    code = "import sys; import mvloc_ros.training.verbs; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_device_that_is_not_there_is_said(tiny_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="--device cuda:77 is not available"):
        train(tiny_folder, tmp_path, "--device", "cuda:77")
