# SPDX-License-Identifier: Apache-2.0
"""New views of the sensors besides color and depth: all of a rig move together, as one rigid body.

A depth map is warped by its own measurements, wherever the sensor sits. An image needs, where the sensor moves, the
depth of what it shows: that of a depth sensor in the same place. Where it only turns, it needs none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mvloc_ros.geometry import se3
from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.model.modalities import Sensor
from mvloc_ros.training.errors import TrainingError
from mvloc_ros.training.torch_quaternion import multiply
from mvloc_ros.training.views.camera_motion import Motion
from mvloc_ros.training.views.reprojection import RgbdCameras, look_up, see
from mvloc_ros.training.views.warping import warp
from mvloc_ros.training.views.zbuffer import warp_depth

# Sensors this close are in one place, as color and depth of one camera are (`turning`, `warping`).
SAME_PLACE_M, SAME_DIRECTION_DEG = 0.05, 1.0
PAIRS_DEPTH = "depth"


class SensorView(NamedTuple):
    """How the images of one sensor move.

    Attributes:
        sensor: which one.
        camera: its intrinsics at the size of the images.
        depth_of: the modality with the depth of its pixels, None where its images only turn.
        depth_camera: the intrinsics of that depth.
    """

    sensor: Sensor
    camera: PinholeCamera
    depth_of: str | None = None
    depth_camera: PinholeCamera | None = None

    def needed_depth(self) -> str | None:
        """The further depth sensor without whose measurements the images cannot move."""
        return None if self.depth_of == PAIRS_DEPTH else self.depth_of

    def moved(self, image: Tensor, depths: dict[str, Tensor], motion: Motion) -> Tensor:
        """The images `[B, ...]` of the moved sensor.

        Args:
            image: of the sensor.
            depths: the depth maps of the same frames by modality.
            motion: T_old_new of the color camera.
        """
        own = motion_of(motion, self.sensor.pose)
        if self.sensor.kind == "depth":
            return warp_depth(image, own, self.camera)
        colors = image if self.sensor.kind == "color" else image.unsqueeze(3)
        if self.depth_of is None or self.depth_camera is None:
            u, v, _ = see(own, self.camera, None)
            colors = look_up(colors, u, v)
        else:
            colors, _ = warp(colors, depths[self.depth_of], own, RgbdCameras(self.camera, self.depth_camera))
        return colors if self.sensor.kind == "color" else colors.squeeze(3)


def plan_views(sensors: Sequence[Sensor], short_side: int, depth: PinholeCamera, shifts: bool) -> list[SensorView]:
    """How every further sensor moves with the color camera.

    Args:
        sensors: in their order.
        short_side: of the network's input.
        depth: the depth camera of the pair at that size.
        shifts: whether the color camera is moved, too, and not only turned.

    Raises:
        TrainingError: new views of a sensor are not possible.
    """
    cameras = {sensor.name: _scaled(sensor, short_side) for sensor in sensors}
    depths = [(PAIRS_DEPTH, np.eye(4), depth)]
    depths += [(s.name, s.pose, cameras[s.name]) for s in sensors if s.kind == "depth"]
    plans = []
    for sensor in sensors:
        found = next(((name, camera) for name, pose, camera in depths if _same_place(sensor.pose, pose)), None)
        turns_in_place = not shifts and float(np.linalg.norm(sensor.pose[:3, 3])) <= SAME_PLACE_M
        if sensor.kind == "depth" or turns_in_place:
            plans.append(SensorView(sensor, cameras[sensor.name]))
        elif found is not None:
            plans.append(SensorView(sensor, cameras[sensor.name], *found))
        else:
            raise TrainingError(
                f"--turn and --shift cannot move the images of the sensor {sensor.in_words}, since no depth sensor is "
                f"within {100 * SAME_PLACE_M:g} cm and {SAME_DIRECTION_DEG:g} degree of it; remove both options, or "
                f"train without the sensor (--sensors)."
            )
    return plans


def move_sensors(
    views: Sequence[SensorView], picked: Tensor, motion: Motion, depth: Tensor, further: Sequence[Tensor]
) -> list[Tensor]:
    """The images `[B, ...]` of all further sensors, those of the `picked` frames moved.

    `motion` is that of the color camera in these, `depth` `[B, H, W]` that of the pair before it moved.
    """
    images = dict(zip((view.sensor.name for view in views), further, strict=True))
    depths = {
        name: image[picked] for name, image in {PAIRS_DEPTH: depth, **images}.items() if image.is_floating_point()
    }
    moved = (view.moved(image[picked], depths, motion) for view, image in zip(views, further, strict=True))
    return [image.index_copy(0, picked, new) for image, new in zip(further, moved, strict=True)]


def motion_of(motion: Motion, T_reference_sensor: NDArray[np.float64]) -> Motion:
    """The motion of a sensor that is fixed to the moving camera: T_sensor_ref T_old_new T_ref_sensor."""
    device = motion.quaternion.device
    place, direction = se3.to_parts(T_reference_sensor)
    q = torch.tensor(direction, dtype=torch.float32, device=device).expand_as(motion.quaternion)
    conjugate = torch.cat([-q[:, :3], q[:, 3:]], dim=1)
    t = torch.tensor(place, dtype=torch.float32, device=device)
    offset = (motion.rotation() @ t) + motion.translation - t
    back = torch.tensor(T_reference_sensor[:3, :3].T, dtype=torch.float32, device=device)
    return Motion(multiply(multiply(conjugate, motion.quaternion), q), offset @ back.T)


def _scaled(sensor: Sensor, short_side: int) -> PinholeCamera:
    size = sensor.input_at(short_side)
    return sensor.camera.scaled_to(size.width, size.height)


def _same_place(a: NDArray[np.float64], b: NDArray[np.float64]) -> bool:
    distance = float(np.linalg.norm(a[:3, 3] - b[:3, 3]))
    angle = float(np.linalg.norm(se3.rotation_vector(a[:3, :3].T @ b[:3, :3])))
    return distance <= SAME_PLACE_M and math.degrees(angle) <= SAME_DIRECTION_DEG
