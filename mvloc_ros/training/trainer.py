# SPDX-License-Identifier: Apache-2.0
"""The training loop of all systems and stages; an interrupted run resumes with the same result.

A checkpoint after every epoch has the complete state, including the random generators of every process. A killed run
repeats its epoch from the last checkpoint and ends with the same weights, bit by bit on a CPU with the same number of
threads.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from mvloc_ros.evaluation.baselines import constant_pose_errors
from mvloc_ros.evaluation.pose_errors import PoseErrors
from mvloc_ros.training import checkpoint
from mvloc_ros.training.batches import Batches
from mvloc_ros.training.checkpoint import BEST, LAST
from mvloc_ros.training.config import TrainingConfig
from mvloc_ros.training.datasets import PosedFrames
from mvloc_ros.training.errors import TrainingError
from mvloc_ros.training.latent_scale import set_noise
from mvloc_ros.training.multi_sample import effective_samples
from mvloc_ros.training.networks.mvloc import MVLoc
from mvloc_ros.training.normalisation import PoseNormalisation
from mvloc_ros.training.predict import predict
from mvloc_ros.training.processes import SINGLE_PROCESS, Processes
from mvloc_ros.training.run_folder import make_run_folder
from mvloc_ros.training.run_identity import check_same_run
from mvloc_ros.training.run_log import RunLog
from mvloc_ros.training.saved_run import SavedRun, read_saved_run, unusable_checkpoint
from mvloc_ros.training.state_check import required_value
from mvloc_ros.training.systems import build_network
from mvloc_ros.training.train_step import Minimiser
from mvloc_ros.training.views import RgbdCameras, prepare_views
from mvloc_ros.training.warm_start import StartingPoint


@dataclass
class Progress:
    """Progress of a run."""

    epoch: int = 0
    step: int = 0
    best_score: float = float("inf")
    best_epoch: int = 0
    seconds: float = 0.0


class Trainer:
    """Trains one network on frames in memory and writes its run folder."""

    def __init__(
        self,
        config: TrainingConfig,
        training: PosedFrames,
        validation: PosedFrames | None,
        run: dict[str, Any],
        folder: Path,
        device: torch.device,
        weights: dict[str, Tensor] | None = None,
        start: StartingPoint | None = None,
        cameras: RgbdCameras | None = None,
        processes: Processes = SINGLE_PROCESS,
        rendered: PosedFrames | None = None,
    ) -> None:
        """Prepare a training, or resume it if `folder` has a checkpoint.

        Args:
            config: of the run.
            training: the training frames.
            validation: the validation frames; None: there are none, and so no best epoch, only the last.
            run: what identifies the run (`describe_run`); another run in the folder is an error.
            folder: the run folder, created if missing.
            device: where to compute.
            weights: ImageNet weights for a warm start of the encoders.
            start: result of an earlier training, for a warm start of the whole network.
            cameras: intrinsics at the size of the frames; only needed for new views.
            processes: that train together, each with a trainer of the same arguments.
            rendered: views for the share `--rendered` of each train step; None without.

        Raises:
            TrainingError: the folder has another run or cannot be created, or there are too few training frames.
        """
        if len(training) < 2:
            raise TrainingError(f"Training needs at least 2 frames, not {len(training)}; record more.")
        self.config, self.validation, self.processes = config, validation, processes
        self._training_poses = training.poses
        self.run, self.folder, self.device = run | {"processes": processes.count}, folder, device
        make_run_folder(folder)
        checkpoint.seed_everything(config.seed)
        network = build_network(config)
        if weights is not None:
            network.start_from(weights)
        if start is not None:
            network.load_state_dict(start.network)
        network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if config.samples_latent and config.stages.latent_noise > 0.0 and not (folder / LAST).exists():
            assert isinstance(network, MVLoc)
            set_noise(network, training, config.stages.latent_noise)
        self.normalisation = start.normalisation if start is not None else PoseNormalisation.fit(training.poses)
        views = prepare_views(config, cameras, training, self.normalisation)
        self.batches = Batches(training, self.normalisation, config, device, processes, views, rendered)
        self.epochs = config.stage_optimiser().epochs
        self.steps = self.epochs * self.batches.steps_per_epoch
        scales = None if start is None else start.scales
        self.minimiser = Minimiser(config, network, self.steps, device, scales, processes)
        self.progress = Progress()
        self.history: list[dict[str, float]] = []
        if processes.rank > 0:
            # All processes have the same network, but different augmentation and dropout.
            checkpoint.seed_everything(config.seed, processes.rank)
        if (folder / LAST).exists():
            self._resume()

    def fit(self) -> PoseErrors | None:
        """Train to the last epoch; returns the validation errors of the best epoch.

        None without validation frames, and in all processes but the main one.
        """
        progress, main = self.progress, self.processes.is_main
        log = RunLog(self.folder, self.run, self.history) if main else None
        with tqdm(total=self.steps, initial=progress.step, desc="training", unit="step", disable=not main) as bar:
            while progress.epoch < self.epochs:
                started = time.monotonic()
                row = self._train_epoch(bar)
                random = self.processes.gather(checkpoint.random_state(self.device))
                progress.epoch += 1
                if log is not None:
                    self._finish_epoch(log, row, random, started, bar)
                self.processes.wait_for_main()
        if log is None:
            return None
        log.write_metrics()
        log.close()
        self.history = log.history
        if self.validation is None:
            return None
        self.minimiser.validated_network.load_state_dict(read_saved_run(self.folder / BEST).network)
        return self.validate()

    def validate(self, seen: PosedFrames | None = None) -> PoseErrors:
        """Errors on the validation frames with the present network, or with the average of its weights.

        `seen`: the same frames with some modalities marked as missing; None: as they are.
        """
        frames, network = self.validation if seen is None else seen, self.minimiser.validated_network
        assert frames is not None
        size = self.batches.batch_size
        poses = predict(network, frames, self.normalisation, self.device, size, self.config.clips)
        return PoseErrors.of(poses, frames.poses)

    def baseline(self) -> PoseErrors:
        """Errors of the constant pose on the validation frames."""
        assert self.validation is not None
        return constant_pose_errors(self._training_poses, self.validation.poses)

    def _train_epoch(self, bar: tqdm[Any]) -> dict[str, float]:
        """All train steps of an epoch; returns the means over all frames of all processes."""
        minimiser = self.minimiser
        minimiser.begin_epoch()
        sums = torch.zeros(3, device=self.device)
        for part in self.batches.epoch():
            sums += minimiser.add(part)
            if part.last:
                self.progress.step += 1
                bar.update()
        minimiser.end_epoch()
        sums = self.processes.total(sums)
        total, position, rotation = (sums / self.batches.steps_per_epoch).tolist()
        if not all(map(math.isfinite, (total, position, rotation))):
            raise TrainingError(
                f"The loss is not finite in epoch {self.progress.epoch + 1}; lower --learning-rate and train in a new "
                "folder."
            )
        geometric = minimiser.objective.geometric
        return {
            "train/loss": total,
            "train/position": position,
            "train/rotation": rotation,
            "train/beta": geometric.beta.item(),
            "train/gamma": geometric.gamma.item(),
            "train/learning_rate": float(minimiser.schedule.get_last_lr()[0]),
            **minimiser.objective.end_epoch(),
            **({"train/skipped_steps": float(minimiser.skipped)} if minimiser.scaler.is_enabled() else {}),
        }

    def _finish_epoch(
        self, log: RunLog, row: dict[str, float], random: list[dict[str, Any]], started: float, bar: tqdm[Any]
    ) -> None:
        """Validate, log, and write the checkpoint, in the main process."""
        progress, score = self.progress, float("inf")
        shown: list[str] = []
        if self.validation is not None:
            errors = self.validate()
            translation, rotation = errors.medians()
            score = self._score(errors)
            row |= {"validation/translation_m": translation, "validation/rotation_deg": rotation}
            shown.append(f"validation {translation:.3f} m, {rotation:.2f} deg")
        if self.config.samples_latent:
            shown.append(effective_samples(row, self.config.stages.samples))
        bar.set_postfix_str("; ".join(shown))
        progress.seconds += time.monotonic() - started
        log.add({"epoch": progress.epoch, **row, "seconds": progress.seconds})
        self._save(score, log.history, random)
        log.write_metrics()

    def _score(self, errors: PoseErrors) -> float:
        """Sum of both median errors, each relative to that of the mean training pose: one number, without units."""
        assert self.validation is not None
        mean_pose = PoseErrors.of(self.normalisation.mean_pose(len(self.validation)), self.validation.poses)
        pairs = zip(errors.medians(), mean_pose.medians(), strict=True)
        return sum(error / max(scale, 1e-6) for error, scale in pairs)

    def _save(self, score: float, history: list[dict[str, float]], random: list[dict[str, Any]]) -> None:
        progress = self.progress
        model = {
            "run": self.run,
            "network": self.minimiser.validated_network.state_dict(),
            "normalisation": self.normalisation.to_dict(),
            "history": history,
            "epoch": progress.epoch,
            "seconds": progress.seconds,
        }
        if score < progress.best_score:
            progress.best_score, progress.best_epoch = score, progress.epoch
            # Written first: an epoch that is repeated after a crash writes the same file again.
            checkpoint.save(self.folder / BEST, model)
        state = {"random": random[0], "random_of_others": random[1:], "progress": vars(progress).copy()}
        checkpoint.save(self.folder / LAST, model | self.minimiser.state() | state)

    def _resume(self) -> None:
        saved = read_saved_run(self.folder / LAST)
        check_same_run(self.folder, dict(saved.run), self.run)
        try:
            progress = self._saved_progress(saved)
            self.minimiser.restore(saved.network, saved.state)
            done = self.minimiser.schedule.last_epoch
            # In float16 steps are left out, which advance no schedule.
            if done > progress.step or (done < progress.step and not self.minimiser.scaler.is_enabled()):
                raise ValueError("the step of its schedule contradicts its progress")
            others = required_value(saved.state, "random_of_others", list) if "random_of_others" in saved.state else []
            states = [required_value(saved.state, "random", dict), *others]
            if len(states) != self.processes.count:
                raise ValueError("it has random generator states for a different number of processes")
            checkpoint.restore_random_state(states[self.processes.rank], self.device)
        except ValueError as error:
            raise unusable_checkpoint(saved.path, error) from error
        self.progress, self.history = progress, saved.history

    def _saved_progress(self, saved: SavedRun) -> Progress:
        """Progress of the run of a checkpoint; ValueError if it contradicts the rest of the checkpoint."""
        values = required_value(saved.state, "progress", dict)
        counts = [required_value(values, name, int, "progress") for name in ("epoch", "step", "best_epoch")]
        seconds = required_value(values, "seconds", float, "progress")
        score = values.get("best_score")
        if not isinstance(score, float) or math.isnan(score):
            raise ValueError("its progress.best_score is not a number")
        epoch, step, best = counts
        if not epoch == saved.epoch == len(saved.history) <= self.epochs or not 0 <= best <= epoch:
            raise ValueError("its history, epoch and progress contradict each other")
        if step != epoch * self.batches.steps_per_epoch:
            raise ValueError("the step of its progress contradicts its epoch")
        return Progress(epoch, step, score, best, float(seconds))
