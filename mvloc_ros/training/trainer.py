# SPDX-License-Identifier: Apache-2.0
"""The training of any system in any stage: a loop that can be killed and goes on exactly.

A checkpoint after every epoch holds all state, random generators included. A run that was killed
starts its epoch again from the last checkpoint and ends with the same weights, bit by bit on a CPU
with the same number of threads.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from mvloc_ros.training import checkpoint
from mvloc_ros.training.augmentation import augment
from mvloc_ros.training.checkpoint import BEST, LAST
from mvloc_ros.training.config import TrainingConfig
from mvloc_ros.training.datasets import PosedFrames, as_tensor, clip_indices
from mvloc_ros.training.errors import TrainingError
from mvloc_ros.training.evaluation import PoseErrors, constant_pose, predict
from mvloc_ros.training.normalisation import PoseNormalisation
from mvloc_ros.training.objective import Batch
from mvloc_ros.training.optimisation import make_optimiser, make_schedule, reduced_precision
from mvloc_ros.training.run_log import RunLog
from mvloc_ros.training.start import StartingPoint
from mvloc_ros.training.systems import build_network, build_objective
from mvloc_ros.training.views import RgbdCameras, prepare_views


@dataclass
class Progress:
    """How far a run has come."""

    epoch: int = 0
    step: int = 0
    best_score: float = float("inf")
    best_epoch: int = 0
    seconds: float = 0.0


class Trainer:
    """Trains one network on frames in memory and keeps its run folder."""

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
    ) -> None:
        """Prepare, or resume where `folder` holds a checkpoint.

        Args:
            config: all values of the run.
            training: frames to learn from.
            validation: held-out frames; None where all are trained on: there is no best epoch then, only the last.
            run: what identifies the run (`describe_run`); resuming another one is refused.
            folder: the run folder, created where missing.
            device: where to compute.
            weights: ImageNet weights to start the encoders from.
            start: what an earlier training left, to start the whole network from.
            cameras: intrinsics at the frames' size; only new views need them.

        Raises:
            TrainingError: the folder holds another run, or there are fewer than two training frames.
        """
        if len(training) < 2:
            raise TrainingError("One frame is no training set; record more.")
        self.config, self.training, self.validation = config, training, validation
        self.run, self.folder, self.device = run, folder, device
        folder.mkdir(parents=True, exist_ok=True)
        checkpoint.seed_everything(config.seed)
        options = config.stage_optimiser()
        self.epochs = options.epochs
        self.network = build_network(config)
        if weights is not None:
            self.network.start_from(weights)
        if start is not None:
            self.network.load_state_dict(start.network)
        self.network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.normalisation = start.normalisation if start is not None else PoseNormalisation.fit(training.poses)
        self.views = prepare_views(config, cameras, training, self.normalisation)
        self.batch_size = min(options.batch_size, len(training))
        self.clips = clip_indices(training, config.clips.clip_length, config.clips.clip_skip)
        self.clips_per_step = max(1, self.batch_size // config.clips.clip_length)
        # An epoch shows as many frames as there are. The last, smaller batch is left out: batch
        # normalisation over a frame or two is noise. Frames are drawn anew each epoch, so none is always
        # the one left out.
        clips = min(len(training) // config.clips.clip_length, len(self.clips))
        self.steps_per_epoch = max(1, clips // self.clips_per_step)
        steps = options.epochs * self.steps_per_epoch
        self.objective = build_objective(config, steps, start.scales if start is not None else None).to(device)
        self.optimiser = make_optimiser(options, self.network, self.objective)
        self.schedule = make_schedule(options, self.optimiser, steps)
        self.dtype = reduced_precision(options.precision, device)
        self.scaler = torch.amp.GradScaler(enabled=self.dtype is torch.float16)
        self.progress = Progress()
        self._data = [as_tensor(a) for a in (training.color, training.depth, training.present)]
        self._data.append(torch.from_numpy(self.normalisation.encode(training.poses)))
        self.resumed_history: list[dict[str, float]] = []
        if (folder / LAST).exists():
            self._resume()

    def fit(self) -> PoseErrors | None:
        """Train to the last epoch; the best network's validation errors, or None without validation frames."""
        log = RunLog(self.folder, self.run, self.resumed_history)
        total = self.epochs * self.steps_per_epoch
        with tqdm(total=total, initial=self.progress.step, desc="training", unit="step") as bar:
            while self.progress.epoch < self.epochs:
                started = time.monotonic()
                row = self._train_epoch(bar)
                score = float("inf")
                if self.validation is not None:
                    errors = self.validate()
                    translation, rotation = errors.medians()
                    score = self._score(errors)
                    row |= {"validation/translation_m": translation, "validation/rotation_deg": rotation}
                    bar.set_postfix_str(f"validation {translation:.3f} m, {rotation:.2f} deg")
                self.progress.epoch += 1
                self.progress.seconds += time.monotonic() - started
                log.add({"epoch": self.progress.epoch, **row, "seconds": self.progress.seconds})
                self._save(score, log.history)
                log.write_metrics()
        log.write_metrics()
        log.close()
        if self.validation is None:
            return None
        self.network.load_state_dict(checkpoint.load(self.folder / BEST)["network"])
        return self.validate()

    def validate(self) -> PoseErrors:
        """Errors on the held-out frames as the network stands."""
        frames = self.validation
        assert frames is not None
        poses = predict(self.network, frames, self.normalisation, self.device, self.batch_size, self.config.clips)
        return PoseErrors.of(poses, frames.poses)

    def baseline(self) -> PoseErrors:
        """Errors on the held-out frames of always answering the mean training pose."""
        assert self.validation is not None
        return PoseErrors.of(constant_pose(self.normalisation, len(self.validation)), self.validation.poses)

    def _train_epoch(self, bar: tqdm[Any]) -> dict[str, float]:
        self.network.train()
        sums = torch.zeros(3, device=self.device)
        for batch in self._batches():
            with torch.autocast(self.device.type, self.dtype, enabled=self.dtype is not None):
                loss = self.objective(self.network, batch)
            self.optimiser.zero_grad(set_to_none=True)
            self.scaler.scale(loss.total.mean()).backward()
            self._limit_gradient()
            self.scaler.step(self.optimiser)
            self.scaler.update()
            self.schedule.step()
            sums += torch.stack([part.detach().mean() for part in loss])
            self.progress.step += 1
            bar.update()
        total, position, rotation = (sums / self.steps_per_epoch).tolist()
        if not all(map(_is_finite, (total, position, rotation))):
            raise TrainingError(
                f"The loss is no longer finite in epoch {self.progress.epoch + 1}; lower --learning-rate and train in "
                "a new folder."
            )
        geometric = self.objective.geometric
        return {
            "train/loss": total,
            "train/position": position,
            "train/rotation": rotation,
            "train/beta": geometric.beta.item(),
            "train/gamma": geometric.gamma.item(),
            "train/learning_rate": float(self.schedule.get_last_lr()[0]),
            **self.objective.end_epoch(),
        }

    def _batches(self) -> Iterator[Batch]:
        order = torch.randperm(len(self.clips))
        for step in range(self.steps_per_epoch):
            picked = self.clips[order[step * self.clips_per_step : (step + 1) * self.clips_per_step]].flatten()
            frames = [data[picked].to(self.device, non_blocking=True) for data in self._data]
            color, depth, present, target = frames if self.views is None else self.views(*frames)
            yield Batch(*augment(color, depth, present, self.config.augmentation), target)

    def _limit_gradient(self) -> None:
        limit = self.config.optimiser.gradient_limit
        if limit > 0.0:
            self.scaler.unscale_(self.optimiser)
            nn.utils.clip_grad_norm_(self.network.parameters(), limit)

    def _score(self, errors: PoseErrors) -> float:
        """Sum of both median errors, each relative to the constant pose's: one number, without units."""
        pairs = zip(errors.medians(), self.baseline().medians(), strict=True)
        return sum(error / max(baseline, 1e-6) for error, baseline in pairs)

    def _save(self, score: float, history: list[dict[str, float]]) -> None:
        progress = self.progress
        model = {
            "run": self.run,
            "network": self.network.state_dict(),
            "normalisation": self.normalisation.to_dict(),
            "history": history,
            "epoch": progress.epoch,
            "seconds": progress.seconds,
        }
        if score < progress.best_score:
            progress.best_score, progress.best_epoch = score, progress.epoch
            # First, because an epoch that is repeated after a crash writes the same file again.
            checkpoint.save(self.folder / BEST, model)
        checkpoint.save(
            self.folder / LAST,
            model
            | {
                "objective": self.objective.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "schedule": self.schedule.state_dict(),
                "scaler": self.scaler.state_dict(),
                "random": checkpoint.random_state(),
                "progress": vars(progress).copy(),
            },
        )

    def _resume(self) -> None:
        values = checkpoint.load(self.folder / LAST)
        # Options that came after the run was begun had their defaults.
        values["run"]["config"] = TrainingConfig.from_dict(values["run"]["config"]).to_dict()
        if differing := sorted(differences(values["run"], self.run)):
            raise TrainingError(
                f"{self.folder} holds a run with other values of {', '.join(differing)}; repeat the command it began "
                "with, or give another --out."
            )
        self.network.load_state_dict(values["network"])
        self.objective.load_state_dict(values["objective"])
        self.optimiser.load_state_dict(values["optimiser"])
        self.schedule.load_state_dict(values["schedule"])
        self.scaler.load_state_dict(values["scaler"])
        checkpoint.restore_random_state(values["random"])
        self.progress = Progress(**values["progress"])
        self.resumed_history = values["history"]


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


def _is_finite(value: float) -> bool:
    return abs(value) < float("inf")
