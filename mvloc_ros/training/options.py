# SPDX-License-Identifier: Apache-2.0
"""All options of a training run, in sections: frozen dataclasses.

Each field has its help text and its range, so that command line, checks and `config.json` share one definition.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import Field, dataclass, field, fields
from typing import Any

from mvloc_ros import foreign_text
from mvloc_ros.limits import MOST_DEPTH_M, MOST_LATENT_DIM
from mvloc_ros.model.modalities import Sensor
from mvloc_ros.training.errors import TrainingError


def option(
    default: Any, help: str, *, low: float | None = None, high: float | None = None, choices: tuple[str, ...] = ()
) -> Any:
    """A dataclass field with its help text, inclusive bounds and choices."""
    return field(default=default, metadata={"help": help, "low": low, "high": high, "choices": choices})


# Defaults of options that are not part of the configuration.
MOST_UNREADABLE = 0.01
# An independent difference of a tenth of the error increases the error by a 200th.
ALLOWED_SHARE = 0.1

KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a string"}
_LARGEST = 1 << 31  # more than any option can mean


def shown(value: Any) -> str:
    """A value from a file for a message, shortened if it is long."""
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # nested deeply, or a number of thousands of digits
        text = f"this {type(value).__name__}"
    return foreign_text.shown(text)


@dataclass(frozen=True)
class InputConfig:
    """The input of the network; `sensors` are those besides color and depth, which the folder declares."""

    short_side: int = option(120, "shorter side of the network input, pixels; the aspect ratio is kept", low=32)
    min_depth: float = option(0.1, "depth below this is invalid, meters", low=0.0, high=MOST_DEPTH_M)
    max_depth: float = option(6.0, "depth above this is invalid, meters", low=0.01, high=MOST_DEPTH_M)
    depth_of_points: bool = option(
        False,
        "depth is sparse points, as of a LIDAR: when shrinking, each pixel keeps its nearest point, here and live",
    )
    depth_encoding: str = option(
        "metric",
        "depth as one metric channel, color-coded as in the paper, or with its validity and slopes",
        choices=("metric", "colors", "surfaces"),
    )
    register_depth: bool = option(
        False, "register raw depth to the color camera first, in training and at run time; needs T_color_depth"
    )
    sensors: tuple[Sensor, ...] = ()


@dataclass(frozen=True)
class NetworkConfig:
    """The two encoders, the latent space and the regressor."""

    backbone: str = option("resnet18", "architecture of both encoders", choices=("resnet18", "resnet34"))
    width: float = option(0.5, "factor on the channels of the encoders", low=0.125, high=4.0)
    latent_size: int = option(256, "dimensions D of the latent space", low=8, high=MOST_LATENT_DIM)
    dropout: float = option(0.2, "dropout inside the regressor", low=0.0, high=0.95)
    rotation: str = option(
        "logq",
        "output of the rotation branch: logarithm of the quaternion (Eq. 11), or two columns of the rotation matrix, "
        "which have no seam at 180 degrees of heading",
        choices=("logq", "6d"),
    )
    share_encoders: bool = option(
        False, "one encoder for all sensors of a kind, where the folder declares more than color and depth"
    )


@dataclass(frozen=True)
class OptimiserConfig:
    """Optimisation of the loss."""

    epochs: int = option(50, "passes over the training frames", low=1)
    batch_size: int = option(32, "frames of a train step, over all processes", low=2)
    accumulate: int = option(1, "micro-batches of a train step; more need less memory", low=1)
    optimiser: str = option(
        "adamw", "adam applies the decay to the gradient, adamw to the weights", choices=("adam", "adamw")
    )
    learning_rate: float = option(2e-3, "peak learning rate", low=1e-9, high=10.0)
    weight_decay: float = option(5e-2, "weight decay; not applied to norms, biases, beta and gamma", low=0.0)
    scale_rate: float = option(3.0, "learning rate of beta and gamma, relative to that of the network", low=0.0)
    schedule: str = option("onecycle", "learning rate schedule", choices=("onecycle", "cosine", "constant"))
    gradient_limit: float = option(0.0, "clip the gradient norm to this; 0 = no clipping", low=0.0)
    ema: float = option(
        0.0,
        "decay of the moving average of the weights, which is then evaluated and exported; 0 = none",
        low=0.0,
        high=0.99999,
    )
    precision: str = option(
        "auto", "precision on CUDA; auto = bf16 if the GPU supports it", choices=("auto", "bf16", "fp16", "fp32")
    )
    initial_beta: float = option(0.0, "initial beta, the log scale of the position error (Eq. 11)")
    initial_gamma: float = option(-3.0, "initial gamma, the log scale of the rotation error (Eq. 11)")


@dataclass(frozen=True)
class AugmentationConfig:
    """Data augmentation: new views, which change the pose, and changes of appearance."""

    turn: float = option(0.0, "largest rotation of the camera for a new view, degrees", low=0.0, high=45.0)
    shift: float = option(
        0.0, "largest translation of the camera for a new view, meters; needs depth", low=0.0, high=2.0
    )
    rendered: float = option(
        0.0,
        "share of a train step that is views rendered from all training frames, anywhere in the free space that they "
        "saw; needs dense depth; 0 = none",
        low=0.0,
        high=0.9,
    )
    rendered_views: int = option(
        0, "number of different rendered views; 0 = twice the number of training frames", low=0
    )
    unmoved: float = option(0.25, "probability that a frame or clip keeps its recorded view", low=0.0, high=1.0)
    light: float = option(
        0.0,
        "another light, from 0 (none) to 1: exposure, gamma curve, cast, lamp from one side, spot",
        low=0.0,
        high=1.0,
    )
    brightness: float = option(0.4, "largest relative change of brightness", low=0.0, high=1.0)
    contrast: float = option(0.4, "largest relative change of contrast", low=0.0, high=1.0)
    saturation: float = option(0.4, "largest relative change of saturation", low=0.0, high=1.0)
    tint: float = option(0.1, "largest relative change of each color channel", low=0.0, high=1.0)
    color_noise: float = option(
        0.03, "largest standard deviation of pixel noise, relative to full scale", low=0.0, high=1.0
    )
    color_erasing: float = option(0.5, "probability of a random rectangle in the color image", low=0.0, high=1.0)
    depth_erasing: float = option(0.5, "probability of a hole in the depth image", low=0.0, high=1.0)
    erasing_size: float = option(0.5, "largest side of an erased rectangle, relative to the image", low=0.0, high=1.0)
    depth_noise: float = option(
        0.01, "largest standard deviation of depth noise, relative to the depth", low=0.0, high=1.0
    )
    depth_dropout: float = option(0.05, "largest share of single depth pixels made invalid", low=0.0, high=1.0)
    drop_color: float = option(
        0.1, "probability of training a frame without its color, and without a color or gray sensor", low=0.0, high=0.5
    )
    drop_depth: float = option(
        0.1, "probability of training a frame without its depth, and without a further depth sensor", low=0.0, high=0.5
    )
    degrade_color: float = option(
        0.0,
        "probability that the color of a frame is made nearly useless and its depth left: dark, bright, blurred, blank "
        "or noisy",
        low=0.0,
        high=0.5,
    )
    degrade_depth: float = option(
        0.0,
        "probability that the depth of a frame is made nearly useless and its color left: holes, single pixels, out of "
        "range, noisy or blank",
        low=0.0,
        high=0.5,
    )


@dataclass(frozen=True)
class StageConfig:
    """The second stage of the paper's training, which decodes samples of the latent (section 3.2)."""

    stage: str = option(
        "1",
        "1 decodes the mean, 2 continues from --start-from with samples, both runs 1 and then 2",
        choices=("1", "2", "both"),
    )
    stage2_epochs: int = option(20, "epochs of stage 2", low=1)
    stage2_learning_rate: float = option(5e-4, "peak learning rate of stage 2", low=1e-9, high=10.0)
    estimator: str = option("dreg", "gradient estimator of stage 2", choices=("elbo", "iwae", "dreg", "paper"))
    likelihood: str = option(
        "mean",
        "log p(y | z) of stage 2: sum over the axes of Eq. 11, a Laplace likelihood; or their mean, which is its cube "
        "root",
        choices=("sum", "mean"),
    )
    samples: int = option(20, "latent samples k per frame", low=1)
    samples_at_once: int = option(5, "samples decoded at once; fewer need less memory and more time", low=1)
    latent_weight: float = option(0.01, "lambda, the weight of log p(z) - log q(z) in Eq. 13", low=0.0, high=1.0)
    latent_warmup: float = option(0.2, "share of stage 2 in which lambda increases from 0", low=0.0, high=1.0)
    target_ess: float = option(
        5.0, "lambda is reduced while the effective sample size is below this; 0 = never", low=0.0
    )
    latent_noise: float = option(
        0.0,
        "scale the latent at the start of stage 2 so that the noise of a sample is this many times the spread of the "
        "means; 0 = no scaling",
        low=0.0,
    )
    single_experts: float = option(
        0.0,
        "weight of the additional terms with the expert of one modality only, for frames with both (MVAE)",
        low=0.0,
        high=10.0,
    )
    single_experts_in: str = option(
        "2", "stages with these terms; runs of earlier versions have them in 2 only", choices=("2", "both")
    )


@dataclass(frozen=True)
class ClipConfig:
    """The clips of systems that are trained on several frames of a sequence at once."""

    clip_length: int = option(1, "frames of a clip; 1 for systems of single frames", low=1)
    clip_skip: int = option(10, "distance of neighboring frames of a clip in their sequence", low=1)


@dataclass(frozen=True)
class ValidationConfig:
    """The validation frames, which are held out of the training sequences."""

    validation_fraction: float = option(
        0.1, "validation frames: share of each training sequence; 0 = none", low=0.0, high=0.9
    )
    validation_gap: int = option(
        5,
        "with --validation-split ends: unused frames before the validation frames, since neighboring frames are nearly "
        "equal",
        low=0,
    )
    validation_split: str = option(
        "ends",
        "validation frames: the end of each training sequence, or stretches of about a meter that the other frames "
        "show as well, with gaps of 0.25 m and 10 degrees around them",
        choices=("ends", "blocks"),
    )


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
    """Every option with the name of its section; the flat names are unique. What the folder declares is none."""
    for section, kind in SECTIONS.items():
        for item in fields(kind):
            if item.metadata:
                yield section, item


def flag(name: str) -> str:
    """`learning_rate` -> `--learning-rate`."""
    return "--" + name.replace("_", "-")


def is_switch(item: Field[Any]) -> bool:
    """Whether an option is boolean: `--name` and `--no-name` on the command line."""
    return isinstance(item.default, bool)


def check(item: Field[Any], value: Any) -> None:
    """Raise TrainingError unless the value has the type of the option, and is one of its choices or in its range."""
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
