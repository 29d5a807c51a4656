# SPDX-License-Identifier: Apache-2.0
"""The systems, and the configuration of a training run; `presets` holds the named configurations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from mvloc_ros.model.manifest_checks import ManifestError
from mvloc_ros.model.modalities import require_distinct, sensors_of
from mvloc_ros.training.errors import TrainingError
from mvloc_ros.training.options import (
    SECTIONS,
    AugmentationConfig,
    ClipConfig,
    InputConfig,
    NetworkConfig,
    OptimiserConfig,
    StageConfig,
    ValidationConfig,
    all_options,
    check,
    shown,
)

_SEEDS = 1 << 32  # the limit of numpy


@dataclass(frozen=True)
class System:
    """A row of the tables of the paper: a `summary` in words, and which options apply to it."""

    summary: str
    uses_depth: bool = True
    samples: bool = False  # whether it has a second stage
    clips: bool = False  # whether it is trained on clips
    recurrent: bool = False  # whether it also needs a clip to localize a frame


SYSTEMS: dict[str, System] = {
    "mvloc": System("the paper's system: product of experts, k weighted samples in stage 2", samples=True),
    "mvloc-v": System("color only, one vector instead of a distribution", uses_depth=False),
    "mvloc-c": System("fusion by concatenation"),
    "mvloc-p": System("product of experts, one sample and the plain ELBO in stage 2", samples=True),
    "posenet": System("PoseNet with the learned loss weights of Eq. 11, color only", uses_depth=False),
    "mapnet": System("PoseNet trained on clips, with their relative poses", uses_depth=False, clips=True),
    "atloc": System("PoseNet with attention, color only", uses_depth=False),
    "vidloc": System("bidirectional LSTM over clips of color and depth; offline", clips=True, recurrent=True),
    "vidloc-causal": System("the same with a causal LSTM, which uses past frames only", clips=True, recurrent=True),
}


@dataclass(frozen=True)
class TrainingConfig:
    """One training run: everything that determines its result, except for the data."""

    preset: str = "small"
    seed: int = 0
    system: str = "mvloc"
    input: InputConfig = field(default_factory=InputConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    stages: StageConfig = field(default_factory=StageConfig)
    clips: ClipConfig = field(default_factory=ClipConfig)
    validation: ValidationConfig = field(default_factory=ValidationConfig)

    def __post_init__(self) -> None:
        if not isinstance(self.preset, str) or not isinstance(self.system, str):
            raise TrainingError("preset and system must be strings.")
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or not 0 <= self.seed < _SEEDS:
            raise TrainingError(f"--seed {shown(self.seed)} must be a whole number from 0 to {_SEEDS - 1}.")
        for section, item in all_options():
            check(item, getattr(getattr(self, section), item.name))
        if self.input.min_depth >= self.input.max_depth:
            raise TrainingError(f"--min-depth {self.input.min_depth} must be below --max-depth {self.input.max_depth}.")
        _check_system(self)

    @property
    def samples_latent(self) -> bool:
        """Whether this run is stage 2; with `both`, stage 1 is a separate run."""
        return self.stages.stage != "1"

    @property
    def single_experts(self) -> float:
        """The weight of the terms with one expert only, in the stage of this run."""
        acts = self.samples_latent or self.stages.single_experts_in == "both"
        return self.stages.single_experts if acts else 0.0

    def first_stage_options(self) -> StageConfig:
        """The options of the stages that determine the result of stage 1 of this run, all others at their defaults."""
        weight = self.stages.single_experts if self.stages.single_experts_in == "both" else 0.0
        return StageConfig(single_experts=weight, single_experts_in="both") if weight > 0.0 else StageConfig()

    def stage_optimiser(self) -> OptimiserConfig:
        """The optimiser options of the stage of this run."""
        if not self.samples_latent:
            return self.optimiser
        stages = self.stages
        return replace(self.optimiser, epochs=stages.stage2_epochs, learning_rate=stages.stage2_learning_rate)

    def to_dict(self) -> dict[str, Any]:
        """Nested plain values, for JSON; further sensors only where there are any."""
        values = asdict(self)
        values["input"]["sensors"] = [sensor.to_dict() for sensor in self.input.sensors]
        if not self.input.sensors:
            del values["input"]["sensors"]
        return values

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> TrainingConfig:
        """Inverse of `to_dict`; TrainingError if a name is unknown."""
        try:
            # Runs of versions without systems, stages and clips are of the first stage of MVLoc.
            values = {"system": "mvloc", "stages": {}, "clips": {}, **values}
            values["input"] = {**values["input"], "sensors": sensors_of(values["input"].get("sensors", []))}
            sections = {name: kind(**values[name]) for name, kind in SECTIONS.items()}
            return TrainingConfig(preset=values["preset"], seed=values["seed"], system=values["system"], **sections)
        except (AttributeError, KeyError, ManifestError, TypeError) as error:
            raise TrainingError(
                f"The configuration of the run is of another version of mvloc_ros ({error}); train again."
            ) from error

    def with_options(self, options: Mapping[str, Any], **named: Any) -> TrainingConfig:
        """A copy with single values replaced, by their flat names (`epochs`, `learning_rate`, ...).

        `named` replaces `preset`, `seed` or `system`.
        """
        changed = {
            section: replace(getattr(self, section), **picked)
            for section, kind in SECTIONS.items()
            if (picked := {f.name: options[f.name] for f in fields(kind) if f.name in options})
        }
        return replace(self, **changed, **named)


def _check_system(config: TrainingConfig) -> None:
    """Raise TrainingError if values contradict the system."""
    if config.system not in SYSTEMS:
        raise TrainingError(f"--system {shown(config.system)} is unknown; choose one of {', '.join(SYSTEMS)}.")
    system, name = SYSTEMS[config.system], config.system
    if config.input.sensors and not system.samples:
        raise TrainingError(f"{name} takes color and depth only; use --sensors none, or --system mvloc.")
    require_distinct(config.input.sensors)
    for sensor in config.input.sensors:
        if sensor.kind == "depth" and None in (sensor.depth_min_m, sensor.depth_max_m):
            raise TrainingError(f"The sensor {sensor.name} has no depth range; state min_depth and max_depth of it.")
    if config.samples_latent and not system.samples:
        raise TrainingError(f"{name} has no latent distribution to sample; remove --stage {config.stages.stage}.")
    # Runs of earlier versions may have a weight that had no effect.
    if config.stages.single_experts > 0.0 and config.stages.single_experts_in == "both" and not system.samples:
        raise TrainingError(f"{name} has no experts of single modalities; remove --single-experts.")
    if name == "mvloc-p" and (config.stages.estimator != "elbo" or config.stages.samples != 1):
        raise TrainingError(
            "mvloc-p always uses the ELBO with one sample; use --system mvloc with --estimator and --samples."
        )
    if not system.clips and config.clips.clip_length != 1:
        raise TrainingError(f"{name} is trained on single frames; remove --clip-length.")
    if system.clips and not 2 <= config.clips.clip_length <= config.optimiser.batch_size:
        raise TrainingError(f"{name} is trained on clips; --clip-length must be at least 2 and at most --batch-size.")
    if system.clips and not system.recurrent and config.network.rotation != "logq":
        raise TrainingError(f"The loss of {name} has differences of log quaternions; remove --rotation.")
    if system.clips and config.augmentation.rendered > 0.0:
        raise TrainingError(f"{name} is trained on clips, and rendered views are single frames; remove --rendered.")
    if not system.uses_depth:
        _check_color_only(config)


def _check_color_only(config: TrainingConfig) -> None:
    """Raise TrainingError if values need depth, or a modality that remains without color."""
    name, changes = config.system, config.augmentation
    if config.input.depth_encoding != "metric":
        raise TrainingError(f"{name} uses color only; remove --depth-encoding.")
    if changes.drop_color > 0.0 or changes.drop_depth > 0.0:
        raise TrainingError(
            f"{name} uses color only, so no modality can be dropped; remove --drop-color and --drop-depth."
        )
    if changes.degrade_color > 0.0 or changes.degrade_depth > 0.0:
        raise TrainingError(
            f"{name} uses color only, so no other modality remains for a degraded one; remove --degrade-color and "
            "--degrade-depth."
        )
