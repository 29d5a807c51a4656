# SPDX-License-Identifier: Apache-2.0
"""The objectives of systems with clips: MapNet, with relative poses inside a clip, and VidLoc."""

from __future__ import annotations

from mvloc_ros.training.networks.pose_network import PoseNetwork
from mvloc_ros.training.networks.vidloc import VidLoc
from mvloc_ros.training.objective import Batch, GeometricLoss, Objective, SampleLoss


class ClipObjective(Objective):
    """The geometric loss (Eq. 11) of every frame and of the relative pose of each pair of neighbors in a clip.

    The relative pose is the difference of the six numbers, as in the code of its authors, and has its own learned
    scales. (Brahmbhatt et al. 2018; without the unlabelled data and the pose graph of MapNet++.)
    """

    def __init__(self, geometric: GeometricLoss, relative: GeometricLoss, length: int) -> None:
        """For batches of whole clips of `length` frames, one clip after another."""
        super().__init__(geometric)
        self.relative = relative
        self.length = length

    def forward(self, network: PoseNetwork, batch: Batch) -> SampleLoss:
        """Loss of every frame, plus the mean loss of the relative poses of its clip."""
        pose = network(batch.color, batch.depth, batch.present).pose.float()
        loss: SampleLoss = self.geometric(pose, batch.target)
        steps, targets = (
            values.unflatten(0, (-1, self.length)).diff(dim=1).flatten(0, 1) for values in (pose, batch.target)
        )
        of_clip = self.relative(steps, targets).total.unflatten(0, (-1, self.length - 1)).mean(dim=1)
        return loss._replace(total=loss.total + of_clip.repeat_interleave(self.length))

    def end_epoch(self) -> dict[str, float]:
        """The scales of the relative poses, like `train/beta` and `train/gamma` of the poses."""
        return {"train/step_beta": self.relative.beta.item(), "train/step_gamma": self.relative.gamma.item()}


class RecurrentObjective(Objective):
    """The geometric loss (Eq. 11) of every frame, with each clip as one sequence of the recurrent layer."""

    def __init__(self, geometric: GeometricLoss, length: int) -> None:
        """For batches of whole clips of `length` frames, one clip after another."""
        super().__init__(geometric)
        self.length = length

    def forward(self, network: PoseNetwork, batch: Batch) -> SampleLoss:
        """As `Objective.forward`."""
        if not isinstance(network, VidLoc):
            raise TypeError(f"{type(network).__name__} has no recurrent layer for clips")
        features = network.features(batch.color, batch.depth, batch.present)
        poses, _ = network.poses(features.unflatten(0, (-1, self.length)))
        loss: SampleLoss = self.geometric(poses.flatten(0, 1), batch.target)
        return loss
