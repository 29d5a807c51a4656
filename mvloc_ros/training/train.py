# SPDX-License-Identifier: Apache-2.0
"""`mvloc train`: a folder of posed frames in, a run folder out."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch

from mvloc_ros.recordings import PosedFolder, open_folder
from mvloc_ros.training.config import TrainingConfig
from mvloc_ros.training.datasets import PosedFrames, hold_out, load_frames, network_size
from mvloc_ros.training.errors import TrainingError
from mvloc_ros.training.networks.resnet import read_weights
from mvloc_ros.training.trainer import REFIT, Trainer, describe_run


@dataclass(frozen=True, eq=False)
class TrainingData:
    """A folder and its frames for training and validation, at the network's size."""

    folder: PosedFolder
    training: PosedFrames
    validation: PosedFrames


def read_data(config: TrainingConfig, root: Path, test_fraction: float) -> TrainingData:
    """Open a folder, hold validation frames out of its training sequences, and read both."""
    folder = open_folder(root, test_fraction)
    trained, held = hold_out(folder.train, config.validation.validation_fraction, config.validation.validation_gap)
    size = network_size(folder.color_camera, config.input.short_side)
    units = folder.depth_units_per_metre
    return TrainingData(
        folder, load_frames(trained, *size, units, "training"), load_frames(held, *size, units, "validation")
    )


def train(
    config: TrainingConfig, root: Path, out: Path, device_name: str, weights: Path | None, test_fraction: float,
    *, refit: bool = False,
) -> None:
    """Train, or continue a run, and print the validation errors of the best epoch.

    With `refit`, train again from the start on all training frames, the held-out ones included: a bundle
    then has the refitted weights, and the errors and the covariance of the first training, whose
    validation frames were unseen.

    Raises:
        MvlocError: the data, the values, the device or the run folder do not serve.
    """
    device = pick_device(device_name)
    state = None if weights is None else read_weights(weights)
    digest = "" if weights is None else hashlib.sha256(weights.read_bytes()).hexdigest()
    data = read_data(config, root, test_fraction)
    run = describe_run(config, root, data.training, data.validation, digest) | {"test_fraction": test_fraction}
    trainer = Trainer(config, data.training, data.validation, run, out, device, state)
    print(f"{len(data.training)} training and {len(data.validation)} validation frames, on {device}; "
          f"epoch {trainer.progress.epoch} of {config.optimiser.epochs}.")
    errors, baseline = trainer.fit(), trainer.baseline()
    assert errors is not None
    print(f"trained {trainer.progress.epoch} epochs in {trainer.progress.seconds:.0f} s; "
          f"best epoch {trainer.progress.best_epoch}, kept in {out / 'best.pt'}")
    for name, found in (("validation", errors), ("constant pose", baseline)):
        translation, rotation = found.medians()
        print(f"{name:>14}: median {translation:.3f} m, {rotation:.2f} deg")
    if refit:
        frames = load_frames(
            data.folder.train, *network_size(data.folder.color_camera, config.input.short_side),
            data.folder.depth_units_per_metre, "all training",
        )
        run = describe_run(config, root, frames, None, digest) | {"test_fraction": test_fraction}
        again = Trainer(config, frames, None, run, out / REFIT, device, state)
        again.fit()
        print(f"refitted to all {len(frames)} training frames in {again.progress.seconds:.0f} s")


def pick_device(name: str) -> torch.device:
    """The device of that name; `auto` takes a GPU where there is one.

    Raises:
        TrainingError: there is no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise TrainingError(f"--device {name} does not serve here ({reason}); use auto or cpu.") from error
    return device
