# SPDX-License-Identifier: Apache-2.0
"""What there is to see of a bundle: its scene map, where its training cameras were, and its keyframes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.errors import MvlocError
from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.localization.keyframes import read_keyframes
from mvloc_ros.localization.scene_map import SceneMap, read_scene_map
from mvloc_ros.mapping.upright import upright_turn
from mvloc_ros.model.bundle import Bundle, read_bundle

Array = NDArray[np.float64]

HEIGHT, BRIGHTNESS = "height", "brightness"
STEP_M = 1.0
"""Consecutive training poses that are further apart are not of one walk."""


class ViewError(MvlocError):
    """A bundle cannot be shown, or not in the way that was asked for."""


@dataclass(frozen=True, eq=False)
class Scene:
    """A bundle with all that is drawn of it, in the map frame.

    Attributes:
        bundle: the model.
        scene_map: its map.
        poses: T_map_camera `[N, 4, 4]` of the training frames, in their order; none where the bundle does not tell.
        keyframes: T_map_camera `[K, 4, 4]`; none where the bundle has none.
        turn: 3x3, from the map's axes to axes with z up; the identity where z points up in the map.
    """

    bundle: Bundle
    scene_map: SceneMap
    poses: Array
    keyframes: Array
    turn: Array

    @property
    def is_turned(self) -> bool:
        """Whether z does not point up in the map."""
        return not np.array_equal(self.turn, np.eye(3))

    @property
    def frame(self) -> str:
        """The map frame's name."""
        return self.bundle.manifest.frames.map

    @property
    def camera(self) -> PinholeCamera:
        """Intrinsics of the camera whose poses `poses` are."""
        manifest = self.bundle.manifest
        return manifest.color_camera if manifest.frames.pose_of == "color" else manifest.depth_camera

    @property
    def has_brightness(self) -> bool:
        """Whether the map's points have the brightness that they had in training."""
        return bool(self.scene_map.brightness.any())

    @property
    def path_m(self) -> Array:
        """`[N]`: length of the training path up to each pose in meters, without steps over one meter."""
        steps = np.linalg.norm(np.diff(self.poses[:, :3, 3], axis=0), axis=1)
        return np.concatenate([[0.0], np.cumsum(np.where(steps <= STEP_M, steps, 0.0))])[: len(self.poses)]

    def upright(self, points: Array) -> Array:
        """Positions or directions `[N, 3]` of the map frame in axes with z up."""
        return np.asarray(points @ self.turn.T)


def read_scene(model: Path | str) -> Scene:
    """Read a bundle with its map.

    Raises:
        BundleError: it is no bundle.
        ViewError: it has no map, so that there is nothing to see.
        SceneMapError: map or keyframes are damaged.
    """
    bundle = read_bundle(model)
    if bundle.manifest.scene_map is None:
        raise ViewError(
            f"The bundle {bundle.path} has no scene map, only a network, so there is nothing to show; add a map with "
            "`mvloc map`."
        )
    scene_map, found = read_scene_map(bundle), read_keyframes(bundle)
    trajectory = bundle.training_trajectory()
    poses = np.zeros((0, 4, 4)) if trajectory is None else trajectory.poses
    keyframes = np.zeros((0, 4, 4)) if found is None else found.poses()
    cameras = poses if len(poses) else keyframes
    turn = upright_turn(scene_map, cameras) if len(cameras) else np.eye(3)
    return Scene(bundle, scene_map, poses, keyframes, turn)


def require_colors(scene: Scene, color: str) -> None:
    """Refuse brightness of a map that has none. Raises ViewError."""
    if color == BRIGHTNESS and not scene.has_brightness:
        raise ViewError(
            f"The points of {scene.bundle.path} have no brightness, since the map was made without color images; take "
            "--color height."
        )
