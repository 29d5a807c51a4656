# SPDX-License-Identifier: Apache-2.0
"""Random motions of a camera, and the encoded poses after them.

A motion is T_old_new: the pose of the moved camera in the frame of the original camera. So T_map_new = T_map_old
T_old_new.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from mvloc_ros.training.normalisation import PoseNormalisation
from mvloc_ros.training.torch_quaternion import exp, log, multiply, rotation_matrix


class Motion(NamedTuple):
    """T_old_new of B cameras: unit quaternions x, y, z, w `[B, 4]`, meters in the axes of the old camera `[B, 3]`."""

    quaternion: Tensor
    translation: Tensor

    def rotation(self) -> Tensor:
        """Rotation matrices `[B, 3, 3]`."""
        return rotation_matrix(self.quaternion)

    def inverse(self) -> Motion:
        """T_new_old."""
        conjugate = torch.cat([-self.quaternion[:, :3], self.quaternion[:, 3:]], dim=1)
        back = rotation_matrix(conjugate) @ self.translation.unsqueeze(2)
        return Motion(conjugate, -back.squeeze(2))

    def of(self, frames: Tensor) -> Motion:
        """The motions of some frames, by index."""
        return Motion(self.quaternion[frames], self.translation[frames])


def draw_motion(count: int, turn: float, shift: float, device: torch.device) -> Motion:
    """Random motions: rotations by up to `turn` degrees, translations by up to `shift` meters, in any direction.

    Angle and distance are uniform between 0 and their limit, so small motions, which cause the fewest holes, are as
    frequent as large ones.
    """
    half_angle = 0.5 * math.radians(turn)
    return Motion(exp(half_angle * _vectors(count, device)), shift * _vectors(count, device))


def _vectors(count: int, device: torch.device) -> Tensor:
    """`[count, 3]`: isotropic directions, lengths uniform in [0, 1]."""
    direction = torch.nn.functional.normalize(torch.randn(count, 3, device=device), dim=1)
    return direction * torch.rand(count, 1, device=device)


def move_target(target: Tensor, motion: Motion, normalisation: PoseNormalisation) -> Tensor:
    """The encoded poses `[B, 6]` of the moved cameras, from those of the original cameras.

    A pose is encoded as (p - offset) / scale and the logarithm of r, with the orientation R = reference r. With the
    motion (m, t): r' = r m, and p' = p + R t, which does not depend on the offset.
    """
    reference = torch.tensor([normalisation.reference], dtype=target.dtype, device=target.device)
    relative = exp(target[:, 3:])
    step = rotation_matrix(multiply(reference, relative)) @ motion.translation.unsqueeze(2)
    position = target[:, :3] + step.squeeze(2) / normalisation.scale_m
    return torch.cat([position, log(multiply(relative, motion.quaternion))], dim=1)
