# SPDX-License-Identifier: Apache-2.0
"""`mvloc train --test`: the errors of a finished run of any system on the test frames of its folder."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mvloc_ros.evaluation.baselines import constant_pose_errors
from mvloc_ros.evaluation.pose_errors import PoseErrors
from mvloc_ros.model.modalities import PAIR
from mvloc_ros.recordings.contents import contents_text
from mvloc_ros.recordings.joined_folders import name_of
from mvloc_ros.storage import write_file
from mvloc_ros.training.config import SYSTEMS
from mvloc_ros.training.datasets import COLOR, DEPTH, PosedFrames, ReadOptions, open_usable_folder, read_frames
from mvloc_ros.training.frame_selection import training_poses, usable_records
from mvloc_ros.training.predict import predict
from mvloc_ros.training.run_identity import folders_of
from mvloc_ros.training.trained_network import read_refit, read_selected

TEST_FILE = "test.json"


def evaluated(frames: PosedFrames, uses_depth: bool) -> Iterator[tuple[str, PosedFrames]]:
    """The rows of the result: a name, and the frames with the modalities that it has.

    All modalities, then each one missing, and with further sensors also each one alone. A system of color alone has the
    first row only.
    """
    yield "test frames", frames
    if not uses_depth:
        return
    for i in (DEPTH, COLOR, *range(len(PAIR), len(frames.modalities))):
        yield f"without {frames.modalities[i]}", frames.without(i)
    if frames.further:
        for i, name in enumerate(frames.modalities):
            yield f"{name} alone", frames.only(i)


def evaluate_run(run: Path, device: torch.device, reading: ReadOptions | None = None) -> dict[str, Any]:
    """Print the errors on the test frames, write them to `test.json` in the run folder, and return them.

    A run with a refit is evaluated with the refitted network, which is what a bundle has; another one with the best
    epoch, or the last where nothing was held out.

    Args:
        run: folder of `mvloc train`.
        device: to compute on.
        reading: how the frames are read.

    Raises:
        MvlocError: the run or its data cannot be used.
    """
    reading = reading or ReadOptions()
    refitted = read_refit(run, half_weights=False)
    trained = refitted or read_selected(run, half_weights=False)
    config = trained.config
    folder = open_usable_folder(folders_of(trained.run), trained.run["test_fraction"], reading)
    print(f"{contents_text(folder)}.")
    frames = read_frames(config.input, folder, usable_records(config, folder.test), "test", reading)
    network = trained.network.to(device)
    found: dict[str, Any] = {
        "system": config.system,
        "stage": 2 if config.samples_latent else 1,
        "seed": config.seed,
        "epoch": trained.epoch,
        "data": name_of(folders_of(trained.run)),
    }
    names = np.array(frames.sequences)

    def add(label: str, errors: PoseErrors) -> None:
        of_sequences = {name: errors.of_frames(names == name).figures() for name in sorted(set(frames.sequences))}
        found[label] = {"all": errors.figures(), "sequences": of_sequences}
        _print_row(label, found[label]["all"])
        if len(of_sequences) > 1:
            for name, figures in of_sequences.items():
                _print_row(f"  {name}", figures)

    for label, seen in evaluated(frames, SYSTEMS[config.system].uses_depth):
        batch_size = config.optimiser.batch_size
        estimates = predict(network, seen, trained.normalisation, device, batch_size, config.clips)
        add(label, PoseErrors.of(estimates, frames.poses))
    poses = training_poses(trained, folder, refitted=refitted is not None)
    add("constant pose", constant_pose_errors(poses, frames.poses))
    write_file(run / TEST_FILE, json.dumps(found, indent=2) + "\n")
    return found


def _print_row(label: str, row: dict[str, float]) -> None:
    print(
        f"{label:>14}: median {row['median_m']:.3f} m, {row['median_deg']:.2f} deg; "
        f"mean {row['mean_m']:.3f} m, {row['mean_deg']:.2f} deg; {row['frames']} frames"
    )
