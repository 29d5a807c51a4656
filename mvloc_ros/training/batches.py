# SPDX-License-Identifier: Apache-2.0
"""Which frames each step of an epoch sees: drawn again every epoch, shared out among the processes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from mvloc_ros.training.augmentation import augment
from mvloc_ros.training.config import TrainingConfig
from mvloc_ros.training.datasets import PosedFrames, as_tensor, clip_indices
from mvloc_ros.training.errors import TrainingError
from mvloc_ros.training.normalisation import PoseNormalisation
from mvloc_ros.training.objective import Batch
from mvloc_ros.training.processes import Processes
from mvloc_ros.training.views.novel_views import NovelViews


class Part(NamedTuple):
    """Frames that go through the network at once.

    Attributes:
        batch: augmented, on the device.
        share: of the step's frames, those of all processes counted.
        last: whether this process's part in the step ends with it.
    """

    batch: Batch
    share: float
    last: bool


class Batches:
    """The training frames in the order and the portions in which they are learned.

    An epoch shows as many frames as there are. The last, smaller batch is left out: batch normalisation
    over a frame or two is noise. Frames are drawn again each epoch, so none is always the one left out.
    A batch of clips is counted in frames too.
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
        """Prepare; nothing is drawn yet. `views` shows the scene from other places.

        Raises:
            TrainingError: there is no clip, or a step has too few frames to share out.
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
                f"A step's {self._clips_per_step * length} frames in {parts} parts are fewer than two each, of which "
                "nothing can be normalised; raise --batch-size, or lower --accumulate or torchrun's --nproc-per-node."
            )
        self._data = [as_tensor(a) for a in (frames.color, frames.depth, frames.present)]
        self._data.append(torch.from_numpy(normalisation.encode(frames.poses)))

    def epoch(self) -> Iterator[Part]:
        """Every step of an epoch, of each step what falls to this process; the main process draws the order."""
        order = self.processes.from_main(torch.randperm(len(self._clips)))
        first = self.processes.rank * self.accumulate
        for step in range(self.steps_per_epoch):
            drawn = order[step * self._clips_per_step : (step + 1) * self._clips_per_step]
            own = drawn.tensor_split(self.processes.count * self.accumulate)[first : first + self.accumulate]
            for number, picked in enumerate(own, start=1):
                batch = self._load(self._clips[picked].flatten())
                yield Part(batch, len(picked) / self._clips_per_step, number == self.accumulate)

    def _load(self, indices: Tensor) -> Batch:
        picked = [data[indices] for data in self._data]
        if self.device.type == "cuda":
            # From pinned memory the copy runs beside the network's last step instead of waiting for it.
            picked = [values.pin_memory() for values in picked]
        placed = [values.to(self.device, non_blocking=True) for values in picked]
        color, depth, present, target = placed if self._views is None else self._views(*placed)
        return Batch(*augment(color, depth, present, self.augmentation), target)
