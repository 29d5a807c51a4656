# SPDX-License-Identifier: Apache-2.0
"""What identifies a run, so that a run folder is continued by its own command alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from mvloc_ros.training.config import TrainingConfig
from mvloc_ros.training.datasets import PosedFrames
from mvloc_ros.training.errors import TrainingError
from mvloc_ros.training.options import StageConfig


def describe_run(
    config: TrainingConfig, root: Path, training: PosedFrames, validation: PosedFrames | None, weights: str
) -> dict[str, Any]:
    """What identifies a run: its values, its data by digest, and where the data lay."""
    data = {
        "name": root.resolve().name,
        "frames": len(training),
        "validation_frames": 0 if validation is None else len(validation),
        "sequences": sorted(set(training.sequences)),
        "digest": training.digest(),
        "validation_digest": "" if validation is None else validation.digest(),
    }
    if training.lost:
        data["lost"] = [[frame.sequence, frame.index] for frame in training.lost]
    return {"config": config.to_dict(), "data": data, "weights": weights, "root": str(root.resolve())}


def check_same_run(folder: Path, old: dict[str, Any], new: dict[str, Any]) -> None:
    """Raise TrainingError where `folder` holds the run `old`, and `new` is another."""
    # A run from before there were several processes was of one.
    old = {"processes": 1, **old, "config": _deciding(old["config"])}
    new = {**new, "config": _deciding(new["config"])}
    if old["processes"] != new["processes"]:
        raise TrainingError(
            f"{folder} holds a run of {_processes(old['processes'])}, and this is one of "
            f"{_processes(new['processes'])}, which draws other frames; start it with as many, or give another --out."
        )
    if differing := sorted(differences(old, new)):
        raise TrainingError(
            f"{folder} holds a run with other values of {', '.join(differing)}; repeat the command it began "
            "with, or give another --out."
        )


def differences(old: dict[str, Any], new: dict[str, Any]) -> set[str]:
    """Names of the values in which two runs differ; where the data lies may change."""
    found = set()
    for name in (old.keys() | new.keys()) - {"root"}:
        before, after = old.get(name), new.get(name)
        if isinstance(before, dict) and isinstance(after, dict):
            found |= differences(before, after)
        elif before != after:
            found.add(name)
    return found


def _deciding(config: dict[str, Any]) -> dict[str, Any]:
    """The values that decide a run's result: options that it was begun without have their defaults, and a first
    stage has none of the second.
    """
    read = TrainingConfig.from_dict(config)
    if not read.samples_latent:
        read = replace(read, stages=StageConfig())
    return read.to_dict()


def _processes(count: int) -> str:
    return f"{count} processes" if count > 1 else "one process"
