# SPDX-License-Identifier: Apache-2.0
"""Checkpoints that are not as they should be: one sentence with the file's name, at each thing that reads them."""

from __future__ import annotations

import copy
import os
import shutil
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mvloc_ros.cli import main
from mvloc_ros.experiments.runs import _read
from mvloc_ros.training import checkpoint
from mvloc_ros.training.checkpoint import BEST, LAST
from mvloc_ros.training.config import TrainingConfig
from mvloc_ros.training.errors import TrainingError
from mvloc_ros.training.networks.resnet import ResNet, load_imagenet, read_weights
from mvloc_ros.training.saved_run import read_saved_run
from mvloc_ros.training.systems import build_network
from mvloc_ros.training.train import train
from mvloc_ros.training.train_step import Minimiser

Values = dict[str, Any]
Change = Callable[[Values], object]
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def config(tiny_config: TrainingConfig) -> TrainingConfig:
    return tiny_config.with_options({"epochs": 1, "latent_size": 16})


@pytest.fixture(scope="module")
def run(tiny_folder: Path, config: TrainingConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run")
    train(config, tiny_folder, out, "cpu", None, 0.2)
    return out


@pytest.fixture(scope="module")
def last(run: Path) -> Values:
    return checkpoint.load(run / LAST)


def copied(value: Any) -> Any:
    """A copy in which the tensors are the same."""
    if isinstance(value, dict):
        return {name: copied(inner) for name, inner in value.items()}
    return [copied(inner) for inner in value] if isinstance(value, list) else value


def changed(values: Values, change: Change) -> Values:
    result: Values = copied(values)
    change(result)
    return result


def put(*path: Any) -> Change:
    """Put the last of the arguments at the place that the others name."""
    *names, name, value = path

    def change(values: Values) -> None:
        for inner in names:
            values = values[inner]
        if value is ...:
            del values[name]
        else:
            values[name] = value

    return change


def spoil(name: str, value: float) -> Change:
    def change(values: Values) -> None:
        values["network"][name] = values["network"][name].clone()
        values["network"][name].view(-1)[0] = value

    return change


WEIGHT = "color.mean.weight"
COMMON: dict[str, tuple[Change, str]] = {
    "no run": (put("run", ...), "it lacks run"),
    "run of another type": (put("run", [1]), "its run is not a mapping"),
    "no data": (put("run", "data", ...), "it lacks run.data"),
    "frames in words": (put("run", "data", "frames", "many"), "its data.frames is not a whole number"),
    "true frames": (put("run", "data", "validation_frames", True), "its data.validation_frames is not a whole number"),
    "root": (put("run", "root", 3), "its run.root is not a string"),
    "roots": (put("run", "roots", [3]), "its run.roots is not a list of paths"),
    "no roots": (put("run", "roots", []), "its run.roots is not a list of paths"),
    "share": (put("run", "test_fraction", float("nan")), "its run.test_fraction is not a finite number"),
    "lost": (put("run", "data", "lost", [["seq-01"]]), "its data.lost is not a list of frames"),
    "processes": (put("run", "processes", "two"), "its run.processes is not a whole number"),
    "no config": (put("run", "config", ...), "it lacks run.config"),
    "no section": (
        put("run", "config", "network", ...),
        "The configuration of the run is of another version of mvloc_ros",
    ),
    "section of another type": (
        put("run", "config", "network", [1, 2]),
        "The configuration of the run is of another version",
    ),
    "unknown option": (
        put("run", "config", "network", "depth", 9),
        "The configuration of the run is of another version",
    ),
    "width in words": (put("run", "config", "network", "width", "wide"), "--width must be a number, not 'wide'"),
    "size as a number with a point": (
        put("run", "config", "network", "latent_size", 16.0),
        r"--latent-size must be a whole number, not 16\.0",
    ),
    "epochs without end": (
        put("run", "config", "optimiser", "epochs", 10**5000),
        "--epochs must be at most 2147483648, not this int",
    ),
    "beta": (put("run", "config", "optimiser", "initial_beta", float("nan")), "--initial-beta must be a finite number"),
    "seed": (put("run", "config", "seed", "0"), "--seed '0' must be a whole number from 0 to 4294967295"),
    "system": (put("run", "config", "system", "other"), "--system 'other' is unknown"),
    "system in a list": (put("run", "config", "system", ["mvloc"]), "preset and system must be strings"),
    "network of another size": (
        put("run", "config", "network", "latent_size", 24),
        "its network [a-z._]+ has shape 16(x[0-9]+)* instead of 24(x[0-9]+)*",
    ),
    "network without memory for it": (
        put("run", "config", "network", "latent_size", 65536),
        "instead of 65536(x[0-9]+)*",
    ),
    "no network": (put("network", ...), "it lacks network"),
    "no weight": (put("network", WEIGHT, ...), f"its network lacks {WEIGHT}"),
    "another weight": (put("network", "more", torch.zeros(1)), "its network has the unknown name 'more'"),
    "weight of another type": (put("network", WEIGHT, 1.0), f"its network {WEIGHT} is not a dense CPU tensor"),
    "sparse weight": (
        lambda v: v["network"].update({WEIGHT: v["network"][WEIGHT].to_sparse()}),
        f"its network {WEIGHT} is not a dense CPU tensor",
    ),
    "transposed": (
        lambda v: v["network"].update({WEIGHT: v["network"][WEIGHT].T}),
        f"its network {WEIGHT} has shape [0-9]+x16 instead of 16x[0-9]+",
    ),
    "in double": (
        lambda v: v["network"].update({WEIGHT: v["network"][WEIGHT].double()}),
        f"its network {WEIGHT} has type torch.float64 instead of torch.float32",
    ),
    "NaN": (spoil(WEIGHT, float("nan")), f"its network {WEIGHT} holds NaN or infinities"),
    "infinite": (spoil(WEIGHT, float("-inf")), f"its network {WEIGHT} holds NaN or infinities"),
    "expanded": (
        put("network", WEIGHT, torch.zeros(1, 1).expand(1 << 40, 1 << 20)),
        f"its network {WEIGHT} has shape 1099511627776x1048576 instead",
    ),
    "no normalisation": (put("normalisation", ...), "it lacks normalisation"),
    "offset of two": (put("normalisation", "offset_m", [0.0, 1.0]), "normalisation has no offset_m of 3 numbers"),
    "offset in words": (
        put("normalisation", "offset_m", ["a", 0, 0]),
        "its normalisation has no offset_m of 3 numbers",
    ),
    "infinite offset": (put("normalisation", "offset_m", [np.inf, 0.0, 0.0]), "has a offset_m that is not finite"),
    "no scale": (
        put("normalisation", "scale_m", 0.0),
        "a scale_m that is not positive",
    ),
    "NaN scale": (put("normalisation", "scale_m", float("nan")), "has a scale_m that is not finite"),
    "reference": (put("normalisation", "reference", [1.0, 1.0, 0.0, 0.0]), "a reference that is not a unit quaternion"),
    "no history": (put("history", []), "its history is empty"),
    "history of another type": (put("history", [1]), "its history is not a list of rows"),
    "history in words": (put("history", 0, "train/loss", "low"), "its history has a value that is not a number"),
    "history without beta": (put("history", 0, "train/beta", ...), "its history lacks train/beta"),
    "NaN beta": (put("history", 0, "train/beta", float("nan")), "train/beta that is not a finite number"),
    "epoch": (put("epoch", -1), "its epoch is negative"),
    "seconds": (put("seconds", "long"), "its seconds is not a finite number"),
}


@pytest.mark.parametrize("name", COMMON)
def test_what_every_reader_relies_on(name: str, last: Values, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change, words = COMMON[name]
    values = changed(last, change)
    monkeypatch.setattr(checkpoint, "load", lambda _path: values)
    with pytest.raises(TrainingError, match=rf"^The checkpoint .*{LAST} cannot be used: .*{words}.*; use another one"):
        read_saved_run(tmp_path / LAST)


def test_a_checkpoint_as_it_was_written_is_read(run: Path, config: TrainingConfig, last: Values) -> None:
    saved = read_saved_run(run / LAST)
    assert (saved.config, saved.epoch, len(saved.history)) == (config, 1, 1)
    assert all(torch.equal(value, saved.network[name]) for name, value in last["network"].items())


RESUMED: dict[str, tuple[Change, str]] = {
    "no objective": (put("objective", ...), "its objective is not a mapping of names to tensors"),
    "objective of another type": (
        put("objective", "geometric.beta", 0.0),
        "its objective geometric.beta is not a dense",
    ),
    "no optimiser": (put("optimiser", ...), "its optimiser is not a mapping"),
    "no groups": (put("optimiser", "param_groups", []), "its optimiser has other parameters"),
    "groups of another type": (put("optimiser", "param_groups", 0, 1), "its optimiser has other parameters"),
    "no rate": (put("optimiser", "param_groups", 0, "lr", ...), "it lacks optimiser.param_groups.lr"),
    "NaN rate": (put("optimiser", "param_groups", 0, "lr", float("nan")), "optimiser.param_groups.lr is not a finite"),
    "moment of another shape": (
        put("optimiser", "state", 0, "exp_avg", torch.zeros(3)),
        r"its optimiser.state\[0\].exp_avg has shape 3 instead of [0-9x]+",
    ),
    "no moment": (
        put("optimiser", "state", 0, "exp_avg_sq", ...),
        r"its optimiser.state\[0\] lacks the step or a moment",
    ),
    "NaN moment": (
        lambda v: v["optimiser"]["state"][0].update(exp_avg_sq=v["optimiser"]["state"][0]["exp_avg_sq"] + np.nan),
        r"its optimiser.state\[0\].exp_avg_sq holds NaN",
    ),
    "state of no parameter": (put("optimiser", "state", 9999, {}), "state for an unknown parameter"),
    "no schedule": (put("schedule", ...), "its schedule is not a mapping"),
    "schedule of another type": (put("schedule", "last_epoch", "3"), "its schedule.last_epoch is not a whole number"),
    "rates": (put("schedule", "_last_lr", [0.1]), "its schedule has a negative step, or not one learning rate"),
    "no scaler": (put("scaler", ...), "its scaler is not a mapping"),
}


def minimiser(config: TrainingConfig) -> Minimiser:
    return Minimiser(config, build_network(config), 100, CPU)


@pytest.mark.parametrize("name", RESUMED)
def test_what_only_resuming_needs(name: str, last: Values, config: TrainingConfig) -> None:
    change, words = RESUMED[name]
    values = changed(last, change)
    restored = minimiser(config)
    before = copy.deepcopy(restored.network.state_dict())
    with pytest.raises(ValueError, match=words):
        restored.restore(values["network"], values)
    assert all(torch.equal(value, before[n]) for n, value in restored.network.state_dict().items()), "half taken up"


def test_a_schedule_takes_up_its_step_and_nothing_that_could_replace_its_own(
    last: Values, config: TrainingConfig
) -> None:
    values = changed(last, lambda v: v["schedule"].update({"step": 5, "total_steps": 0, "_schedule_phases": []}))
    restored = minimiser(config)
    restored.restore(values["network"], values)
    restored.optimiser.step()
    restored.schedule.step()
    assert restored.schedule.last_epoch == last["schedule"]["last_epoch"] + 1


PROGRESS: dict[str, tuple[Change, str]] = {
    "no progress": (put("progress", ...), "it lacks progress"),
    "words": (put("progress", "step", "many"), "its progress.step is not a whole number"),
    "another epoch": (put("progress", "epoch", 0), "its history, epoch and progress contradict each other"),
    "another step": (put("progress", "step", 3), "the step of its progress contradicts its epoch"),
    "schedule elsewhere": (put("schedule", "last_epoch", 1), "the step of its schedule contradicts its progress"),
    "no generators": (put("random", ...), "it lacks random"),
    "generators": (put("random", "python", [3, [1, 2], None]), "its random generator state is invalid"),
    "numpy beyond its keys": (
        lambda v: v["random"].update(numpy=(*v["random"]["numpy"][:2], 10**6, *v["random"]["numpy"][3:])),
        "its random generator state is invalid",
    ),
    "others": (put("random_of_others", 3), "its random_of_others is not a list"),
    "of others": (put("random_of_others", [{}]), "it has random generator states for a different number of processes"),
}


def test_resuming_ends_in_a_sentence(
    run: Path, tiny_folder: Path, config: TrainingConfig, last: Values, tmp_path: Path
) -> None:
    from mvloc_ros.training.train import read_data
    from mvloc_ros.training.trainer import Trainer

    data = read_data(config, tiny_folder, 0.2)
    described = {name: value for name, value in last["run"].items() if name != "processes"}
    for change, words in PROGRESS.values():
        checkpoint.save(tmp_path / LAST, changed(last, change))
        with pytest.raises(TrainingError, match=rf"{LAST} cannot be used: {words}; use another one, or delete it"):
            Trainer(config, data.training, data.validation, described, tmp_path, CPU)
    checkpoint.save(tmp_path / LAST, last)
    assert Trainer(config, data.training, data.validation, described, tmp_path, CPU).progress.epoch == 1


def damage_pickle(path: Path) -> None:
    import pickle

    path.write_bytes(pickle.dumps({"schema": 1}))


def damage_by_code(path: Path) -> None:
    class Harmful:
        def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
            return os.mkdir, (str(path.parent / "executed"),)

    torch.save({"schema": 1, "network": Harmful()}, path)


def compress(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)


def become_a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def become_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "cut": (lambda path: path.write_bytes(path.read_bytes()[:-1000]), r"is damaged \(BadZipFile\); delete it"),
    "empty": (lambda path: path.write_bytes(b""), r"is damaged \(BadZipFile\); delete it"),
    "pickle": (damage_pickle, r"is damaged \(BadZipFile\); delete it"),
    "code": (damage_by_code, r"is damaged \(UnpicklingError\); delete it"),
    "compressed": (compress, r"is damaged \(BadZipFile\); delete it"),
    "list": (lambda path: torch.save([1], path), "is of another version of mvloc_ros; train again"),
    "schema": (lambda path: torch.save({"schema": torch.ones(2)}, path), "is of another version of mvloc_ros"),
    "pipe": (become_a_pipe, r"cannot be read \(it is a named pipe, not a regular file\)"),
    "folder": (become_a_folder, r"cannot be read \(it is a folder, not a regular file\)"),
    "none": (lambda path: path.unlink(), "There is no checkpoint"),
}


@pytest.mark.parametrize("name", FILES)
def test_files_that_are_no_checkpoint(name: str, run: Path, tmp_path: Path) -> None:
    damage, words = FILES[name]
    shutil.copy(run / LAST, tmp_path / LAST)
    damage(tmp_path / LAST)
    with pytest.raises(TrainingError, match=words):
        read_saved_run(tmp_path / LAST)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    "words", [["export", "RUN", "--out", "OUT"], ["train", "--data", "DATA", "--out", "OUT", "--stage", "2"]]
)
def test_the_commands_say_one_sentence(
    words: list[str], run: Path, tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoiled = Path(shutil.copytree(run, tmp_path / "run"))
    checkpoint.save(spoiled / BEST, changed(checkpoint.load(run / BEST), put("normalisation", "scale_m", "one")))
    places = {"RUN": spoiled, "OUT": tmp_path / "out", "DATA": tiny_folder}
    command = [str(places.get(word, word)) for word in words]
    command += ["--start-from", str(spoiled)] if words[0] == "train" else []
    assert main(command) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("mvloc ")]
    assert f"The checkpoint {spoiled / BEST} cannot be used: its normalisation has no scale_m of 1 numbers" in line


def test_changed_files_are_read_or_refused_and_nothing_else(run: Path, tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    content, refused = (run / LAST).read_bytes(), 0
    for _ in range(10):
        data = bytearray(content)
        # At the start lies the pickle, at the end the list of the archive's entries.
        place = int(random.integers(6000)) if random.random() < 0.5 else len(data) - 1 - int(random.integers(6000))
        data[place] ^= 1 << int(random.integers(8))
        (tmp_path / LAST).write_bytes(data)
        try:
            read_saved_run(tmp_path / LAST)
        except TrainingError:
            refused += 1
    assert refused > 3


def test_changed_values_are_taken_or_refused_and_nothing_else(last: Values, monkeypatch: pytest.MonkeyPatch) -> None:
    random, refused = np.random.default_rng(4), 0
    others = (None, 0, -1, True, "x", [], {}, float("nan"), 1 << 70, torch.zeros(2), [[1]], ("a",), b"b")
    for _ in range(25):
        values = copied(last)
        place, name = values, "run"
        for _ in range(random.integers(1, 5)):
            name = list(place)[random.integers(len(place))]
            if not isinstance(place[name], dict) or not place[name]:
                break
            place = place[name]
        place[name] = others[random.integers(len(others))]
        monkeypatch.setattr(checkpoint, "load", lambda _path, values=values: values)
        try:
            saved = read_saved_run(Path(LAST))
        except TrainingError:
            refused += 1
            continue
        with suppress(ValueError):
            minimiser(saved.config).restore(saved.network, saved.state)
    assert 5 < refused < 25


def test_weights_that_are_none_end_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "resnet18.pth"
    os.mkfifo(path)
    with pytest.raises(
        TrainingError, match=r"Cannot read the weights .*named pipe, not a regular file; check --weights"
    ):
        read_weights(path)
    path.unlink()
    network = ResNet("resnet18", 0.125, classes=10)
    torch.save(network.state_dict(), path)
    compress(path)
    with pytest.raises(TrainingError, match=r"is not a file of tensors saved by torch\.save"):
        read_weights(path)
    torch.save({1: torch.zeros(1)}, path)
    with pytest.raises(TrainingError, match="is not a state dict"):
        read_weights(path)
    torch.save(network.state_dict() | {"layer1.0.conv1.weight": torch.full((8, 8, 3, 3), float("nan"))}, path)
    with pytest.raises(TrainingError, match=r"hold NaN or infinities in layer1\.0\.conv1\.weight"):
        load_imagenet(ResNet("resnet18", 0.125), read_weights(path))
    torch.save(network.state_dict() | {"conv1.weight": torch.zeros(())}, path)
    with pytest.raises(TrainingError, match=r"the first is conv1\.weight"):
        load_imagenet(ResNet("resnet18", 0.125), read_weights(path))
    torch.save(network.state_dict(), path, _use_new_zipfile_serialization=False)  # as torchvision's older files
    assert read_weights(path).keys() == network.state_dict().keys()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("config.json", "[" * 100_000),
        ("config.json", "{}"),
        ("config.json", '{"config": 1, "data": 2}'),
        ("config.json", "\0"),
        ("metrics.csv", "epoch,train/loss\n1"),
        ("metrics.csv", "epoch,train/loss\nx,y\n"),
        ("metrics.csv", "epoch\ninf\n"),
        ("metrics.csv", "epoch\n" + "1" * 200_000 + "\n"),
        ("metrics.csv", "epoch\0"),
    ],
)
def test_a_run_folder_with_a_foreign_file_does_not_count(name: str, text: str, run: Path, tmp_path: Path) -> None:
    assert _read(run / "config.json") is not None
    for file in ("config.json", "metrics.csv"):
        shutil.copy(run / file, tmp_path / file)
    (tmp_path / name).write_text(text)
    assert _read(tmp_path / "config.json") is None
