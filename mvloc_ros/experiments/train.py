# SPDX-License-Identifier: Apache-2.0
"""Trains what a table lacks, one run after the other."""

from __future__ import annotations

import fcntl
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mvloc_ros.experiments.errors import ExperimentError
from mvloc_ros.experiments.rows import Row, first_stage
from mvloc_ros.experiments.runs import RunFolder
from mvloc_ros.experiments.scenes import Scene
from mvloc_ros.training.checkpoint import LAST
from mvloc_ros.training.config import TrainingConfig
from mvloc_ros.training.networks.resnet import read_weights
from mvloc_ros.training.start import read_start
from mvloc_ros.training.train import pick_device
from mvloc_ros.training.trainer import Trainer, describe_run

LOCK_FILE = ".experiment.lock"


class Workshop:
    """Trains runs to their end in a folder of runs, on all training frames: nothing is held out or selected."""

    def __init__(self, runs: RunFolder, device: str, weights: Path | None) -> None:
        self.runs, self.device, self.weights = runs, pick_device(device), weights
        self.digest = weights_digest(weights)

    def train(self, scene: Scene, config: TrainingConfig, label: str) -> Path:
        """The folder of the finished run; trains it, or what is left of it.

        A second stage starts from the run of its first, which is trained before where it is missing.
        """
        if config.samples_latent:
            self.train(scene, first_stage(config), label)
        found = self.runs.find(scene, config, self.digest)
        if found is not None and found.finished:
            return found.folder
        folder = self.runs.new(scene, config) if found is None else found.folder
        if found is not None:
            config = found.config  # of the same result, but resuming compares every value
        print(f"{scene.name}: {label}, seed {config.seed}, in {folder}", flush=True)
        training = scene.training_frames(config)
        run = describe_run(config, scene.root, training, None, self.digest if found is None else found.weights)
        run["test_fraction"] = scene.test_fraction
        start, weights = None, None
        if config.samples_latent:
            starts = self.runs.starts(scene, config, self.digest)
            before = starts[found.start] if found is not None else next(iter(starts.values()))
            start = read_start(before / LAST, config, run["data"])
            run["start_from"] = start.digest
        elif self.weights is not None:
            weights = read_weights(self.weights)
        Trainer(config, training, None, run, folder, self.device, weights, start).fit()
        return folder


def train_all(workshop: Workshop, scenes: Sequence[Scene], rows: Sequence[Row], seeds: int) -> None:
    """Train every row of every scene with every seed that is not finished: every row with seed 0 first, so that a table
    is whole early.

    Raises:
        MvlocError: the data, the values or the device do not serve, or another experiment is training here.
    """
    with _alone(workshop.runs.root):
        for scene in scenes:
            for seed in range(seeds):
                for row in rows:
                    workshop.train(scene, row.config.with_options({}, seed=seed), row.label)
            if len(scenes) > 1:
                scene.forget()


def weights_digest(weights: Path | None) -> str:
    """SHA-256 of the ImageNet weights, empty for none.

    Raises:
        ExperimentError: the file cannot be read.
    """
    try:
        return "" if weights is None else hashlib.sha256(weights.read_bytes()).hexdigest()
    except OSError as error:
        raise ExperimentError(f"The weights {weights} cannot be read ({error.strerror}); check --weights.") from error


@contextmanager
def _alone(root: Path) -> Iterator[Any]:
    """Refuse to train where another process does; a lock of a process that died is none."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / LOCK_FILE).open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ExperimentError(
                f"Another experiment is training in {root}; wait for it, use --only-report, or give another --runs."
            ) from error
        yield
