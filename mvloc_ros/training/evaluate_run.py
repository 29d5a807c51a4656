# SPDX-License-Identifier: Apache-2.0
"""`mvloc train --test`: the errors of a finished run on its folder's test frames, of any system."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mvloc_ros.evaluation.pose_errors import PoseErrors
from mvloc_ros.recordings.contents import contents_text
from mvloc_ros.storage import write_file
from mvloc_ros.training.config import SYSTEMS
from mvloc_ros.training.datasets import PosedFrames, Reading, open_readable, read_frames
from mvloc_ros.training.predict import constant_pose, predict
from mvloc_ros.training.records import visible
from mvloc_ros.training.trained import read_judged, read_refit

TEST_FILE = "test.json"
# What is taken away from every frame, and its column of `present`; where a system sees both, each once.
MISSING: dict[str, int | None] = {"nothing": None, "depth": 1, "color": 0}


def judge(run: Path, device: torch.device, reading: Reading | None = None) -> dict[str, Any]:
    """Print the errors on the test frames, write them to `test.json` in the run folder, and return them.

    Of a run with a refit the refitted network is judged, as it is what a bundle has; else the best epoch, or the last
    where nothing was held out.

    Args:
        run: folder of `mvloc train`.
        device: where to compute.
        reading: how the frames are read.

    Raises:
        MvlocError: the run or its data do not serve.
    """
    reading = reading or Reading()
    trained = read_refit(run, half_weights=False) or read_judged(run, half_weights=False)
    config = trained.config
    folder = open_readable(trained.run["root"], trained.run["test_fraction"], reading)
    print(f"{contents_text(folder)}.")
    frames = read_frames(config.input, folder, visible(config, folder.test), "test", reading)
    network, present = trained.network.to(device), frames.present.copy()
    found: dict[str, Any] = {
        "system": config.system,
        "stage": 2 if config.samples_latent else 1,
        "seed": config.seed,
        "epoch": trained.epoch,
        "data": folder.root.resolve().name,
    }
    for missing, column in MISSING.items():
        if column is not None and not SYSTEMS[config.system].uses_depth:
            continue
        frames.present[:] = present
        if column is not None:
            frames.present[:, column] = 0.0
        batch_size = config.optimiser.batch_size
        estimates = predict(network, frames, trained.normalisation, device, batch_size, config.clips)
        errors = PoseErrors.of(estimates, frames.poses)
        label = "test frames" if column is None else f"without {missing}"
        found[label] = {"all": errors.figures(), "sequences": by_sequence(errors, frames)}
        _print_row(label, found[label]["all"])
    baseline = PoseErrors.of(constant_pose(trained.normalisation, len(frames)), frames.poses)
    found["constant pose"] = {"all": baseline.figures(), "sequences": by_sequence(baseline, frames)}
    _print_row("constant pose", found["constant pose"]["all"])
    write_file(run / TEST_FILE, json.dumps(found, indent=2) + "\n")
    return found


def _print_row(label: str, row: dict[str, float]) -> None:
    print(
        f"{label:>14}: median {row['median_m']:.3f} m, {row['median_deg']:.2f} deg; "
        f"mean {row['mean_m']:.3f} m, {row['mean_deg']:.2f} deg; {row['frames']} frames"
    )


def by_sequence(errors: PoseErrors, frames: PosedFrames) -> dict[str, dict[str, float]]:
    """`figures` of each sequence's frames."""
    names = np.array(frames.sequences)
    return {name: errors.of_frames(names == name).figures() for name in sorted(set(frames.sequences))}
