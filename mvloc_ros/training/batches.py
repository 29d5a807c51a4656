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
    ) -> None:
        """Prepare the batches. `views` renders new views.

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
        clips = min(len(frames) // length, len(self._clips))
        self.steps_per_epoch = max(1, clips // self._clips_per_step)
        parts = processes.count * self.accumulate
        if self._clips_per_step // parts * length < 2:
            raise TrainingError(
                f"A train step has {self._clips_per_step * length} frames for {parts} micro-batches, fewer than two "
                "each, which is too few for batch normalization; raise --batch-size, or lower --accumulate or "
                "--nproc-per-node of torchrun."
            )
        color, depth, present, *further = (as_tensor(array) for array in frames.inputs())
        self._data = [color, depth, present, torch.from_numpy(normalisation.encode(frames.poses)), *further]
        self._sensors = config.input.sensors

    def epoch(self) -> Iterator[MicroBatch]:
        """The micro-batches of this process for every step of an epoch; the main process draws the order."""
        order = self.processes.from_main(torch.randperm(len(self._clips)))
        first = self.processes.rank * self.accumulate
        for step in range(self.steps_per_epoch):
            drawn = order[step * self._clips_per_step : (step + 1) * self._clips_per_step]
            own = drawn.tensor_split(self.processes.count * self.accumulate)[first : first + self.accumulate]
            for number, picked in enumerate(own, start=1):
                batch = self._load(self._clips[picked].flatten())
                yield MicroBatch(batch, len(picked) / self._clips_per_step, number == self.accumulate)

    def _load(self, indices: Tensor) -> Batch:
        picked = [data[indices] for data in self._data]
        if self.device.type == "cuda":
            # From pinned memory the copy overlaps with the previous step.
            picked = [values.pin_memory() for values in picked]
        placed = [values.to(self.device, non_blocking=True) for values in picked]
        color, depth, present, target, *further = placed if self._views is None else self._views(*placed)
        pair = augment(color, depth, present, self.augmentation, self._sensors)
        return Batch(*pair, target, tuple(augment_further(further, self._sensors, self.augmentation)))
