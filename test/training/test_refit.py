# SPDX-License-Identifier: Apache-2.0
"""A refit learns from the held-out frames too, and the bundle's figures stay those of frames unseen.

The whole one trains again from scratch, the brief one goes on from the validated network.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from mvloc_ros.model.bundle import read_bundle
from mvloc_ros.recordings import open_folder
from mvloc_ros.training import checkpoint
from mvloc_ros.training.clip_objective import ClipObjective
from mvloc_ros.training.config import TrainingConfig
from mvloc_ros.training.datasets import ReadOptions
from mvloc_ros.training.errors import TrainingError
from mvloc_ros.training.export import export, training_summary
from mvloc_ros.training.networks.mvloc import MVLoc
from mvloc_ros.training.systems import build_objective
from mvloc_ros.training.train import SHORT_REFIT_RATE, train
from mvloc_ros.training.trained_network import read_network, read_refit
from mvloc_ros.training.validation_errors import measure_errors
from mvloc_ros.training.warm_start import read_start


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


def test_a_brief_refit_goes_on_from_the_validated_network(
    run: Path, tiny_folder: Path, tiny_config: TrainingConfig, tmp_path: Path
):
    run = Path(shutil.copytree(run, tmp_path / "wall", ignore=shutil.ignore_patterns("refit")))
    first = checkpoint.load(run / "best.pt")
    written = (run / "best.pt").read_bytes()
    train(tiny_config, tiny_folder, run, "cpu", None, 0.2, refit=True, refit_epochs=1)
    assert (run / "best.pt").read_bytes() == written
    refitted = checkpoint.load(run / "refit" / "last.pt")
    assert refitted["run"]["start_from"] == hashlib.sha256(written).hexdigest()
    assert refitted["run"]["data"]["frames"] == len(open_folder(tiny_folder).train)
    assert refitted["normalisation"] == first["normalisation"], "the network's positions mean what they meant"
    optimiser = refitted["run"]["config"]["optimiser"]
    assert (optimiser["epochs"], optimiser["learning_rate"]) == (
        1,
        SHORT_REFIT_RATE * tiny_config.optimiser.learning_rate,
    )
    losses = [values["history"][0]["train/position"] for values in (first, refitted)]
    assert losses[1] < losses[0], "it knows already what the first training began without"
    judged, final = read_network(run / "best.pt", False), read_refit(run, False)
    assert final is not None
    judgement = measure_errors(judged, open_folder(tiny_folder), ReadOptions())
    assert judgement is not None
    summary = training_summary(judged, final, judgement)
    assert summary["command"].endswith(" --refit --refit-epochs 1")
    assert summary["epochs"] == tiny_config.optimiser.epochs
    assert summary["frames"] == refitted["run"]["data"]["frames"]
    before = (run / "refit" / "last.pt").read_bytes()
    train(tiny_config, tiny_folder, run, "cpu", None, 0.2, refit=True, refit_epochs=1)
    assert (run / "refit" / "last.pt").read_bytes() == before, "the same command finds it finished"
    for other in (None, 3):
        with pytest.raises(TrainingError, match="has a run with different values of"):
            train(tiny_config, tiny_folder, run, "cpu", None, 0.2, refit=True, refit_epochs=other)


def test_a_brief_refit_of_both_stages_is_of_the_second(tiny_folder: Path, tiny_config: TrainingConfig, tmp_path: Path):
    options = {"epochs": 1, "stage": "both", "stage2_epochs": 1, "samples": 2, "validation_fraction": 0.6}
    config = tiny_config.with_options(options)
    train(config, tiny_folder, tmp_path, "cpu", None, 0.2, refit=True, refit_epochs=2)
    refitted = checkpoint.load(tmp_path / "refit" / "last.pt")
    assert sorted(path.name for path in tmp_path.glob("**/last.pt")) == ["last.pt"] * 3
    assert not (tmp_path / "refit" / "stage1").exists()
    stages = refitted["run"]["config"]["stages"]
    assert (refitted["epoch"], stages["stage2_epochs"]) == (2, 2)
    assert stages["stage2_learning_rate"] == SHORT_REFIT_RATE * config.stages.stage2_learning_rate
    first = checkpoint.load(tmp_path / "best.pt")["history"][-1]
    last = refitted["history"][-1]
    assert [last[name] for name in ("train/beta", "train/gamma")] == [
        first[name] for name in ("train/beta", "train/gamma")
    ]


def test_a_brief_refit_of_the_second_stage_keeps_the_latent_and_lambda(
    tiny_folder: Path, tiny_config: TrainingConfig, no_augmentation: dict[str, int], tmp_path: Path
):
    """Hardly moving, it has the latent that the second stage came to, and lambda where that had brought it."""
    options = no_augmentation | {"epochs": 1, "stage": "both", "stage2_epochs": 2, "stage2_learning_rate": 1e-8}
    options |= {"samples": 4, "target_ess": 4.0, "latent_noise": 0.1, "latent_warmup": 1.0, "validation_fraction": 0.6}
    config = tiny_config.with_options(options | {"latent_size": 16, "single_experts": 0.0})
    train(config, tiny_folder, tmp_path, "cpu", None, 0.2)
    best = checkpoint.load(tmp_path / "best.pt")
    # As if the stage had found another unit than the one that it began with.
    network = MVLoc(config.network, config.input)
    network.load_state_dict(best["network"])
    network.scale_latent(3.0)
    checkpoint.save(tmp_path / "best.pt", best | {"network": network.state_dict()})
    train(config, tiny_folder, tmp_path, "cpu", None, 0.2, refit=True, refit_epochs=1)
    refitted = checkpoint.load(tmp_path / "refit" / "last.pt")
    scale = network.state_dict()["color.mean.weight"]
    torch.testing.assert_close(refitted["network"]["color.mean.weight"], scale, rtol=1e-3, atol=1e-5)
    stages, found = refitted["run"]["config"]["stages"], best["history"][-1]["train/lambda"]
    assert 0.0 < found < config.stages.latent_weight
    assert (stages["latent_noise"], stages["latent_warmup"], stages["latent_weight"]) == (0.0, 0.0, found)
    assert 0.0 < refitted["history"][0]["train/lambda"] <= found


def test_a_brief_refit_of_clips_keeps_the_scales_of_their_steps(
    tiny_folder: Path, tiny_config: TrainingConfig, tmp_path: Path
):
    off = dict.fromkeys(("drop_color", "drop_depth", "degrade_color", "degrade_depth", "single_experts"), 0.0)
    clips = {"clip_length": 2, "clip_skip": 3, "validation_fraction": 0.6}
    config = tiny_config.with_options({**off, **clips}, system="mapnet")
    train(config, tiny_folder, tmp_path, "cpu", None, 0.2)
    start = read_start(tmp_path / "best.pt", config, None)
    row = checkpoint.load(tmp_path / "best.pt")["history"][-1]
    names = ("train/beta", "train/gamma", "train/step_beta", "train/step_gamma")
    assert start.scales == tuple(row[name] for name in names)
    objective = build_objective(config, 10, start.scales)
    assert isinstance(objective, ClipObjective)
    parts = (objective.geometric.beta, objective.geometric.gamma, objective.relative.beta, objective.relative.gamma)
    np.testing.assert_allclose([part.item() for part in parts], start.scales, rtol=1e-6)


@pytest.mark.parametrize(("refit", "epochs"), [(False, 3), (True, 0)])
def test_refit_epochs_without_a_refit_are_refused(
    refit: bool, epochs: int, tiny_folder: Path, tiny_config: TrainingConfig, tmp_path: Path
):
    with pytest.raises(TrainingError, match=rf"--refit-epochs {epochs} must be at least 1 and go with --refit"):
        train(tiny_config, tiny_folder, tmp_path, "cpu", None, 0.2, refit=refit, refit_epochs=epochs)
    assert list(tmp_path.iterdir()) == []
