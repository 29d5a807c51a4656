# SPDX-License-Identifier: Apache-2.0
"""Every value of a training run, in sections: frozen dataclasses.

Each field carries its help text and its bounds, so the command line's options, the checks, and
`config.json` all come from this one place.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import Field, dataclass, field, fields
from typing import Any

from mvloc_ros import foreign_text
from mvloc_ros.limits import MOST_DEPTH_M, MOST_LATENT_DIM
from mvloc_ros.training.errors import TrainingError


def option(
    default: Any, help: str, *, low: float | None = None, high: float | None = None, choices: tuple[str, ...] = ()
) -> Any:
    """A dataclass field with its help text, inclusive bounds and choices."""
    return field(default=default, metadata={"help": help, "low": low, "high": high, "choices": choices})


# Defaults of options that are no part of the configuration.
MOST_UNREADABLE = 0.01
# A difference of a tenth of the error, in a direction of its own, makes the error a 200th greater.
ALLOWED_SHARE = 0.1

KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a word"}
_LARGEST = 1 << 31  # more than any option can mean


def shown(value: Any) -> str:
    """A value from a file for a sentence, cut where it is long."""
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # nested deeply, or a number of thousands of digits
        text = f"such a {type(value).__name__}"
    return foreign_text.shown(text)


@dataclass(frozen=True)
class InputConfig:
    """What the network sees."""

    short_side: int = option(120, "shorter side of the network's input, pixels; the aspect ratio stays", low=32)
    min_depth: float = option(0.1, "depth below this is invalid, metres", low=0.0, high=MOST_DEPTH_M)
    max_depth: float = option(6.0, "depth beyond this is invalid, metres", low=0.01, high=MOST_DEPTH_M)
    depth_of_points: bool = option(
        False, "depth is single points, as a LIDAR's: shrunk images keep the nearest of each pixel's, here and live"
    )
    depth_encoding: str = option(
        "metric", "depth as one metric channel, or as the colour scale of the paper", choices=("metric", "colors")
    )
    register_depth: bool = option(
        False, "carry raw depth into the colour camera first, in training and at run time; see T_color_depth"
    )


@dataclass(frozen=True)
class NetworkConfig:
    """The two encoders, the latent space and the regressor."""

    backbone: str = option("resnet18", "architecture of both encoders", choices=("resnet18", "resnet34"))
    width: float = option(0.5, "factor on the channels of the encoders", low=0.125, high=4.0)
    latent_size: int = option(256, "dimensions D of the latent space", low=8, high=MOST_LATENT_DIM)
    dropout: float = option(0.2, "dropout inside the regressor", low=0.0, high=0.95)


@dataclass(frozen=True)
class OptimiserConfig:
    """How the loss is minimised."""

    epochs: int = option(50, "passes over the training frames", low=1)
    batch_size: int = option(32, "frames a step, of all processes together", low=2)
    accumulate: int = option(1, "parts in which a step's frames go through the network; more take less memory", low=1)
    optimiser: str = option(
        "adamw", "adam adds the decay to the gradient, adamw to the weights", choices=("adam", "adamw")
    )
    learning_rate: float = option(2e-3, "peak learning rate", low=1e-9, high=10.0)
    weight_decay: float = option(5e-2, "weight decay; never on norms, biases, beta and gamma", low=0.0)
    scale_rate: float = option(3.0, "learning rate of beta and gamma, as a multiple of the network's", low=0.0)
    schedule: str = option("onecycle", "course of the learning rate", choices=("onecycle", "cosine", "constant"))
    gradient_limit: float = option(0.0, "clip the gradient's norm to this; 0 = never", low=0.0)
    ema: float = option(
        0.0,
        "decay of the moving average of the weights, which then is judged and exported; 0 = none",
        low=0.0,
        high=0.99999,
    )
    precision: str = option(
        "auto", "arithmetic on CUDA; auto = bf16 where the GPU has it", choices=("auto", "bf16", "fp16", "fp32")
    )
    initial_beta: float = option(0.0, "start of beta, the log scale of the position error (Eq. 11)")
    initial_gamma: float = option(-3.0, "start of gamma, the log scale of the rotation error (Eq. 11)")


@dataclass(frozen=True)
class AugmentationConfig:
    """Random changes of the training frames: new views, which change the pose, and changes of appearance."""

    turn: float = option(0.0, "largest angle to turn the camera by for a new view, degrees", low=0.0, high=45.0)
    shift: float = option(
        0.0, "largest distance to move the camera by for a new view, metres; needs depth", low=0.0, high=2.0
    )
    unmoved: float = option(0.25, "probability that a frame or clip stays as recorded", low=0.0, high=1.0)
    brightness: float = option(0.4, "largest relative change of brightness", low=0.0, high=1.0)
    contrast: float = option(0.4, "largest relative change of contrast", low=0.0, high=1.0)
    saturation: float = option(0.4, "largest relative change of saturation", low=0.0, high=1.0)
    tint: float = option(0.1, "largest relative change of each colour channel", low=0.0, high=1.0)
    color_noise: float = option(0.03, "largest standard deviation of pixel noise, of full scale", low=0.0, high=1.0)
    color_erasing: float = option(0.5, "probability of a random rectangle in the colour image", low=0.0, high=1.0)
    depth_erasing: float = option(0.5, "probability of a hole in the depth image", low=0.0, high=1.0)
    erasing_size: float = option(0.5, "largest side of an erased rectangle, of the image's side", low=0.0, high=1.0)
    depth_noise: float = option(0.01, "largest standard deviation of depth noise, of the depth", low=0.0, high=1.0)
    depth_dropout: float = option(0.05, "largest share of single depth pixels made invalid", low=0.0, high=1.0)
    drop_color: float = option(0.1, "probability to train a frame without its colour", low=0.0, high=0.5)
    drop_depth: float = option(0.1, "probability to train a frame without its depth", low=0.0, high=0.5)


@dataclass(frozen=True)
class StageConfig:
    """The second stage of the paper's training, which decodes samples of the latent (section 3.2)."""

    stage: str = option(
        "1",
        "1 decodes the mean, 2 goes on from --start-from with samples, both is 1 and then 2",
        choices=("1", "2", "both"),
    )
    stage2_epochs: int = option(20, "epochs of stage 2", low=1)
    stage2_learning_rate: float = option(5e-4, "peak learning rate of stage 2", low=1e-9, high=10.0)
    estimator: str = option("dreg", "gradient estimator of stage 2", choices=("elbo", "iwae", "dreg", "paper"))
    samples: int = option(20, "samples k of the latent for each frame", low=1)
    samples_at_once: int = option(5, "samples decoded at a time; fewer take less memory and more time", low=1)
    latent_weight: float = option(0.01, "lambda, the weight of log p(z) - log q(z) in Eq. 13", low=0.0, high=1.0)
    latent_warmup: float = option(0.2, "share of stage 2 over which lambda rises from 0", low=0.0, high=1.0)
    target_ess: float = option(5.0, "lambda shrinks while the effective sample size is below this; 0 = never", low=0.0)
    latent_noise: float = option(
        0.0,
        "scale the latent at the start of stage 2 so that a sample's noise is so many times the spread of the means; "
        "0 = leave it",
        low=0.0,
    )
    single_experts: float = option(
        0.0, "weight of the extra terms with each modality's expert alone", low=0.0, high=10.0
    )


@dataclass(frozen=True)
class ClipConfig:
    """The clips of systems that are trained on several frames of a sequence together."""

    clip_length: int = option(1, "frames of a clip; 1 for systems of single frames", low=1)
    clip_skip: int = option(10, "frames of the sequence from one of a clip to the next", low=1)


@dataclass(frozen=True)
class ValidationConfig:
    """What is held out of the training sequences."""

    validation_fraction: float = option(
        0.1, "share held out from the end of each training sequence; 0 = none", low=0.0, high=0.9
    )
    validation_gap: int = option(5, "frames left out before it, so that neighbours do not leak", low=0)


SECTIONS: dict[str, type] = {
    "input": InputConfig,
    "network": NetworkConfig,
    "optimiser": OptimiserConfig,
    "augmentation": AugmentationConfig,
    "stages": StageConfig,
    "clips": ClipConfig,
    "validation": ValidationConfig,
}


def all_options() -> Iterator[tuple[str, Field[Any]]]:
    """Every value with the name of its section; the flat names are unique."""
    for section, kind in SECTIONS.items():
        for item in fields(kind):
            yield section, item


def flag(name: str) -> str:
    """`learning_rate` -> `--learning-rate`."""
    return "--" + name.replace("_", "-")


def is_switch(item: Field[Any]) -> bool:
    """Whether a value is yes or no: `--name` and `--no-name` on the command line."""
    return isinstance(item.default, bool)


def check(item: Field[Any], value: Any) -> None:
    """Raise TrainingError unless the value is of the option's kind, and among its choices or within its bounds."""
    kind: type = type(item.default)
    if kind is float and type(value) is int:
        kind = int
    if not isinstance(value, kind) or isinstance(value, bool) != (kind is bool):
        raise TrainingError(f"{flag(item.name)} must be {KINDS[kind]}, not {shown(value)}.")
    if isinstance(value, int) and abs(value) > _LARGEST:
        raise TrainingError(f"{flag(item.name)} must be at most {_LARGEST}, not {shown(value)}.")
    low, high, choices = (item.metadata[key] for key in ("low", "high", "choices"))
    if choices and value not in choices:
        raise TrainingError(f"{flag(item.name)} {shown(value)} is unknown; choose one of {', '.join(choices)}.")
    if not choices and not ((low is None or value >= low) and (high is None or value <= high)):
        upper = "" if high is None else f" and at most {high:g}"
        raise TrainingError(f"{flag(item.name)} {value:g} must be at least {low:g}{upper}.")
    if isinstance(value, float) and not math.isfinite(value):
        raise TrainingError(f"{flag(item.name)} must be a finite number, not {shown(value)}.")
