# SPDX-License-Identifier: Apache-2.0
"""What is learned, how, and where the parts of the result lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mvloc_ros.posing.options import PosingOptions
from mvloc_ros.recordings.to_dataset.dataset_options import DatasetOptions
from mvloc_ros.recordings.trajectory_file import TrajectoryOptions
from mvloc_ros.training.config import TrainingConfig
from mvloc_ros.training.presets import preset, read_file


@dataclass(frozen=True)
class Effort:
    """How long a network is trained.

    Attributes:
        values: that differ from the preset.
        refit_epochs: after the training, epochs on all training frames, those for validation included; None: no refit.
    """

    values: Mapping[str, Any]
    refit_epochs: int | None


PRESET = "robust"
"""Where no preset is named. Of its views, those that the recordings can have."""
# How long each takes: `time_left`. In so few epochs rendered views bring nothing (docs/results.md).
QUICK = Effort({"epochs": 40, "rendered": 0.0}, None)
DEFAULT = Effort({}, 20)
OF_OTHER_PRESETS = Effort({}, 12)


@dataclass(frozen=True)
class LearnOptions:
    """What the command line gave.

    Attributes:
        recordings: as given.
        out: the bundle.
        conversion: of recordings that are no folders; its poses and motion limits hold for folders too.
        trajectories: one for each recording, or None for each.
        quick: less training.
        preset: name or file of a preset; None: `PRESET`, with the effort of `quick`.
        device, seed, test_fraction, force, allow_damage: as for the verbs.
        cache: of decoded frames, None for none.
        grid: whether to make an occupancy grid.
        posing: of recordings without poses.
    """

    recordings: tuple[Path, ...]
    out: Path
    conversion: DatasetOptions = field(default_factory=DatasetOptions)
    trajectories: tuple[TrajectoryOptions | None, ...] = ()
    quick: bool = False
    preset: str | None = None
    device: str = "auto"
    seed: int = 0
    test_fraction: float = 0.2
    force: bool = False
    allow_damage: bool = False
    cache: Path | None = None
    grid: bool = False
    posing: PosingOptions = field(default_factory=PosingOptions)

    @property
    def effort(self) -> Effort:
        """How long is trained; a preset of one's own says so itself and is refitted."""
        if self.preset is not None:
            return Effort({}, None) if self.quick else OF_OTHER_PRESETS
        return QUICK if self.quick else DEFAULT

    def config(self) -> TrainingConfig:
        """The configuration of the training, before the folder's own depth range. Raises TrainingError."""
        name = self.preset or PRESET
        start = read_file(Path(name), None) if name.endswith((".yaml", ".yml")) else preset("mvloc", name)
        return start.with_options(dict(self.effort.values), seed=self.seed)


@dataclass(frozen=True)
class Places:
    """Where everything lies: the bundle, and beside it the folder of work with all else."""

    out: Path

    @property
    def work(self) -> Path:
        """The folder of work, `OUT.learn`."""
        return self.out.with_name(f"{self.out.name}.learn")

    @property
    def state(self) -> Path:
        """What was done with what."""
        return self.work / "learn.json"

    @property
    def frames(self) -> Path:
        """Folders made of recordings, and links for trajectories, one each."""
        return self.work / "frames"

    @property
    def posed(self) -> Path:
        """The folder with the poses that were made here."""
        return self.work / "posed"

    @property
    def run(self) -> Path:
        """The training."""
        return self.work / "run"

    @property
    def bundle(self) -> Path:
        """The bundle until it is complete."""
        return self.work / "bundle" / self.out.name

    @property
    def final(self) -> Path:
        """The bundle with the map of all frames, until it is complete."""
        return self.work / "final" / self.out.name

    @property
    def test_bag(self) -> Path:
        """The held-out frames as a recording."""
        return self.work / "test_bag"

    @property
    def evaluation(self) -> Path:
        """What `mvloc replay` says of that recording."""
        return self.work / "evaluation"

    @property
    def grid(self) -> Path:
        """The occupancy grid."""
        return self.work / "grid"

    @property
    def report(self) -> tuple[Path, Path]:
        """The page, and its values."""
        return self.work / "report.html", self.work / "report.json"
