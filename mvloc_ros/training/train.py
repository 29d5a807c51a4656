# SPDX-License-Identifier: Apache-2.0
"""`mvloc train`: a folder of posed frames in, a run folder out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mvloc_ros.evaluation.pose_errors import PoseErrors
from mvloc_ros.recordings import Folders, PosedFolder
from mvloc_ros.recordings.agreement import require_agreement
from mvloc_ros.recordings.contents import contents_text
from mvloc_ros.training import checkpoint
from mvloc_ros.training.checkpoint import BEST, LAST, REFIT
from mvloc_ros.training.config import SYSTEMS, TrainingConfig
from mvloc_ros.training.datasets import PosedFrames, ReadOptions, network_size, open_usable_folder, read_frames
from mvloc_ros.training.depth_range import report_depth, warn_of_far_depth
from mvloc_ros.training.errors import TrainingError
from mvloc_ros.training.evaluate_run import evaluate_run, evaluated
from mvloc_ros.training.folder_sensors import explain_sensors
from mvloc_ros.training.frame_selection import split_records, usable_records
from mvloc_ros.training.multi_sample import effective_samples
from mvloc_ros.training.networks.resnet import read_weights
from mvloc_ros.training.processes import SINGLE_PROCESS, Processes
from mvloc_ros.training.rendering import Rendering, check_renderable, render_pool, report_assumptions
from mvloc_ros.training.run_folder import run_to_write
from mvloc_ros.training.run_identity import describe_run
from mvloc_ros.training.trainer import Trainer
from mvloc_ros.training.views import RgbdCameras, check_projection
from mvloc_ros.training.warm_start import StartingPoint, read_start

FIRST_STAGE = "stage1"  # folder inside a run of both stages
# Peak learning rate of a refit with --refit-epochs, relative to that of the training: enough to learn new frames, too
# little to forget the others.
SHORT_REFIT_RATE = 0.25


@dataclass(frozen=True, eq=False)
class TrainingData:
    """A folder and its training and validation frames, at the input size of the network; None: no validation frames."""

    folder: PosedFolder
    training: PosedFrames
    validation: PosedFrames | None


def read_data(
    config: TrainingConfig,
    root: Folders,
    test_fraction: float,
    reading: ReadOptions | None = None,
    force: bool = False,
    is_main: bool = True,
) -> TrainingData:
    """Open a folder, or several as one, hold validation frames out of its training sequences, and read both.

    Raises:
        MvlocError: the folder cannot be used, or its poses contradict its depth and `force` is not set.
    """
    reading = reading or ReadOptions()
    folder = open_usable_folder(root, test_fraction, reading)
    check_projection(config, folder)
    check_renderable(config, folder)
    if is_main:  # one of several processes describes the folder and checks it
        print(f"{contents_text(folder)}.")
        print(f"{explain_sensors(config, folder)}.")
        require_agreement(folder, force)
    trained, held = split_records(config, folder)
    training = read_frames(config.input, folder, trained, "training", reading)
    return TrainingData(
        folder, training, read_frames(config.input, folder, held, "validation", reading) if held else None
    )


def scaled_cameras(folder: PosedFolder, config: TrainingConfig) -> RgbdCameras:
    """The cameras of the folder at the input size of the network."""
    height, width = network_size(folder.color_camera, config.input.short_side)
    color = folder.color_camera.scaled_to(width, height)
    # Registered depth has the color camera.
    return RgbdCameras(color, color if config.input.register_depth else folder.depth_camera.scaled_to(width, height))


@dataclass(frozen=True, eq=False)
class Job:
    """What all trainings of one command share."""

    config: TrainingConfig
    root: Folders
    test_fraction: float
    device: torch.device
    weights: dict[str, Tensor] | None
    weights_digest: str
    cameras: RgbdCameras
    processes: Processes
    cache: Path | None

    def render(self, config: TrainingConfig, frames: PosedFrames) -> PosedFrames | None:
        """The rendered views of a training on `frames`; None without --rendered."""
        if config.augmentation.rendered == 0.0:
            return None
        count = config.augmentation.rendered_views or 2 * len(frames)
        rendering, is_main = Rendering(count, config.seed, self.cameras), self.processes.is_main
        return self.processes.after_main(
            lambda: render_pool(rendering, frames, self.device, self.cache, is_main=is_main)
        )


def train(
    config: TrainingConfig,
    root: Folders,
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
    reading: ReadOptions | None = None,
    processes: Processes = SINGLE_PROCESS,
) -> None:
    """Train or resume a run, and print the validation errors of the best epoch.

    With stage `both`, stage 1 is a run of its own in `out / "stage1"`, from which stage 2 starts in `out`; with stage
    2, `start_from` is the run folder of stage 1.

    With `refit`, train again from the start on all training frames, including the validation frames: a bundle then has
    the refitted weights, and the errors and the covariance of the first training, which did not use its validation
    frames. With `refit_epochs`, the refit is a warm start from the best checkpoint instead, with that number of epochs
    at a low learning rate. With `test`, evaluate on the test frames at the end. With `force`, train even if poses and
    depth contradict each other. `reading`: how frames are read.

    Several `processes` each call this with the same arguments.

    Raises:
        MvlocError: the data, the values, the device or the run folder cannot be used, or another process trains there.
    """
    chosen = reading or ReadOptions()
    _check_refit(config, start_from, refit, refit_epochs)
    with run_to_write(out, processes):
        device = pick_device(device_name, processes)
        state = None if weights is None else read_weights(weights)
        digest = "" if weights is None else checkpoint.digest(weights)
        data = processes.after_main(lambda: read_data(config, root, test_fraction, chosen, force, processes.is_main))
        if processes.is_main:
            report_depth(config, data.folder)
            warn_of_far_depth(config, data.training)
            report_assumptions(config, data.folder)
        cameras = scaled_cameras(data.folder, config)
        job = Job(config, root, test_fraction, device, state, digest, cameras, processes, chosen.cache)
        _train_stages(job, out, start_from, data.training, data.validation)
        if refit:
            records = usable_records(config, data.folder.train)
            frames = processes.after_main(
                lambda: read_frames(config.input, data.folder, records, "all training", chosen)
            )
            if refit_epochs is None:
                _train_stages(job, out / REFIT, None if start_from is None else start_from / REFIT, frames, None)
            else:
                _refit_from_best(job, out, frames, refit_epochs)
        if test and processes.is_main:
            evaluate_run(out, device, chosen)


def _check_refit(config: TrainingConfig, start_from: Path | None, refit: bool, refit_epochs: int | None) -> None:
    if refit_epochs is not None and not (refit and refit_epochs >= 1):
        raise TrainingError(f"--refit-epochs {refit_epochs} must be at least 1 and go with --refit.")
    whole = refit and refit_epochs is None
    if whole and start_from is not None and not (start_from / REFIT / LAST).exists():
        raise TrainingError(
            f"--refit of stage 2 starts from a refitted stage 1, and {start_from} has none; train that with --refit "
            "too, or use --refit-epochs."
        )
    if refit and config.validation.validation_fraction == 0.0:
        raise TrainingError(
            "--refit adds the validation frames, and with --validation-fraction 0 there are none; remove one of the "
            "two."
        )


def _train_stages(
    job: Job, out: Path, start_from: Path | None, training: PosedFrames, validation: PosedFrames | None
) -> None:
    """Train the stage of the configuration, or both stages."""
    stages = [(job.config, out)]
    rendered = job.render(job.config, training)
    if job.config.stages.stage == "both":
        start_from = out / FIRST_STAGE
        stages.insert(0, (job.config.with_options({"stage": "1"}), start_from))
    for stage, folder in stages:
        run = describe_run(stage, job.root, training, validation, job.weights_digest, rendered)
        start = None
        if stage.samples_latent and start_from is not None:
            start = read_start(start_from / (BEST if validation is not None else LAST), stage, run["data"])
            run["start_from"] = start.digest
        _train_one(job, stage, run, (training, validation, rendered), folder, start)


def _refit_from_best(job: Job, out: Path, frames: PosedFrames, epochs: int) -> None:
    """Train the best network of the finished run in `out` further, on all its training frames."""
    options = job.config.stage_optimiser()
    start = read_start(out / BEST, job.config, None)
    prefix = "stage2_" if job.config.samples_latent else ""
    changes = {f"{prefix}epochs": epochs, f"{prefix}learning_rate": SHORT_REFIT_RATE * options.learning_rate}
    if start.latent_weight is not None:
        # Stage 2 continues as it ended: with the scale of the latent, and with lambda.
        changes |= {"latent_noise": 0.0, "latent_warmup": 0.0, "latent_weight": start.latent_weight}
    config = job.config.with_options(changes)
    rendered = job.render(config, frames)
    run = describe_run(config, job.root, frames, None, job.weights_digest, rendered)
    run |= {"start_from": start.digest, "refit_epochs": epochs}
    _train_one(job, config, run, (frames, None, rendered), out / REFIT, start)


def _train_one(
    job: Job,
    config: TrainingConfig,
    run: dict[str, Any],
    frames: tuple[PosedFrames, PosedFrames | None, PosedFrames | None],
    folder: Path,
    start: StartingPoint | None,
) -> None:
    """One training, from its start or its last checkpoint, with its messages.

    `frames`: those of the training, of the validation, and rendered ones.
    """
    training, validation, rendered = frames
    run["test_fraction"] = job.test_fraction
    trainer = Trainer(
        config, training, validation, run, folder, job.device, job.weights, start, job.cameras, job.processes, rendered
    )
    where = str(job.device) if job.processes.count == 1 else f"{job.processes.count} x {job.device.type}"
    held = "no validation frames" if validation is None else f"{len(validation)} validation frames"
    views = "" if rendered is None else f"{len(rendered)} rendered views, "
    print(
        f"{config.system}, stage {2 if config.samples_latent else 1}: {len(training)} training frames, {views}{held}, "
        f"on {where}; epoch {trainer.progress.epoch} of {trainer.epochs}."
    )
    errors = trainer.fit()
    if job.processes.is_main:
        _report(trainer, errors)


def _report(trainer: Trainer, errors: PoseErrors | None) -> None:
    progress, config = trainer.progress, trainer.config
    last = trainer.history[-1]
    if config.samples_latent and "train/ess_5_percent" in last:  # earlier versions did not log it
        print(f"last epoch: {effective_samples(last, config.stages.samples)}, likelihood {config.stages.likelihood}")
    if errors is None:
        print(
            f"trained {progress.epoch} epochs in {progress.seconds:.0f} s; last epoch, saved in {trainer.folder / LAST}"
        )
        return
    print(
        f"trained {progress.epoch} epochs in {progress.seconds:.0f} s; best epoch {progress.best_epoch}, saved in "
        f"{trainer.folder / BEST}"
    )
    for name, found in (("validation", errors), *_errors_with_one(trainer), ("constant pose", trainer.baseline())):
        translation, rotation = found.medians()
        print(f"{name:>14}: median {translation:.3f} m, {rotation:.2f} deg")


def _errors_with_one(trainer: Trainer) -> Iterator[tuple[str, PoseErrors]]:
    """Validation errors without each modality, where all frames have all that the system uses."""
    frames, uses_depth = trainer.validation, SYSTEMS[trainer.config.system].uses_depth
    if frames is not None and uses_depth and frames.present.all():
        rows = list(evaluated(frames, uses_depth))[1:]
        yield from ((name, trainer.validate(seen)) for name, seen in rows)


def pick_device(name: str, processes: Processes = SINGLE_PROCESS) -> torch.device:
    """The device of that name; `auto` selects a GPU if there is one. Several processes use one GPU each.

    Raises:
        TrainingError: there is no such device, or there are too few.
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
        raise TrainingError(f"--device {name} is not available ({reason}); use auto or cpu.") from error
    return device


def _own_gpu(name: str, processes: Processes) -> str:
    """The GPU with the local rank of the process; it becomes the current one, which NCCL requires."""
    if name != "cuda":
        raise TrainingError(f"--device {name} is one GPU for {processes.count} processes; use --device cuda.")
    if processes.local_rank >= torch.cuda.device_count():
        raise TrainingError(
            f"This machine has {torch.cuda.device_count()} GPUs for more processes; lower --nproc-per-node of "
            "torchrun, or use --device cpu."
        )
    torch.cuda.set_device(processes.local_rank)
    return f"cuda:{processes.local_rank}"
