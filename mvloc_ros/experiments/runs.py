# SPDX-License-Identifier: Apache-2.0
"""Finds the runs of `mvloc train` in a folder, by their configuration and not by their names."""

from __future__ import annotations

import csv
import io
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mvloc_ros.experiments.scenes import Scene
from mvloc_ros.experiments.table_rows import first_stage
from mvloc_ros.geometry.text_file import read_text
from mvloc_ros.json_text import parse_json
from mvloc_ros.limits import MOST_MANIFEST_BYTES
from mvloc_ros.training import checkpoint
from mvloc_ros.training.checkpoint import LAST
from mvloc_ros.training.config import TrainingConfig
from mvloc_ros.training.run_log import CONFIG_FILE, METRICS_FILE
from mvloc_ros.training.saved_run import require_run

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FoundRun:
    """A run on all training frames of a scene.

    `digest` is of its frames, `weights` and `start` are digests of the files of a warm start (empty for none), `last`
    is the row of its last epoch.
    """

    folder: Path
    config: TrainingConfig
    digest: str
    frames: int
    weights: str
    start: str
    last: Mapping[str, float]

    @property
    def epoch(self) -> int:
        """Finished epochs."""
        return int(self.last.get("epoch", 0))

    @property
    def epochs(self) -> int:
        """Planned epochs."""
        return self.config.stage_optimiser().epochs

    @property
    def finished(self) -> bool:
        """Whether all epochs are finished."""
        return self.epoch >= self.epochs


class RunFolder:
    """All runs below a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._foreign: set[Path] = set()  # runs on other frames, each reported once

    def find(self, scene: Scene, config: TrainingConfig, weights: str) -> FoundRun | None:
        """The run with this configuration on all training frames of the scene; of several, the one with most epochs.

        Runs on other frames, of a folder of the same name, are ignored, with one warning each.

        Args:
            scene: of the run.
            config: with stage 1 or 2; a run of both stages counts as stage 2.
            weights: SHA-256 of the ImageNet weights, empty for none.
        """
        found = self._of(scene, config)
        if config.samples_latent:
            starts = self.starts(scene, config, weights)
            found = [run for run in found if run.start in starts]
        else:
            # A refit with --refit-epochs is a stage 1 with a warm start.
            found = [run for run in found if run.weights == weights and not run.start]
        return max(found, key=lambda run: run.epoch, default=None)

    def starts(self, scene: Scene, config: TrainingConfig, weights: str) -> dict[str, Path]:
        """Where stage 2 may start: the finished runs of its stage 1, by the SHA-256 of their checkpoints."""
        found = self._of(scene, first_stage(config))
        first = [run for run in found if run.finished and run.weights == weights and not run.start]
        return {checkpoint.digest(run.folder / LAST): run.folder for run in first}

    def _of(self, scene: Scene, config: TrainingConfig) -> list[FoundRun]:
        read = (_read(path) for path in sorted(self.root.rglob(CONFIG_FILE)))
        wanted = identity(config)
        named = (run for run, data in filter(None, read) if identity(run.config) == wanted and _is_of(data, scene))
        return [run for run in named if self._saw(run, scene, config)]

    def _saw(self, run: FoundRun, scene: Scene, config: TrainingConfig) -> bool:
        """Whether a run was trained on the present frames of the scene: a folder may have been replaced."""
        if run.digest == scene.digest(config):
            return True
        if run.folder not in self._foreign:
            self._foreign.add(run.folder)
            _log.warning(
                "%s was trained on other frames than %s has now and is ignored.",
                run.folder,
                scene.root,
            )
        return False

    def new(self, scene: Scene, config: TrainingConfig) -> Path:
        """A folder for a new run: `scene/system-seed0`, with a number appended if that exists."""
        stage = "-stage2" if config.samples_latent else ""
        name = f"{config.system}{stage}-seed{config.seed}"
        taken = self.root / scene.name
        number = 1
        while (path := taken / (name if number == 1 else f"{name}-{number}")).is_dir() and any(path.iterdir()):
            number += 1
        return path


def _read(path: Path) -> tuple[FoundRun, dict[str, Any]] | None:
    """The run of a `config.json`, and the description of its data; None if it is not of this version."""
    try:
        run = require_run(parse_json(read_text(path, "run", most_bytes=MOST_MANIFEST_BYTES)))
        config, data = TrainingConfig.from_dict(run["config"]), run["data"]
        last = _last_row(path.with_name(METRICS_FILE))
        found = FoundRun(
            path.parent, config, data["digest"], data["frames"], run["weights"], run.get("start_from", ""), last
        )
        return found, data | {"test_fraction": run["test_fraction"]}
    except ValueError:  # also of the readers
        return None


def _is_of(data: Mapping[str, Any], scene: Scene) -> bool:
    """Whether the names of the data of a run are those of all training frames of the scene."""
    return (
        data.get("name") == scene.root.resolve().name
        and data.get("validation_frames") == 0
        and data["test_fraction"] == scene.test_fraction
        and data.get("sequences") == sorted({record.sequence for record in scene.folder.train})
    )


def identity(config: TrainingConfig) -> dict[str, Any]:
    """The values that determine the result of a run on all training frames.

    Without the name of the preset and the validation options; for stage 1 without those of stage 2; for stage 2 without
    epochs and learning rate of stage 1, which `mvloc train --stage 2` does not use. `mvloc-p` in stage 1 is `mvloc`.
    """
    values = config.to_dict()
    del values["preset"], values["validation"]
    if config.samples_latent:
        values["stages"]["stage"] = "2"
        del values["stages"]["single_experts_in"]
        del values["optimiser"]["epochs"], values["optimiser"]["learning_rate"]
    else:
        values["stages"] = config.first_stage_options().__dict__
        values["system"] = "mvloc" if config.system == "mvloc-p" else config.system
    return values


def _last_row(path: Path) -> dict[str, float]:
    """The last row of `metrics.csv`, empty if there is none; ValueError if it is not a row of numbers."""
    if not path.exists():
        return {}
    try:
        rows = list(csv.reader(io.StringIO(read_text(path, "table"))))
    except csv.Error as error:
        raise ValueError(f"{path} is not a table ({error})") from error
    if len(rows) < 2:
        return {}
    last = {name: float(value) for name, value in zip(rows[0], rows[-1], strict=True)}
    if not math.isfinite(last.get("epoch", 0.0)):
        raise ValueError(f"{path} has an epoch that is not finite")
    return last
