# SPDX-License-Identifier: Apache-2.0
"""The learned rows of a table: a system in a stage, with its configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from mvloc_ros.experiments.errors import ExperimentError
from mvloc_ros.training.config import SYSTEMS, TrainingConfig
from mvloc_ros.training.options import ClipConfig, StageConfig
from mvloc_ros.training.presets import preset

# The columns of the paper, in its order.
DEFAULT_SYSTEMS = {
    "table2": ("posenet", "vidloc", "mapnet", "atloc", "mvloc"),
    "table3": ("mvloc-v", "mvloc-c", "mvloc-p", "mvloc"),
    "table4": ("mvloc-c", "mvloc-p", "mvloc"),
    "figure3": ("mapnet", "atloc", "mvloc"),
}
ALL_SYSTEMS = ("posenet", "vidloc", "vidloc-causal", "mapnet", "atloc", "mvloc-v", "mvloc-c", "mvloc-p", "mvloc")
STAGE_OPTIONS = tuple(item.name for item in fields(StageConfig))
# Options that do not apply to a system with color only.
DEPTH_OPTIONS = (
    *("drop_color", "drop_depth", "min_depth", "max_depth", "depth_of_points", "depth_encoding"),
    *("depth_erasing", "depth_noise", "depth_dropout", "degrade_color", "degrade_depth"),
)
# Options that the system determines.
FIXED = {"mvloc-p": ("stage", "estimator", "samples")}


@dataclass(frozen=True)
class Row:
    """A system in a stage. `config` has seed 0; `published` is the system whose published errors are beside it."""

    label: str
    config: TrainingConfig
    published: str | None

    @property
    def system(self) -> str:
        """The system's name."""
        return self.config.system


def make_rows(systems: Sequence[str], preset_name: str, given: Mapping[str, Any]) -> list[Row]:
    """One row per system, three for `mvloc` if it is trained in both stages, as it is unless `stage` is given.

    Every system uses those of the given values that apply to it, and all have the same number of epochs: those without
    a second stage train as long in the first. So does a control of `mvloc`, which tells what the second stage brings
    beyond more training.

    Raises:
        TrainingError: a value is out of its range.
        ExperimentError: a system is unknown, or stage 2 is requested without stage 1.
    """
    if given.get("stage") == "2":
        raise ExperimentError(
            "--stage 2 cannot be a row of a table without stage 1; use --stage both, which reports both stages."
        )
    given = {"stage": "both", **given}
    more = _second_epochs(preset_name, given)
    rows = []
    for system in dict.fromkeys(systems):
        if system not in SYSTEMS:
            raise ExperimentError(
                f"--systems has the unknown system {system!r}; choose from {', '.join(SYSTEMS)}, or all."
            )
        config = preset(system, preset_name)
        config = config.with_options({name: given[name] for name in given if _applies_to(system, name)})
        longer = config.with_options({"stage": "1", "epochs": config.optimiser.epochs + more})
        if config.stages.stage == "1":
            rows.append(Row(system, longer, system))
            continue
        second = config.with_options({"stage": "2"})
        if system == "mvloc":
            rows.append(Row("mvloc (stage 1)", config.with_options({"stage": "1"}), None))
            rows.append(Row("mvloc (stage 1, as long as both)", longer, None))
            stages = config.stages
            rows.append(Row(f"mvloc (stage 2, k={stages.samples}, {stages.estimator})", second, system))
        else:
            rows.append(Row(system, second, system))
    return rows


def _second_epochs(preset_name: str, given: Mapping[str, Any]) -> int:
    """How many epochs of a second stage `mvloc` has."""
    config = preset("mvloc", preset_name)
    config = config.with_options({name: given[name] for name in given if _applies_to("mvloc", name)})
    return 0 if config.stages.stage == "1" else config.stages.stage2_epochs


def budget(config: TrainingConfig) -> str:
    """The training budget of a row, in words."""
    batch = config.optimiser.batch_size
    text = f"{config.optimiser.epochs} epochs in batches of {batch}"
    return f"{text}, then {config.stages.stage2_epochs} of stage 2" if config.samples_latent else text


def first_stage(config: TrainingConfig) -> TrainingConfig:
    """Stage 1 of a stage 2.

    In stage 1 `mvloc-p` is `mvloc`, so both start from the same run, whose options of stage 2 do not matter.
    """
    stages = config.first_stage_options()
    return config.with_options({name: getattr(stages, name) for name in STAGE_OPTIONS}, system="mvloc")


def _applies_to(system: str, name: str) -> bool:
    described = SYSTEMS[system]
    if name in FIXED.get(system, ()):
        return False
    if name in DEPTH_OPTIONS:
        return described.uses_depth
    if name in STAGE_OPTIONS:
        return described.samples
    if name in {item.name for item in fields(ClipConfig)}:
        return described.clips
    return True
