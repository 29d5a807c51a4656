# SPDX-License-Identifier: Apache-2.0
"""Where a camera could be: poses like those of the recording, at places that it did not pass.

A place lies level with a recorded one; height is therefore that of the recording, also on ramps and several floors.
Pitch and roll are those of a recorded frame, and so is the heading, up to some degrees.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from mvloc_ros.geometry import quaternion
from mvloc_ros.training.rendering.observed_space import FREE, ObservedSpace
from mvloc_ros.training.rendering.source import Source

Array = NDArray[np.float64]

# Largest distance to the recorded place: a quarter of the size of where the camera was, and this at most.
REACH_M, _REACH_OF_SIZE = 1.5, 0.25
# Standard deviation of the difference of headings.
HEADING_DEG = 15.0
# A robot needs so much room around its camera.
CLEARANCE_M = 0.2
# Places this close to each other count as one, so that where a robot stood still is not drawn more often.
_SAME_PLACE_M = 0.3
# Share of the mean up direction of the cameras in the choice of the axis; it decides where all headings are alike.
_MEAN_SHARE = 0.05


@dataclass(frozen=True, eq=False)
class Places:
    """Draws poses for one sequence.

    Attributes:
        poses: T_map_camera of its frames, `[N, 4, 4]`.
        chances: of each frame to be the recorded place, `[N]`, sum 1.
        up: unit vector, map frame.
        reach_m: largest distance to the recorded place.
    """

    poses: Array
    chances: Array
    up: Array
    reach_m: float

    def draw(self, random: np.random.Generator) -> Array:
        """A pose T_map_camera, 4x4."""
        place = int(random.choice(len(self.poses), p=self.chances))
        looking = int(random.integers(len(self.poses)))
        distance, bearing = self.reach_m * math.sqrt(random.random()), 2.0 * math.pi * random.random()
        turn = math.radians(HEADING_DEG) * random.standard_normal()
        level = np.linalg.svd(self.up[None])[2][1:]
        pose = np.eye(4)
        rotation = quaternion.to_matrix(quaternion.exp(0.5 * turn * self.up))
        pose[:3, :3] = rotation @ self.poses[looking, :3, :3]
        pose[:3, 3] = self.poses[place, :3, 3] + distance * (
            math.cos(bearing) * level[0] + math.sin(bearing) * level[1]
        )
        return pose


def places_of(source: Source) -> Places:
    """The places of a sequence, evenly over where it was, not over time."""
    positions = source.poses[:, :3, 3]
    cells = np.floor((positions - positions.min(axis=0)) / _SAME_PLACE_M).astype(np.int64)
    _, inverse, counts = np.unique(cells, axis=0, return_inverse=True, return_counts=True)
    chances = 1.0 / counts[inverse.ravel()]
    reach = min(REACH_M, _REACH_OF_SIZE * float(np.linalg.norm(np.ptp(positions, axis=0))))
    return Places(source.poses, chances / chances.sum(), up_direction(source.poses), reach)


def up_direction(poses: Array) -> Array:
    """Up, `[3]` in the map frame: the direction to which the cameras' x axes are level, as they are without roll.

    The mean up direction of the cameras has their mean pitch if they all look to one side; it decides only what the x
    axes leave open then.
    """
    across, mean = poses[:, :3, 0], -poses[:, :3, 1].mean(axis=0)
    spread = across.T @ across / len(across)
    axis = np.linalg.eigh(spread - _MEAN_SHARE * np.outer(mean, mean))[1][:, 0]
    return np.asarray(axis if axis @ mean >= 0.0 else -axis)


def is_clear(space: ObservedSpace, position: Array) -> bool:
    """Whether a place and what is around it were seen to be free."""
    steps = np.concatenate([np.zeros((1, 3)), CLEARANCE_M * np.eye(3), -CLEARANCE_M * np.eye(3)])
    points = torch.as_tensor(steps, dtype=torch.float32, device=space.state.device)
    return bool((space.at(points, position) == FREE).all())
