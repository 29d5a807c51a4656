# SPDX-License-Identifier: Apache-2.0
"""`mvloc train`: a folder of posed frames in, a run folder out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mvloc_ros.evaluation.pose_errors import PoseErrors
from mvloc_ros.file_reader import digest_file
from mvloc_ros.limits import MOST_CHECKPOINT_BYTES
from mvloc_ros.recordings import PosedFolder
from mvloc_ros.recordings.agreement import require_agreement
from mvloc_ros.recordings.contents import contents_text
from mvloc_ros.training.checkpoint import BEST, LAST, REFIT
from mvloc_ros.training.config import TrainingConfig
from mvloc_ros.training.datasets import PosedFrames, Reading, network_size, open_readable, read_frames
from mvloc_ros.training.depth_range import report_depth, warn_of_far_depth
from mvloc_ros.training.errors import TrainingError
from mvloc_ros.training.evaluate_run import judge
from mvloc_ros.training.networks.resnet import read_weights
from mvloc_ros.training.processes import ALONE, Processes
from mvloc_ros.training.records import split_records, visible
from mvloc_ros.training.run_identity import describe_run
from mvloc_ros.training.run_lock import run_to_write
from mvloc_ros.training.trainer import Trainer
from mvloc_ros.training.views import RgbdCameras, check_projection
from mvloc_ros.training.warm_start import StartingPoint, read_start

FIRST_STAGE = "stage1"  # folder inside a run of both stages
# Peak learning rate of a brief refit, as a share of the training's: enough to take in new frames, too little
# to lose what was learned.
BRIEF_RATE = 0.25


@dataclass(frozen=True, eq=False)
class TrainingData:
    """A folder and its frames for training and validation, at the network's size; None where none are held out."""

    folder: PosedFolder
    training: PosedFrames
    validation: PosedFrames | None


def read_data(
    config: TrainingConfig,
    root: Path,
    test_fraction: float,
    reading: Reading | None = None,
    force: bool = False,
    is_main: bool = True,
) -> TrainingData:
    """Open a folder, hold validation frames out of its training sequences, and read both.

    Raises:
        MvlocError: the folder does not serve, or its poses contradict its depth and `force` does not overrule that.
    """
    reading = reading or Reading()
    folder = open_readable(root, test_fraction, reading)
    check_projection(config, folder)
    if is_main:  # one of several processes says what the folder holds, and checks it
        print(f"{contents_text(folder)}.")
        require_agreement(folder, force)
    trained, held = split_records(config, folder)
    training = read_frames(config.input, folder, trained, "training", reading)
    return TrainingData(
        folder, training, read_frames(config.input, folder, held, "validation", reading) if held else None
    )


def scaled_cameras(folder: PosedFolder, config: TrainingConfig) -> RgbdCameras:
    """The folder's cameras at the size of the network's input."""
    height, width = network_size(folder.color_camera, config.input.short_side)
    color = folder.color_camera.scaled_to(width, height)
    # Registered depth is the colour camera's.
    return RgbdCameras(color, color if config.input.register_depth else folder.depth_camera.scaled_to(width, height))


@dataclass(frozen=True, eq=False)
class Job:
    """What all trainings of one command have in common."""

    config: TrainingConfig
    root: Path
    test_fraction: float
    device: torch.device
    weights: dict[str, Tensor] | None
    weights_digest: str
    cameras: RgbdCameras
    processes: Processes


def train(
    config: TrainingConfig,
    root: Path,
    out: Path,
    device_name: str,
    weights: Path | None,
    test_fraction: float,
    *,
    start_from: Path | None = None,
    refit: bool = False,
    refit_epochs: int | None = None,
    test: bool = False,
    force: bool = False,
    reading: Reading | None = None,
    processes: Processes = ALONE,
) -> None:
    """Train, or continue a run, and print the validation errors of the best epoch.

    With the stage `both`, the first is a run of its own in `out / "stage1"`, and the second goes on from
    there in `out`; with the stage 2, `start_from` is the run folder of the first.

    With `refit`, train again from the start on all training frames, the held-out ones included: a bundle
    then has the refitted weights, and the errors and the covariance of the first training, whose
    validation frames were unseen. With `refit_epochs`, the refit is brief: it starts from the best network of
    that training instead, and goes on for so many epochs at a low learning rate. With `test`, end with the
    errors on the test frames. With `force`, go on where poses and depth contradict each
    other. `reading` says how the frames are read.

    Several `processes` each call this with the same arguments.

    Raises:
        MvlocError: the data, the values, the device or the run folder do not serve, or another process trains there.
    """
    chosen = reading or Reading()
    _check_refit(config, start_from, refit, refit_epochs)
    with run_to_write(out, processes):
        device = pick_device(device_name, processes)
        state = None if weights is None else read_weights(weights)
        digest = "" if weights is None else digest_file(weights, MOST_CHECKPOINT_BYTES)
        data = processes.after_main(lambda: read_data(config, root, test_fraction, chosen, force, processes.is_main))
        if processes.is_main:
            report_depth(config, data.folder)
            warn_of_far_depth(config, data.training)
        job = Job(config, root, test_fraction, device, state, digest, scaled_cameras(data.folder, config), processes)
        _train_stages(job, out, start_from, data.training, data.validation)
        if refit:
            records = visible(config, data.folder.train)
            frames = processes.after_main(
                lambda: read_frames(config.input, data.folder, records, "all training", chosen)
            )
            if refit_epochs is None:
                _train_stages(job, out / REFIT, None if start_from is None else start_from / REFIT, frames, None)
            else:
                _refit_briefly(job, out, frames, refit_epochs)
        if test and processes.is_main:
            judge(out, device, chosen)


def _check_refit(config: TrainingConfig, start_from: Path | None, refit: bool, refit_epochs: int | None) -> None:
    if refit_epochs is not None and not (refit and refit_epochs >= 1):
        raise TrainingError(f"--refit-epochs {refit_epochs} must be at least 1 and go with --refit.")
    whole = refit and refit_epochs is None
    if whole and start_from is not None and not (start_from / REFIT / LAST).exists():
        raise TrainingError(
            f"--refit goes through both stages, and {start_from} has none; train it with --refit too, or give "
            "--refit-epochs."
        )
    if refit and config.validation.validation_fraction == 0.0:
        raise TrainingError("--validation-fraction 0 holds nothing out that --refit could add; leave one of them away.")


def _train_stages(
    job: Job, out: Path, start_from: Path | None, training: PosedFrames, validation: PosedFrames | None
) -> None:
    """The stage of the job's configuration, or both of them."""
    stages = [(job.config, out)]
    if job.config.stages.stage == "both":
        start_from = out / FIRST_STAGE
        stages.insert(0, (job.config.with_options({"stage": "1"}), start_from))
    for stage, folder in stages:
        run = describe_run(stage, job.root, training, validation, job.weights_digest)
        start = None
        if stage.samples_latent and start_from is not None:
            start = read_start(start_from / (BEST if validation is not None else LAST), stage, run["data"])
            run["start_from"] = start.digest
        _train_one(job, stage, run, training, validation, folder, start)


def _refit_briefly(job: Job, out: Path, frames: PosedFrames, epochs: int) -> None:
    """Take the best network of the finished run in `out` to all its training frames."""
    options = job.config.stage_optimiser()
    start = read_start(out / BEST, job.config, None)
    prefix = "stage2_" if job.config.samples_latent else ""
    changes = {f"{prefix}epochs": epochs, f"{prefix}learning_rate": BRIEF_RATE * options.learning_rate}
    if start.latent_weight is not None:
        # The second stage goes on where it was: the latent keeps the unit that it has come to, and lambda its height.
        changes |= {"latent_noise": 0.0, "latent_warmup": 0.0, "latent_weight": start.latent_weight}
    config = job.config.with_options(changes)
    run = describe_run(config, job.root, frames, None, job.weights_digest)
    run |= {"start_from": start.digest, "refit_epochs": epochs}
    _train_one(job, config, run, frames, None, out / REFIT, start)


def _train_one(
    job: Job,
    config: TrainingConfig,
    run: dict[str, Any],
    training: PosedFrames,
    validation: PosedFrames | None,
    folder: Path,
    start: StartingPoint | None,
) -> None:
    """One training from its beginning or where it was interrupted, with its prints."""
    run["test_fraction"] = job.test_fraction
    trainer = Trainer(
        config, training, validation, run, folder, job.device, job.weights, start, job.cameras, job.processes
    )
    where = str(job.device) if job.processes.count == 1 else f"{job.processes.count} x {job.device.type}"
    held = "none held out" if validation is None else f"{len(validation)} validation frames"
    print(
        f"{config.system}, stage {2 if config.samples_latent else 1}: {len(training)} training frames, {held}, "
        f"on {where}; epoch {trainer.progress.epoch} of {trainer.epochs}."
    )
    errors = trainer.fit()
    if job.processes.is_main:
        _report(trainer, errors)


def _report(trainer: Trainer, errors: PoseErrors | None) -> None:
    progress = trainer.progress
    if errors is None:
        print(
            f"trained {progress.epoch} epochs in {progress.seconds:.0f} s; last epoch, kept in {trainer.folder / LAST}"
        )
        return
    print(
        f"trained {progress.epoch} epochs in {progress.seconds:.0f} s; "
        f"best epoch {progress.best_epoch}, kept in {trainer.folder / BEST}"
    )
    for name, found in (("validation", errors), ("constant pose", trainer.baseline())):
        translation, rotation = found.medians()
        print(f"{name:>14}: median {translation:.3f} m, {rotation:.2f} deg")


def pick_device(name: str, processes: Processes = ALONE) -> torch.device:
    """The device of that name; `auto` takes a GPU where there is one. Several processes take a GPU each.

    Raises:
        TrainingError: there is no such device here, or not enough of them.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if processes.count > 1 and name.startswith("cuda"):
        name = _own_gpu(name, processes)
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise TrainingError(f"--device {name} does not serve here ({reason}); use auto or cpu.") from error
    return device


def _own_gpu(name: str, processes: Processes) -> str:
    """The GPU that the process's number on its machine says, made the current one, as NCCL wants it."""
    if name != "cuda":
        raise TrainingError(f"--device {name} is one GPU for {processes.count} processes; give --device cuda.")
    if processes.local_rank >= torch.cuda.device_count():
        raise TrainingError(
            f"This machine has {torch.cuda.device_count()} GPUs and more processes; lower torchrun's --nproc-per-node, "
            "or give --device cpu."
        )
    torch.cuda.set_device(processes.local_rank)
    return f"cuda:{processes.local_rank}"
