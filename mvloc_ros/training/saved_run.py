# SPDX-License-Identifier: Apache-2.0
"""What every checkpoint says of its run, with the types that its readers rely on.

A checkpoint may be from elsewhere, or of another program: it is read here, whole and in one place, so that resuming,
exporting, judging and going on in another stage find either what they need or a sentence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mvloc_ros.training import checkpoint
from mvloc_ros.training.config import TrainingConfig
from mvloc_ros.training.errors import TrainingError
from mvloc_ros.training.normalisation import PoseNormalisation
from mvloc_ros.training.state_check import is_of_kind, require_tensors, taken
from mvloc_ros.training.systems import build_network

SCALES = ("train/beta", "train/gamma", "train/step_beta", "train/step_gamma")
LATENT_WEIGHT = "train/lambda"
_RUN = {"config": dict, "data": dict, "weights": str, "root": str, "test_fraction": float}
_SOMETIMES_OF_RUN = {"processes": int, "start_from": str, "refit_epochs": int}
_DATA = {
    "name": str,
    "frames": int,
    "validation_frames": int,
    "sequences": list,
    "digest": str,
    "validation_digest": str,
}


@dataclass(frozen=True, eq=False)
class SavedRun:
    """A checkpoint.

    Attributes:
        path: its file.
        config: values of the run.
        run: what identifies the run (`describe_run`).
        network: weights of the network of that configuration, all finite.
        normalisation: what its poses mean.
        history: a row an epoch, at least one.
        epoch: the epochs that it has.
        seconds: how long they took.
        state: all of the file, with what only resuming needs; not checked any further.
    """

    path: Path
    config: TrainingConfig
    run: Mapping[str, Any]
    network: dict[str, Tensor]
    normalisation: PoseNormalisation
    history: list[dict[str, float]]
    epoch: int
    seconds: float
    state: Mapping[str, Any]


def read_saved_run(path: Path) -> SavedRun:
    """Read a checkpoint of `mvloc train`.

    Raises:
        TrainingError: it is missing, damaged, of another version, or does not hold what it must.
    """
    values = checkpoint.load(path)
    try:
        run = require_run(taken(values, "run", dict))
        config = TrainingConfig.from_dict(run["config"])
        return SavedRun(
            path,
            config,
            run,
            require_tensors(expected_tensors(config), taken(values, "network", dict), "network"),
            PoseNormalisation.from_dict(taken(values, "normalisation", dict)),
            _history(taken(values, "history", list)),
            _count(values, "epoch"),
            float(taken(values, "seconds", float)),
            values,
        )
    except ValueError as error:  # a TrainingError of the configuration, too
        raise unfit(path, error) from error


def unfit(path: Path, reason: object) -> TrainingError:
    """The error of a checkpoint that can be read and is none of the run that it should be of."""
    text = str(reason).rstrip(".")
    return TrainingError(f"The checkpoint {path} cannot be used: {text}; take another, or delete it and train again.")


def expected_tensors(config: TrainingConfig) -> dict[str, Tensor]:
    """Names, shapes and types of a configuration's weights, without memory for them."""
    with torch.device("meta"):
        return build_network(config).state_dict()


def require_run(run: dict[str, Any]) -> dict[str, Any]:
    """A run's description, as `describe_run` and the trainer make it; ValueError where it is another thing."""
    for name, kind in _RUN.items():
        taken(run, name, kind, "run")
    for name in _SOMETIMES_OF_RUN.keys() & run.keys():
        taken(run, name, _SOMETIMES_OF_RUN[name], "run")
    data = run["data"]
    for name, kind in _DATA.items():
        taken(data, name, kind, "data")
    if not all(isinstance(sequence, str) for sequence in data["sequences"]):
        raise ValueError("its data.sequences are no names")
    lost = data.get("lost", [])
    if not isinstance(lost, list) or not all(map(_is_frame, lost)):
        raise ValueError("its data.lost are no frames")
    return run


def _is_frame(entry: Any) -> bool:
    return isinstance(entry, list) and [type(value) for value in entry] == [str, int]


def _history(rows: list[Any]) -> list[dict[str, float]]:
    if not rows:
        raise ValueError("its history is empty")
    for row in rows:
        if not isinstance(row, dict) or not all(isinstance(name, str) for name in row):
            raise ValueError("its history is no list of rows")
        if not all(isinstance(value, (int, float)) for value in row.values()):
            raise ValueError("its history holds what is no number")
    for name in (*SCALES, LATENT_WEIGHT):
        if name in rows[-1] and not is_of_kind(rows[-1][name], float):
            raise ValueError(f"its history ends with a {name} that is no finite number")
    if missing := [name for name in SCALES[:2] if name not in rows[-1]]:
        raise ValueError(f"its history lacks {missing[0]}")
    return rows


def _count(values: Mapping[str, Any], name: str) -> int:
    found: int = taken(values, name, int)
    if found < 0:
        raise ValueError(f"its {name} is negative")
    return found
