# SPDX-License-Identifier: Apache-2.0
"""Turns and moves the cameras of a batch at random: the training's entry to this package."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mvloc_ros.recordings import PosedFolder
from mvloc_ros.training.config import SYSTEMS, TrainingConfig
from mvloc_ros.training.datasets import PosedFrames
from mvloc_ros.training.errors import TrainingError
from mvloc_ros.training.normalisation import PoseNormalisation
from mvloc_ros.training.options import AugmentationConfig
from mvloc_ros.training.views.motion import Motion, draw_motion, move_target
from mvloc_ros.training.views.projection import RgbdCameras, is_measured
from mvloc_ros.training.views.turning import turn
from mvloc_ros.training.views.warping import warp

# A frame whose depth has fewer pixels measured than this is only turned: its image could not show a shift.
LEAST_MEASURED = 0.1


@dataclass(frozen=True)
class NovelViews:
    """Called with a batch, it gives the batch as moved cameras would have recorded it.

    The frames of a clip move as if their camera had been mounted elsewhere on the same robot: all by one
    motion in the camera's frame, so the clip is one that a camera could have recorded.

    All randomness comes from torch's global generator of the batch's device.
    """

    config: AugmentationConfig
    cameras: RgbdCameras
    normalisation: PoseNormalisation
    clip_length: int

    def __call__(
        self, color: Tensor, depth: Tensor, present: Tensor, target: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Colour uint8 `[B, H, W, 3]`, depth `[B, H, W]` metres, presence `[B, 2]`, encoded poses `[B, 6]`.

        Batches are of whole clips, one after another. Returns new tensors of the same shapes and types,
        or those given where nothing moves.
        """
        picked, motion = self._draw(depth)
        if len(picked) == 0:
            return color, depth, present, target
        move = turn if self.config.shift == 0.0 else warp
        new_color, new_depth = move(color[picked], depth[picked], motion, self.cameras)
        new_target = move_target(target[picked], motion, self.normalisation)
        return (
            color.index_copy(0, picked, new_color),
            depth.index_copy(0, picked, new_depth),
            present,
            target.index_copy(0, picked, new_target),
        )

    def _draw(self, depth: Tensor) -> tuple[Tensor, Motion]:
        """The indices of the frames that move, and how."""
        config, device = self.config, depth.device
        clips = len(depth) // self.clip_length
        motion = draw_motion(clips, config.turn, config.shift, device)
        moves = torch.rand(clips, device=device) >= config.unmoved
        if config.shift > 0.0:
            enough = is_measured(depth).flatten(1).float().mean(dim=1) >= LEAST_MEASURED
            movable = enough.reshape(clips, self.clip_length).all(dim=1, keepdim=True)
            motion = Motion(motion.quaternion, motion.translation * movable)
        frames = moves.repeat_interleave(self.clip_length).nonzero().squeeze(1)
        return frames, motion.of(frames // self.clip_length)


def check_projection(config: TrainingConfig, folder: PosedFolder) -> None:
    """Refuse new views of depth that is a panorama: they move depth through a pinhole camera, and it has none.

    Raises:
        TrainingError: with the options to leave away.
    """
    options, shown = config.augmentation, SYSTEMS[config.system].uses_depth
    if folder.depth_projection == "pinhole" or not (options.shift > 0.0 or (options.turn > 0.0 and shown)):
        return
    raise TrainingError(
        f"The depth images of {folder.root} are panoramas, which --turn and --shift cannot move; leave both away, or "
        "convert the recording with --projection pinhole."
    )


def prepare_views(
    config: TrainingConfig, cameras: RgbdCameras | None, frames: PosedFrames, normalisation: PoseNormalisation
) -> NovelViews | None:
    """The run's new views, or None if it has none.

    Args:
        config: values of the run.
        cameras: intrinsics of colour and depth at the frames' size; needed where the run has new views.
        frames: the training frames.
        normalisation: how their poses are encoded.

    Raises:
        TrainingError: the cameras are to be shifted, and no frame has depth.
    """
    options = config.augmentation
    if options.turn == 0.0 and options.shift == 0.0:
        return None
    if cameras is None:
        raise ValueError("New views need the cameras' intrinsics.")
    if options.shift > 0.0 and not frames.present[:, 1].any():
        raise TrainingError("--shift needs depth, and no training frame has any; leave it away, or give --turn alone.")
    return NovelViews(options, cameras, normalisation, config.clips.clip_length)
