# SPDX-License-Identifier: Apache-2.0
"""What identifies a run, so that only the same command resumes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mvloc_ros.recordings.joined_folders import Folders, in_order, name_of
from mvloc_ros.training.config import TrainingConfig
from mvloc_ros.training.datasets import PosedFrames
from mvloc_ros.training.errors import TrainingError
from mvloc_ros.training.options import StageConfig


def describe_run(
    config: TrainingConfig,
    root: Folders,
    training: PosedFrames,
    validation: PosedFrames | None,
    weights: str,
    rendered: PosedFrames | None = None,
) -> dict[str, Any]:
    """What identifies a run: configuration, digests of its data, and the path of the data, or all paths."""
    data = {
        "name": name_of(root),
        "frames": len(training),
        "validation_frames": 0 if validation is None else len(validation),
        "sequences": sorted(set(training.sequences)),
        "digest": training.digest(),
        "validation_digest": "" if validation is None else validation.digest(),
    }
    if rendered is not None:
        data["rendered_digest"] = rendered.digest()
    if training.unreadable:
        data["lost"] = [[frame.sequence, frame.index] for frame in training.unreadable]
    roots = [str(path.resolve()) for path in in_order(root)]
    run = {"config": config.to_dict(), "data": data, "weights": weights, "root": roots[0]}
    return run if len(roots) == 1 else {**run, "roots": roots}


def folders_of(run: Mapping[str, Any]) -> tuple[Path, ...]:
    """Where the data of a run were when it was trained."""
    return tuple(map(Path, run.get("roots", [run["root"]])))


def check_same_run(folder: Path, old: dict[str, Any], new: dict[str, Any]) -> None:
    """Raise TrainingError if the run `old` in `folder` is not the run `new`."""
    # Runs of versions without several processes had one.
    old = {"processes": 1, **old, "config": _relevant(old["config"])}
    new = {**new, "config": _relevant(new["config"])}
    if old["processes"] != new["processes"]:
        raise TrainingError(
            f"The run in {folder} was started with {_processes(old['processes'])} and cannot be resumed with "
            f"{_processes(new['processes'])}, which would draw other frames; use the same number, or another --out."
        )
    if differing := sorted(differences(old, new)):
        raise TrainingError(
            f"{folder} has a run with different values of {', '.join(differing)}; use its original command, or another "
            "--out."
        )


def differences(old: dict[str, Any], new: dict[str, Any]) -> set[str]:
    """Names of the values in which two runs differ; the path of the data may change."""
    found = set()
    for name in (old.keys() | new.keys()) - {"root", "roots"}:
        before, after = old.get(name), new.get(name)
        if isinstance(before, dict) and isinstance(after, dict):
            found |= differences(before, after)
        elif before != after:
            found.add(name)
    return found


def _relevant(config: dict[str, Any]) -> dict[str, Any]:
    """The values that determine the result: missing ones have defaults, and stage 1 ignores those of stage 2."""
    read = TrainingConfig.from_dict(config)
    if read.samples_latent:  # where the terms of single experts are in any case
        read = replace(read, stages=replace(read.stages, single_experts_in=StageConfig().single_experts_in))
    else:
        read = replace(read, stages=read.first_stage_options())
    return read.to_dict()


def _processes(count: int) -> str:
    return f"{count} processes" if count > 1 else "one process"
