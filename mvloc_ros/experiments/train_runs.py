# SPDX-License-Identifier: Apache-2.0
"""Trains the missing runs of a table, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mvloc_ros.experiments.errors import ExperimentError
from mvloc_ros.experiments.runs import FoundRun, RunFolder
from mvloc_ros.experiments.scenes import Scene
from mvloc_ros.experiments.table_rows import Row, first_stage
from mvloc_ros.file_reader import ReadError
from mvloc_ros.storage import exclusive
from mvloc_ros.training import checkpoint
from mvloc_ros.training.config import TrainingConfig
from mvloc_ros.training.depth_range import explain_range
from mvloc_ros.training.train import train


class RunTrainer:
    """Trains runs on all training frames, without validation frames, in a folder of runs."""

    def __init__(self, runs: RunFolder, device: str, weights: Path | None) -> None:
        self.runs, self.device, self.weights = runs, device, weights
        self.digest = weights_digest(weights)

    def train(self, scene: Scene, config: TrainingConfig, label: str) -> Path:
        """The folder of the finished run, which is trained or resumed first if necessary.

        Stage 2 starts from the run of its stage 1, which is trained first if it is missing.
        """
        config = scene.adapt(config)
        if config.samples_latent:
            self.train(scene, first_stage(config), label)
        found = self.runs.find(scene, config, self.digest)
        if found is not None and found.finished:
            return found.folder
        resumed = found if found is not None and _can_be_resumed(found) else None
        config = config.with_options({"validation_fraction": 0.0}) if resumed is None else resumed.config
        folder = self.runs.new(scene, config) if resumed is None else resumed.folder
        start, weights = None, self.weights
        if config.samples_latent:
            starts = self.runs.starts(scene, config, self.digest)
            start, weights = next(iter(starts.values())) if resumed is None else starts[resumed.start], None
        depth = explain_range(config, scene.root, scene.given)
        print(f"{scene.name}: {label}, seed {config.seed}, in {folder}{depth and '; '}{depth}", flush=True)
        fraction, reading = scene.test_fraction, scene.reading
        # A table of other people's recordings: what contradicts itself there is reported, but evaluated anyway.
        train(config, scene.root, folder, self.device, weights, fraction, start_from=start, force=True, reading=reading)
        return folder


def _can_be_resumed(run: FoundRun) -> bool:
    """Whether it is a separate run, and not part of a run with both stages or a refit."""
    return run.config.validation.validation_fraction == 0.0 and run.config.stages.stage != "both"


def train_all(trainer: RunTrainer, scenes: Sequence[Scene], rows: Sequence[Row], seeds: int) -> None:
    """Train every unfinished row of every scene with every seed; of each scene all rows with seed 0 first.

    Raises:
        MvlocError: the data, the values or the device cannot be used, or another experiment trains in this folder.
    """
    trainer.runs.root.mkdir(parents=True, exist_ok=True)
    with exclusive(trainer.runs.root):
        for scene in scenes:
            for seed in range(seeds):
                for row in rows:
                    trainer.train(scene, row.config.with_options({}, seed=seed), row.label)


def weights_digest(weights: Path | None) -> str:
    """SHA-256 of the ImageNet weights, empty for none.

    Raises:
        ExperimentError: the file cannot be read.
    """
    try:
        return "" if weights is None else checkpoint.digest(weights)
    except ReadError as error:
        raise ExperimentError(f"The weights {weights} cannot be read ({error.strerror}); check --weights.") from error
