# SPDX-License-Identifier: Apache-2.0
"""The cameras that a model was trained for, and how they sit to each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry import se3
from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.localization.depth_points import CORRECTION_SHAPE, DepthCamera
from mvloc_ros.localization.scene_map import SceneMap
from mvloc_ros.model.manifest import Manifest
from mvloc_ros.model.map_spec import SceneMapSpec
from mvloc_ros.model.modalities import SensorInput

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RigDepth:
    """A depth sensor besides the pair.

    Attributes:
        name: of the sensor.
        depth: what makes points of its images, in its own frame: of its range, as far as the scene map goes.
        T_depth_sensor: 4x4, maps its coordinates into the depth camera of the pair.
    """

    name: str
    depth: DepthCamera
    T_depth_sensor: Array


@dataclass(frozen=True, eq=False)
class RigCamera:
    """A color or gray camera besides the pair.

    Attributes:
        name: of the sensor.
        kind: `color` or `gray`.
        camera: intrinsics at any size of its aspect ratio.
        height, width: in pixels, of the images that the network takes.
        T_color_sensor: 4x4, maps its coordinates into the color camera of the pair.
    """

    name: str
    kind: str
    camera: PinholeCamera
    height: int
    width: int
    T_color_sensor: Array


@dataclass(frozen=True, eq=False)
class SensorRig:
    """Both cameras of the pair, at any size of their aspect ratio, and the sensors besides them.

    Attributes:
        color: intrinsics of the colour camera.
        depth: what makes points of depth images, in the depth camera's frame.
        T_color_depth: 4x4, maps coordinates of the depth camera into the colour camera.
        T_camera_depth: 4x4, the same into the camera whose pose the model gives.
        depths, cameras: the further sensors, in the order of the manifest; a pair has none.
    """

    color: PinholeCamera
    depth: DepthCamera
    T_color_depth: Array
    T_camera_depth: Array
    depths: tuple[RigDepth, ...] = ()
    cameras: tuple[RigCamera, ...] = ()

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
    depths, cameras = _further(manifest.sensors, depth, T_color_depth)
    return SensorRig(manifest.color_camera, depth, T_color_depth, T_camera_depth, depths, cameras)


def _further(
    inputs: Sequence[SensorInput], pair: DepthCamera, T_color_depth: Array
) -> tuple[tuple[RigDepth, ...], tuple[RigCamera, ...]]:
    T_depth_color = se3.inverse(T_color_depth)
    depths: list[RigDepth] = []
    cameras: list[RigCamera] = []
    for item in inputs:
        sensor = item.sensor
        if sensor.kind == "depth":
            reach = within(sensor.depth_min_m, sensor.depth_max_m, pair.near_m, pair.far_m)
            depth = DepthCamera(sensor.camera, *reach, np.zeros(CORRECTION_SHAPE, np.float32))
            depths.append(RigDepth(sensor.name, depth, T_depth_color @ sensor.pose))
        else:
            cameras.append(RigCamera(sensor.name, sensor.kind, sensor.camera, item.height, item.width, sensor.pose))
    return tuple(depths), tuple(cameras)


def within(low_m: float | None, high_m: float | None, near_m: float, far_m: float) -> tuple[float, float]:
    """The part of a sensor's range, None without limits, that lies in that of a map; of a kind that may be empty."""
    return max(near_m, near_m if low_m is None else low_m), min(far_m, far_m if high_m is None else high_m)
