# SPDX-License-Identifier: Apache-2.0
"""Trains what a table lacks, one run after the other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mvloc_ros.experiments.errors import ExperimentError
from mvloc_ros.experiments.runs import FoundRun, RunFolder
from mvloc_ros.experiments.scenes import Scene
from mvloc_ros.experiments.table_rows import Row, first_stage
from mvloc_ros.file_reader import ReadError, digest_file
from mvloc_ros.limits import MOST_CHECKPOINT_BYTES
from mvloc_ros.storage import exclusive
from mvloc_ros.training.config import TrainingConfig
from mvloc_ros.training.depth_range import explain_range
from mvloc_ros.training.train import train


class Workshop:
    """Trains runs to their end in a folder of runs, on all training frames: nothing is held out or selected."""

    def __init__(self, runs: RunFolder, device: str, weights: Path | None) -> None:
        self.runs, self.device, self.weights = runs, device, weights
        self.digest = weights_digest(weights)

    def train(self, scene: Scene, config: TrainingConfig, label: str) -> Path:
        """The folder of the finished run; trains it, or what is left of it.

        A second stage starts from the run of its first, which is trained before where it is missing.
        """
        config = scene.adapt(config)
        if config.samples_latent:
            self.train(scene, first_stage(config), label)
        found = self.runs.find(scene, config, self.digest)
        if found is not None and found.finished:
            return found.folder
        begun = found if found is not None and _can_go_on(found) else None
        config = config.with_options({"validation_fraction": 0.0}) if begun is None else begun.config
        folder = self.runs.new(scene, config) if begun is None else begun.folder
        start, weights = None, self.weights
        if config.samples_latent:
            starts = self.runs.starts(scene, config, self.digest)
            start, weights = next(iter(starts.values())) if begun is None else starts[begun.start], None
        depth = explain_range(config, scene.root, scene.given)
        print(f"{scene.name}: {label}, seed {config.seed}, in {folder}{depth and '; '}{depth}", flush=True)
        fraction, reading = scene.test_fraction, scene.reading
        # A table of other people's recordings: what contradicts itself there is named, and judged all the same.
        train(config, scene.root, folder, self.device, weights, fraction, start_from=start, force=True, reading=reading)
        return folder


def _can_go_on(run: FoundRun) -> bool:
    """Whether it is a run by itself, and not a part of one of `mvloc train` with both stages or a refit."""
    return run.config.validation.validation_fraction == 0.0 and run.config.stages.stage != "both"


def train_all(workshop: Workshop, scenes: Sequence[Scene], rows: Sequence[Row], seeds: int) -> None:
    """Train every row of every scene with every seed that is not finished: every row with seed 0 first, so that a table
    is whole early.

    Raises:
        MvlocError: the data, the values or the device do not serve, or another experiment is training here.
    """
    workshop.runs.root.mkdir(parents=True, exist_ok=True)
    with exclusive(workshop.runs.root):
        for scene in scenes:
            for seed in range(seeds):
                for row in rows:
                    workshop.train(scene, row.config.with_options({}, seed=seed), row.label)


def weights_digest(weights: Path | None) -> str:
    """SHA-256 of the ImageNet weights, empty for none.

    Raises:
        ExperimentError: the file cannot be read.
    """
    try:
        return "" if weights is None else digest_file(weights, MOST_CHECKPOINT_BYTES)
    except ReadError as error:
        raise ExperimentError(f"The weights {weights} cannot be read ({error.strerror}); check --weights.") from error
