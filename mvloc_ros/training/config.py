# SPDX-License-Identifier: Apache-2.0
"""The systems, and all values of a training run of one; `presets` holds the sets of values with a name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

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

_SEEDS = 1 << 32  # numpy takes no more


@dataclass(frozen=True)
class System:
    """What a row of the paper's tables is: `summary` in words, and which options apply to it."""

    summary: str
    uses_depth: bool = True
    samples: bool = False  # whether it has a second stage
    clips: bool = False  # whether it is trained on clips
    recurrent: bool = False  # whether it needs a clip to say where a frame is, too


SYSTEMS: dict[str, System] = {
    "mvloc": System("the paper's: product of experts, k weighted samples in stage 2", samples=True),
    "mvloc-v": System("colour alone, one vector instead of a distribution", uses_depth=False),
    "mvloc-c": System("fusion by concatenation"),
    "mvloc-p": System("product of experts, one sample and the plain ELBO in stage 2", samples=True),
    "posenet": System("PoseNet with the learned loss weights of Eq. 11, colour alone", uses_depth=False),
    "mapnet": System("PoseNet trained on clips, with their relative poses", uses_depth=False, clips=True),
    "atloc": System("PoseNet with attention, colour alone", uses_depth=False),
    "vidloc": System("bidirectional LSTM over clips of colour and depth; offline", clips=True, recurrent=True),
    "vidloc-causal": System("the same with an LSTM that knows only the past", clips=True, recurrent=True),
}


@dataclass(frozen=True)
class TrainingConfig:
    """One training run: everything that decides its result, apart from the data."""

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
            raise TrainingError("preset and system must be words.")
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or not 0 <= self.seed < _SEEDS:
            raise TrainingError(f"--seed {shown(self.seed)} must be a whole number from 0 to {_SEEDS - 1}.")
        for section, item in all_options():
            check(item, getattr(getattr(self, section), item.name))
        if self.input.min_depth >= self.input.max_depth:
            raise TrainingError(
                f"--min-depth {self.input.min_depth} must be less than --max-depth {self.input.max_depth}."
            )
        _check_system(self)

    @property
    def samples_latent(self) -> bool:
        """Whether this run is a second stage; of `both`, the first is a run of its own with stage 1."""
        return self.stages.stage != "1"

    def stage_optimiser(self) -> OptimiserConfig:
        """How this run's stage is optimised."""
        if not self.samples_latent:
            return self.optimiser
        stages = self.stages
        return replace(self.optimiser, epochs=stages.stage2_epochs, learning_rate=stages.stage2_learning_rate)

    def to_dict(self) -> dict[str, Any]:
        """Nested plain values, for JSON."""
        return asdict(self)

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> TrainingConfig:
        """Inverse of `to_dict`; TrainingError where a name is unknown."""
        try:
            # Runs from before there were systems, stages and clips are of MVLoc's first stage.
            values = {"system": "mvloc", "stages": {}, "clips": {}, **values}
            sections = {name: kind(**values[name]) for name, kind in SECTIONS.items()}
            return TrainingConfig(preset=values["preset"], seed=values["seed"], system=values["system"], **sections)
        except (KeyError, TypeError) as error:
            raise TrainingError(
                f"The run's config is of another version of mvloc_ros ({error}); train again."
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
    """Raise TrainingError where values contradict the system."""
    if config.system not in SYSTEMS:
        raise TrainingError(f"--system {shown(config.system)} is unknown; choose one of {', '.join(SYSTEMS)}.")
    system, name = SYSTEMS[config.system], config.system
    if config.samples_latent and not system.samples:
        raise TrainingError(f"{name} has no latent distribution to sample; leave --stage {config.stages.stage} away.")
    if name == "mvloc-p" and (config.stages.estimator != "elbo" or config.stages.samples != 1):
        raise TrainingError("mvloc-p is the ELBO with one sample; give --estimator and --samples to --system mvloc.")
    if not system.clips and config.clips.clip_length != 1:
        raise TrainingError(f"{name} is trained on single frames; leave --clip-length away.")
    if system.clips and not 2 <= config.clips.clip_length <= config.optimiser.batch_size:
        raise TrainingError(f"{name} is trained on clips; --clip-length must be at least 2 and at most --batch-size.")
    if not system.uses_depth and config.input.depth_encoding != "metric":
        raise TrainingError(f"{name} sees colour alone; leave --depth-encoding away.")
    if not system.uses_depth and (config.augmentation.drop_color > 0.0 or config.augmentation.drop_depth > 0.0):
        raise TrainingError(
            f"{name} sees colour alone, so no modality can be dropped; leave --drop-color and --drop-depth away."
        )
