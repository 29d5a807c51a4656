# SPDX-License-Identifier: Apache-2.0
"""The micro-batches of each train step: shuffled in every epoch, distributed over the processes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from mvloc_ros.training.augmentation import augment, augment_further
from mvloc_ros.training.config import TrainingConfig
from mvloc_ros.training.datasets import PosedFrames, as_tensor, clip_indices
from mvloc_ros.training.errors import TrainingError
from mvloc_ros.training.normalisation import PoseNormalisation
from mvloc_ros.training.objective import Batch
from mvloc_ros.training.processes import Processes
from mvloc_ros.training.views.novel_views import NovelViews


class MicroBatch(NamedTuple):
    """Frames that go through the network at once.

    Attributes:
        batch: augmented, on the device.
        share: of the frames of the train step, over all processes.
        last: whether it is the last one of the train step in this process.
    """

    batch: Batch
    share: float
    last: bool


class Batches:
    """The training frames in shuffled micro-batches.

    An epoch has as many frames as the training set. The last, smaller batch is omitted, since batch normalisation over
    one or two frames is noise; with a new order in each epoch, it has other frames each time. The size of a batch of
    clips is counted in frames, too.
    """

    def __init__(
        self,
        frames: PosedFrames,
        normalisation: PoseNormalisation,
        config: TrainingConfig,
        device: torch.device,
        processes: Processes,
        views: NovelViews | None = None,
        rendered: PosedFrames | None = None,
    ) -> None:
        """Prepare the batches. `views` moves the cameras of frames, `rendered` are frames for a share of each step.

        Raises:
            TrainingError: there is no clip, or a micro-batch has too few frames.
        """
        options, length = config.stage_optimiser(), config.clips.clip_length
        self.augmentation, self.device, self.processes = config.augmentation, device, processes
        self._views = views
        self.batch_size = min(options.batch_size, len(frames))
        self.accumulate = options.accumulate
        self._clips = clip_indices(frames, length, config.clips.clip_skip)
        self._clips_per_step = min(max(1, self.batch_size // length), len(self._clips))
        self._rendered_per_step = 0
        if rendered is not None:
            wanted = round(config.augmentation.rendered * self._clips_per_step)
            self._rendered_per_step = min(max(1, wanted), self._clips_per_step - 1)
        clips = min(len(frames) // length, len(self._clips))
        self.steps_per_epoch = max(1, clips // self._clips_per_step)
        parts = processes.count * self.accumulate
        if self._clips_per_step // parts * length < 2:
            raise TrainingError(
                f"A train step has {self._clips_per_step * length} frames for {parts} micro-batches, fewer than two "
                "each, which is too few for batch normalization; raise --batch-size, or lower --accumulate or "
                "--nproc-per-node of torchrun."
            )
        self._data = _tensors(frames, normalisation)
        self._recorded, self._rendered = len(frames), 0 if rendered is None else len(rendered)
        self._rendered_data = None if rendered is None else _tensors(rendered, normalisation)
        self._sensors = config.input.sensors

    def epoch(self) -> Iterator[MicroBatch]:
        """The micro-batches of this process for every step of an epoch; the main process draws the order."""
        recorded = self.processes.from_main(torch.randperm(len(self._clips)))
        rendered = self._draw_rendered()
        first = self.processes.rank * self.accumulate
        for step in range(self.steps_per_epoch):
            drawn = self._frames_of_step(step, recorded, rendered)
            own = drawn.tensor_split(self.processes.count * self.accumulate)[first : first + self.accumulate]
            for number, picked in enumerate(own, start=1):
                batch = self._load(picked.flatten())
                yield MicroBatch(batch, len(picked) / self._clips_per_step, number == self.accumulate)

    def _draw_rendered(self) -> Tensor:
        """Numbers of rendered views for an epoch: each as often as every other, or once less."""
        needed = self.steps_per_epoch * self._rendered_per_step
        if needed == 0:
            return torch.zeros(0, dtype=torch.int64)
        rounds = -(-needed // self._rendered)
        return self.processes.from_main(torch.cat([torch.randperm(self._rendered) for _ in range(rounds)])[:needed])

    def _frames_of_step(self, step: int, recorded: Tensor, rendered: Tensor) -> Tensor:
        """Frame numbers `[clips, length]` of a step; those of rendered views follow those of the recorded frames.

        Rendered and recorded frames alternate, so that each micro-batch has its share of both.
        """
        few = self._rendered_per_step
        most = self._clips_per_step - few
        clips = self._clips[recorded[step * most : (step + 1) * most]]
        if few == 0:
            return clips
        views = self._recorded + rendered[step * few : (step + 1) * few].unsqueeze(1)
        places = torch.cat([(torch.arange(count) + 0.5) / count for count in (most, few)])
        return torch.cat([clips, views])[torch.argsort(places, stable=True)]

    def _gather(self, indices: Tensor) -> list[Tensor]:
        """The arrays of some frames."""
        if self._rendered_data is None:
            return [data[indices] for data in self._data]
        is_rendered = indices >= self._recorded
        found = []
        for data, other in zip(self._data, self._rendered_data, strict=True):
            values = torch.empty((len(indices), *data.shape[1:]), dtype=data.dtype)
            values[~is_rendered] = data[indices[~is_rendered]]
            values[is_rendered] = other[indices[is_rendered] - self._recorded]
            found.append(values)
        return found

    def _load(self, indices: Tensor) -> Batch:
        picked = self._gather(indices)
        if self.device.type == "cuda":
            # From pinned memory the copy overlaps with the previous step.
            picked = [values.pin_memory() for values in picked]
        placed = [values.to(self.device, non_blocking=True) for values in picked]
        color, depth, present, target, *further = placed if self._views is None else self._views(*placed)
        pair = augment(color, depth, present, self.augmentation, self._sensors)
        return Batch(*pair, target, tuple(augment_further(further, self._sensors, self.augmentation)))


def _tensors(frames: PosedFrames, normalisation: PoseNormalisation) -> list[Tensor]:
    """Color, depth, presence and encoded poses of all frames, then the images of further sensors."""
    color, depth, present, *further = (as_tensor(array) for array in frames.inputs())
    return [color, depth, present, torch.from_numpy(normalisation.encode(frames.poses)), *further]
