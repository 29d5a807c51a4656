# SPDX-License-Identifier: Apache-2.0
"""--validation-fraction 0: trained on every frame, judged and exported from the last epoch, and honest about it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from mvloc_ros.cli import main
from mvloc_ros.geometry import se3
from mvloc_ros.model.bundle import Bundle, read_bundle
from mvloc_ros.recordings import open_folder
from mvloc_ros.training import checkpoint

TINY = [
    "--short-side", "32", "--width", "0.125", "--latent-size", "16", "--epochs", "2", "--batch-size", "8",
    "--validation-fraction", "0", "--device", "cpu",
]  # fmt: skip


def train(folder: Path, out: Path, *more: str) -> int:
    return main(["train", "--data", str(folder), "--out", str(out), *TINY, *more])


@pytest.fixture(scope="module")
def run(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "wall"
    assert train(tiny_folder, out, "--test") == 0
    return out


@pytest.fixture(scope="module")
def bundle(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    out = tmp_path_factory.mktemp("models") / "wall"
    assert main(["export", str(run), "--out", str(out)]) == 0
    return read_bundle(out)


def test_every_training_frame_is_trained_on(run: Path, tiny_folder: Path) -> None:
    data = json.loads((run / "config.json").read_text())["data"]
    assert data["frames"] == len(open_folder(tiny_folder).train) == 96
    assert data["validation_frames"] == 0
    assert not (run / "best.pt").exists()
    assert checkpoint.load(run / "last.pt")["epoch"] == 2
    assert "validation" not in (run / "metrics.csv").read_text()


def test_the_last_epoch_is_judged_on_the_test_frames(run: Path) -> None:
    found = json.loads((run / "test.json").read_text())
    assert found["epoch"] == 2
    assert found["test frames"]["all"]["frames"] == 48


def test_the_bundle_says_that_nothing_was_held_out(bundle: Bundle, tiny_folder: Path) -> None:
    training = bundle.manifest.training
    assert training["validation"] is None
    assert training["validation_constant_pose"] is None
    assert (training["frames"], training["validation_frames"], training["epoch"]) == (96, 0, 2)
    assert "no frames were held out" in training["covariance_of"]
    assert "--validation-fraction 0.0" in training["command"]
    poses = np.stack([record.T_map_camera for record in open_folder(tiny_folder).train])
    spread = np.mean((poses[:, :3, 3] - poses[:, :3, 3].mean(axis=0)) ** 2, axis=0)
    np.testing.assert_allclose(bundle.manifest.residual_variance[:3], spread, rtol=1e-6)
    turns = se3.rotation_vector(poses[:, :3, :3])
    np.testing.assert_allclose(bundle.manifest.residual_variance[5], np.var(turns[:, 2]), rtol=0.02)


def test_both_stages(tiny_folder: Path, tmp_path: Path) -> None:
    words = ["--stage", "both", "--stage2-epochs", "1", "--samples", "2", "--samples-at-once", "2"]
    assert train(tiny_folder, tmp_path / "run", *words, "--test") == 0
    assert json.loads((tmp_path / "run" / "test.json").read_text())["stage"] == 2
    assert not (tmp_path / "run" / "stage1" / "best.pt").exists()


def said(capsys: pytest.CaptureFixture[str]) -> str:
    (line,) = [line for line in capsys.readouterr().err.replace("\r", "\n").splitlines() if line.startswith("mvloc ")]
    return line


def test_what_does_not_go_with_it_is_said(run: Path, tiny_folder: Path, tmp_path: Path, capsys) -> None:
    assert train(tiny_folder, tmp_path / "other", "--refit") == 2
    assert "--refit adds the validation frames, and with --validation-fraction 0 there are none" in said(capsys)
    assert main(["export", str(run), "--out", str(tmp_path / "model"), "--checkpoint", "best"]) == 2
    assert "has no validation frames and so no best epoch" in said(capsys)
    unfinished = Path(shutil.copytree(run, tmp_path / "unfinished"))
    values = checkpoint.load(unfinished / "last.pt")
    checkpoint.save(unfinished / "last.pt", values | {"epoch": 1})
    assert main(["export", str(unfinished), "--out", str(tmp_path / "model")]) == 2
    assert "is at epoch 1 of 2; run its command again" in said(capsys)
    other = Path(shutil.copytree(tiny_folder, tmp_path / "otherdata"))
    first = other / "seq-01" / "frame-000000.color.png"
    shutil.copy(other / "seq-01" / "frame-000001.color.png", first)
    assert main(["export", str(run), "--out", str(tmp_path / "model"), "--data", str(other)]) == 2
    assert "is not the data that" in said(capsys)
