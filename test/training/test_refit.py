# SPDX-License-Identifier: Apache-2.0
"""A refit learns from the held-out frames too, and the bundle's figures stay those of frames unseen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mvloc_ros.inference.bundle import read_bundle
from mvloc_ros.recordings import open_folder
from mvloc_ros.training import checkpoint
from mvloc_ros.training.config import TrainingConfig
from mvloc_ros.training.errors import TrainingError
from mvloc_ros.training.export import export
from mvloc_ros.training.train import train


@pytest.fixture(scope="module")
def run(tiny_folder: Path, tiny_config: TrainingConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "wall"
    train(tiny_config, tiny_folder, out, "cpu", None, 0.2)
    return out


def test_a_refit_follows_a_finished_run_and_takes_every_training_frame(
    run: Path, tiny_folder: Path, tiny_config: TrainingConfig, tmp_path: Path
):
    before = export(run, tmp_path / "before").manifest
    best = (run / "best.pt").read_bytes()
    train(tiny_config, tiny_folder, run, "cpu", None, 0.2, refit=True)
    assert (run / "best.pt").read_bytes() == best  # the first training stands as it was
    after = read_bundle(export(run, tmp_path / "after").path)
    frames = len(open_folder(tiny_folder).train)
    assert before.training["frames"] < frames
    assert after.manifest.training["frames"] == frames == len(after.training_trajectory())
    assert after.manifest.residual_variance == before.residual_variance
    assert after.manifest.training["validation"] == before.training["validation"]
    assert after.manifest.training["command"].endswith("--refit")
    assert after.manifest.files["model.onnx"] != before.files["model.onnx"]
    refitted = checkpoint.load(run / "refit" / "last.pt")
    np.testing.assert_allclose(after.manifest.position.offset_m, refitted["normalisation"]["offset_m"])


def test_an_unfinished_refit_is_not_exported(run: Path, tiny_folder: Path, tiny_config: TrainingConfig, tmp_path: Path):
    train(tiny_config, tiny_folder, run, "cpu", None, 0.2, refit=True)
    path = run / "refit" / "last.pt"
    values = checkpoint.load(path)
    checkpoint.save(path, values | {"epoch": 1})
    with pytest.raises(TrainingError, match="epoch 1 of 2"):
        export(run, tmp_path / "model")
