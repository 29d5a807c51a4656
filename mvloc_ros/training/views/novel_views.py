# SPDX-License-Identifier: Apache-2.0
"""New views of a batch by random motions of its cameras: the interface of this package."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mvloc_ros.recordings import PosedFolder
from mvloc_ros.training.config import SYSTEMS, TrainingConfig
from mvloc_ros.training.datasets import PosedFrames
from mvloc_ros.training.errors import TrainingError
from mvloc_ros.training.normalisation import PoseNormalisation
from mvloc_ros.training.options import AugmentationConfig
from mvloc_ros.training.views.camera_motion import Motion, draw_motion, move_target
from mvloc_ros.training.views.reprojection import RgbdCameras, is_measured
from mvloc_ros.training.views.sensor_views import SensorView, move_sensors, plan_views
from mvloc_ros.training.views.turning import turn
from mvloc_ros.training.views.warping import warp

# A frame with a smaller share of measured depth pixels is only rotated: its translated image would be wrong.
LEAST_MEASURED = 0.1


@dataclass(frozen=True)
class NovelViews:
    """Called with a batch, returns it as moved cameras would have recorded it.

    All frames of a clip have the same motion in the camera frame, as if the camera had another mounting on the robot,
    so that the clip remains realistic.

    Random numbers are of the global generator of torch on the device of the batch.
    """

    config: AugmentationConfig
    cameras: RgbdCameras
    normalisation: PoseNormalisation
    clip_length: int
    sensors: tuple[SensorView, ...] = ()

    def __call__(
        self, color: Tensor, depth: Tensor, present: Tensor, target: Tensor, *further: Tensor
    ) -> tuple[Tensor, ...]:
        """Color uint8 `[B, H, W, 3]`, depth `[B, H, W]` meters, presence `[B, M]`, encoded poses `[B, 6]`.

        The images of the further sensors follow; they move with the color camera.

        A batch has complete clips, one after another. Returns new tensors of the same shapes and types, or the given
        ones if no frame moves.
        """
        picked, motion = self._draw(depth)
        if self.sensors:
            kept = self._with_depth(further)[picked].nonzero().squeeze(1)
            picked, motion = picked[kept], motion.of(kept)
        if len(picked) == 0:
            return color, depth, present, target, *further
        move = turn if self.config.shift == 0.0 else warp
        new_color, new_depth = move(color[picked], depth[picked], motion, self.cameras)
        new_target = move_target(target[picked], motion, self.normalisation)
        return (
            color.index_copy(0, picked, new_color),
            depth.index_copy(0, picked, new_depth),
            present,
            target.index_copy(0, picked, new_target),
            *move_sensors(self.sensors, picked, motion, depth, further),
        )

    def _with_depth(self, further: Sequence[Tensor]) -> Tensor:
        """Which frames have the depth that their further images need, `[B]`."""
        enough = torch.ones(len(further[0]), dtype=torch.bool, device=further[0].device)
        needed = {view.needed_depth() for view in self.sensors}
        for view, image in zip(self.sensors, further, strict=True):
            if view.sensor.name in needed:
                enough &= is_measured(image).flatten(1).float().mean(dim=1) >= LEAST_MEASURED
        return enough

    def _draw(self, depth: Tensor) -> tuple[Tensor, Motion]:
        """The indices of the frames that move, and their motions."""
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
    """Check that new views are possible: they need a pinhole camera, which panoramas do not have.

    Raises:
        TrainingError: with the options to remove.
    """
    options, uses_depth = config.augmentation, SYSTEMS[config.system].uses_depth
    if folder.depth_projection == "pinhole" or not (options.shift > 0.0 or (options.turn > 0.0 and uses_depth)):
        return
    raise TrainingError(
        f"The depth images of {folder.where} are panoramas, which --turn and --shift do not support; remove both "
        "options, or convert the recording with --projection pinhole."
    )


def prepare_views(
    config: TrainingConfig, cameras: RgbdCameras | None, frames: PosedFrames, normalisation: PoseNormalisation
) -> NovelViews | None:
    """The new views of a run, None if it has none.

    Args:
        config: of the run.
        cameras: intrinsics at the size of the frames; required for new views.
        frames: the training frames.
        normalisation: of their poses.

    Raises:
        TrainingError: --shift is given, and no frame has depth, or a further sensor cannot move.
    """
    options = config.augmentation
    if options.turn == 0.0 and options.shift == 0.0:
        return None
    if cameras is None:
        raise ValueError("New views need the cameras' intrinsics.")
    if options.shift > 0.0 and not frames.present[:, 1].any():
        raise TrainingError("--shift needs depth, and no training frame has any; use --turn without --shift.")
    seen = config.input
    sensors = plan_views(seen.sensors, seen.short_side, cameras.depth, options.shift > 0.0)
    return NovelViews(options, cameras, normalisation, config.clips.clip_length, tuple(sensors))
