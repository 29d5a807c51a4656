# SPDX-License-Identifier: Apache-2.0
"""Reads and validates checkpoints: for resuming, export, evaluation and warm starts alike.

A checkpoint may be from an untrusted source or another program, so everything that its readers rely on is checked here.
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
from mvloc_ros.training.state_check import has_type, require_tensors, required_value
from mvloc_ros.training.systems import build_network

SCALES = ("train/beta", "train/gamma", "train/step_beta", "train/step_gamma")
LATENT_WEIGHT = "train/lambda"
_RUN = {"config": dict, "data": dict, "weights": str, "root": str, "test_fraction": float}
_OPTIONAL_OF_RUN = {"processes": int, "start_from": str, "refit_epochs": int, "roots": list}
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
        path: of the file.
        config: of the run.
        run: what identifies the run (`describe_run`).
        network: weights of the network of that configuration, all finite.
        normalisation: of its poses.
        history: one row per epoch, at least one.
        epoch: number of epochs.
        seconds: training time.
        state: the whole content, including what only resuming needs; not checked further.
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
        TrainingError: it is missing, damaged, of another version, or its content is invalid.
    """
    values = checkpoint.load(path)
    try:
        run = require_run(required_value(values, "run", dict))
        config = TrainingConfig.from_dict(run["config"])
        return SavedRun(
            path,
            config,
            run,
            require_tensors(expected_tensors(config), required_value(values, "network", dict), "network"),
            PoseNormalisation.from_dict(required_value(values, "normalisation", dict)),
            _history(required_value(values, "history", list)),
            _count(values, "epoch"),
            float(required_value(values, "seconds", float)),
            values,
        )
    except ValueError as error:  # also a TrainingError of the configuration
        raise unusable_checkpoint(path, error) from error


def unusable_checkpoint(path: Path, reason: object) -> TrainingError:
    """The error for a checkpoint that can be read, but whose content is invalid."""
    text = str(reason).rstrip(".")
    return TrainingError(
        f"The checkpoint {path} cannot be used: {text}; use another one, or delete it and train again."
    )


def expected_tensors(config: TrainingConfig) -> dict[str, Tensor]:
    """Names, shapes and types of the weights of a configuration, without allocating them."""
    with torch.device("meta"):
        return build_network(config).state_dict()


def require_run(run: dict[str, Any]) -> dict[str, Any]:
    """A run description as made by `describe_run` and the trainer; ValueError if it is invalid."""
    for name, kind in _RUN.items():
        required_value(run, name, kind, "run")
    for name in _OPTIONAL_OF_RUN.keys() & run.keys():
        required_value(run, name, _OPTIONAL_OF_RUN[name], "run")
    if not all(isinstance(path, str) for path in run.get("roots", [])) or run.get("roots") == []:
        raise ValueError("its run.roots is not a list of paths")
    data = run["data"]
    for name, kind in _DATA.items():
        required_value(data, name, kind, "data")
    if not all(isinstance(sequence, str) for sequence in data["sequences"]):
        raise ValueError("its data.sequences are not strings")
    lost = data.get("lost", [])
    if not isinstance(lost, list) or not all(map(_is_frame, lost)):
        raise ValueError("its data.lost is not a list of frames")
    return run


def _is_frame(entry: Any) -> bool:
    return isinstance(entry, list) and [type(value) for value in entry] == [str, int]


def _history(rows: list[Any]) -> list[dict[str, float]]:
    if not rows:
        raise ValueError("its history is empty")
    for row in rows:
        if not isinstance(row, dict) or not all(isinstance(name, str) for name in row):
            raise ValueError("its history is not a list of rows")
        if not all(isinstance(value, (int, float)) for value in row.values()):
            raise ValueError("its history has a value that is not a number")
    for name in (*SCALES, LATENT_WEIGHT):
        if name in rows[-1] and not has_type(rows[-1][name], float):
            raise ValueError(f"its history ends with a {name} that is not a finite number")
    if missing := [name for name in SCALES[:2] if name not in rows[-1]]:
        raise ValueError(f"its history lacks {missing[0]}")
    return rows


def _count(values: Mapping[str, Any], name: str) -> int:
    found: int = required_value(values, name, int)
    if found < 0:
        raise ValueError(f"its {name} is negative")
    return found
