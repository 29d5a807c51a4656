# SPDX-License-Identifier: Apache-2.0
"""The cameras that a model was trained for, and how they sit to each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.localization.depth_points import CORRECTION_SHAPE, DepthCamera
from mvloc_ros.localization.scene_map import SceneMap
from mvloc_ros.model.manifest import Manifest
from mvloc_ros.model.map_spec import SceneMapSpec

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SensorRig:
    """Both cameras, at any size of their aspect ratio.

    Attributes:
        color: intrinsics of the colour camera.
        depth: what makes points of depth images, in the depth camera's frame.
        T_color_depth: 4x4, maps coordinates of the depth camera into the colour camera.
        T_camera_depth: 4x4, the same into the camera whose pose the model gives.
    """

    color: PinholeCamera
    depth: DepthCamera
    T_color_depth: Array
    T_camera_depth: Array

    @staticmethod
    def of_map(manifest: Manifest, spec: SceneMapSpec, scene_map: SceneMap) -> SensorRig:
        """As the scene map was built: with its range, its correction of the depth, and its extrinsic."""
        depth = DepthCamera(manifest.depth_camera, spec.depth_min_m, spec.depth_max_m, scene_map.correction)
        return _rig(manifest, depth, spec.extrinsic())

    @staticmethod
    def of(manifest: Manifest) -> SensorRig:
        """Without a scene map: the network's range of depth; the identity where depth comes registered."""
        depth = DepthCamera(
            manifest.depth_camera,
            manifest.input.depth_min_m,
            manifest.input.depth_max_m,
            np.zeros(CORRECTION_SHAPE, np.float32),
        )
        known = manifest.T_color_depth
        return _rig(manifest, depth, np.eye(4) if known is None else np.reshape(np.array(known, np.float64), (4, 4)))


def _rig(manifest: Manifest, depth: DepthCamera, T_color_depth: Array) -> SensorRig:
    T_camera_depth = T_color_depth if manifest.frames.pose_of == "color" else np.eye(4)
    return SensorRig(manifest.color_camera, depth, T_color_depth, T_camera_depth)
