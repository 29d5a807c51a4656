# SPDX-License-Identifier: Apache-2.0
"""Several recordings of one place: trained on as one, tested per sequence, exported and calibrated with all of them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import pytest

from mvloc_ros.cli import main
from mvloc_ros.model.bundle import read_bundle
from mvloc_ros.recordings import open_folder
from mvloc_ros.training.config import TrainingConfig
from mvloc_ros.training.datasets import load_frames
from mvloc_ros.training.run_identity import describe_run, folders_of

TINY = [
    "--short-side", "32", "--width", "0.125", "--latent-size", "16", "--epochs", "1", "--batch-size", "8",
    "--validation-gap", "2", "--device", "cpu", "--no-cache",
]  # fmt: skip


def data(*folders: object) -> list[str]:
    """The option for each of them."""
    return [word for folder in folders for word in ("--data", str(folder))]


@pytest.fixture(scope="module")
def evening(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same walks in less light."""
    root = tmp_path_factory.mktemp("later") / "evening"
    shutil.copytree(tiny_folder, root)
    for path in root.glob("seq-*/*.color.png"):
        image = cv2.imread(str(path))
        assert image is not None
        cv2.imwrite(str(path), (0.6 * image).astype("uint8"))
    return root


@pytest.fixture(scope="module")
def run(tiny_folder: Path, evening: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "both"
    assert main(["train", "--data", str(tiny_folder), "--data", str(evening), "--out", str(out), *TINY]) == 0
    return out


def test_the_run_names_all_of_its_data(run: Path, tiny_folder: Path, evening: Path) -> None:
    described = json.loads((run / "config.json").read_text())
    day = tiny_folder.name
    assert described["data"]["name"] == " + ".join(sorted(["evening", day]))
    assert described["data"]["sequences"] == sorted(f"{d}/seq-0{n}" for d in ("evening", day) for n in (1, 2))
    assert described["data"]["frames"] + described["data"]["validation_frames"] == 2 * 96 - 4 * 2
    assert set(folders_of(described)) == {tiny_folder.resolve(), evening.resolve()}


def test_the_same_folders_in_another_order_are_the_same_run(
    run: Path, tiny_folder: Path, evening: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "--data", str(evening), "--data", str(tiny_folder), "--out", str(run), *TINY]) == 0
    for other in ([tiny_folder], [evening]):
        assert main(["train", *data(*other), "--out", str(run), *TINY]) == 2
        assert "has a run with different values of digest, frames, name, sequences" in capsys.readouterr().err


def test_test_errors_are_printed_per_sequence(run: Path, tiny_folder: Path, evening: Path, capsys) -> None:
    words = ["--data", str(evening), "--data", str(tiny_folder), "--out", str(run)]
    assert main(["train", *words, *TINY, "--test"]) == 0
    lines = capsys.readouterr().out.splitlines()
    found = json.loads((run / "test.json").read_text())["test frames"]
    assert found["all"]["frames"] == 96
    names = sorted(f"{folder.name}/seq-03" for folder in (evening, tiny_folder))
    assert list(found["sequences"]) == names
    at = next(i for i, line in enumerate(lines) if line.strip().startswith("test frames:"))
    for name, line in zip(names, lines[at + 1 : at + 3], strict=True):
        figures = found["sequences"][name]
        assert line.strip().startswith(f"{name}: median {figures['median_m']:.3f} m, {figures['median_deg']:.2f} deg")
        assert line.endswith("; 48 frames")


def test_export_and_calibrate_take_the_same_folders(
    run: Path, tiny_folder: Path, evening: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "model"
    both = [str(tiny_folder), str(evening)]
    assert main(["export", str(run), "--out", str(model), "--no-cache", *data(*both)]) == 0
    training = read_bundle(model).manifest.training
    names = sorted((evening.name, tiny_folder.name))
    assert training["data"] == " + ".join(names)
    assert f"--data {' '.join(names)} --out runs/{names[0]} " in training["command"]
    assert main(["calibrate", str(model), *data(*both)]) == 0
    calibrated = read_bundle(model)
    assert calibrated.manifest.calibration is not None
    assert main(["calibrate", str(model), *data(*both[::-1])]) == 0
    assert read_bundle(model).manifest == calibrated.manifest
    capsys.readouterr()
    assert main(["calibrate", str(model), "--data", str(evening)]) == 2
    assert "give its training data with --data" in capsys.readouterr().err
    assert main(["export", str(run), "--out", str(model), "--no-cache", "--data", str(evening)]) == 2
    assert "is not the data that" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["train", "export", "map", "calibrate"])
def test_help_says_that_several_may_be_given(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([verb, "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "further folders of the same place, in the same map frame and by the same cameras, which are used as" in text


def test_other_cameras_are_one_sentence(tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = Path(shutil.copytree(tiny_folder, tmp_path / "z"))
    settings = json.loads((other / "camera.json").read_text())
    (other / "camera.json").write_text(json.dumps(settings | {"depth_units_per_metre": 5000}))
    words = ["train", "--data", str(tiny_folder), "--data", str(other), "--out", str(tmp_path / "run"), *TINY]
    assert main(words) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert "is 1000 in the first and 5000 in the second" in error
    assert not (tmp_path / "run").exists()


def test_the_run_of_one_folder_is_described_as_before(tiny_folder: Path, tiny_config: TrainingConfig) -> None:
    frames = load_frames(open_folder(tiny_folder).train[:4], 32, 43, 1000.0, "some")
    run = describe_run(tiny_config, tiny_folder, frames, None, "")
    assert run == describe_run(tiny_config, [tiny_folder], frames, None, "")
    assert run["root"] == str(tiny_folder.resolve())
    assert run.keys() == {"config", "data", "weights", "root"}
    assert run["data"]["name"] == tiny_folder.name
    assert run["data"]["sequences"] == ["seq-01"]
