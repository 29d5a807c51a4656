# SPDX-License-Identifier: Apache-2.0
"""A rear RGB-D camera for the room of boxes: what it is, its images, folders that have them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from box_room import Scene

from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.model.frame import ColorImage, DepthImage
from mvloc_ros.model.modalities import Sensor, SensorInput
from mvloc_ros.recordings.camera_file import sensor_content

REAR = np.array([[-1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, -1.0, -0.25], [0.0, 0.0, 0.0, 1.0]])
"""Maps coordinates of the rear camera into the front one: turned about, and 0.25 m behind it."""


def rear_sensors(camera: PinholeCamera, T: np.ndarray = REAR) -> tuple[Sensor, ...]:
    """A color and a depth camera at one place."""
    numbers = tuple(float(value) for value in T.ravel())
    return (
        Sensor("rear", "color", camera, numbers),
        Sensor("rear_depth", "depth", camera, numbers, 0.1, 6.0),
    )


def rear_inputs(camera: PinholeCamera, T: np.ndarray = REAR) -> tuple[SensorInput, ...]:
    """The same as a bundle has them."""
    return tuple(SensorInput(sensor, camera.height, camera.width) for sensor in rear_sensors(camera, T))


def rear_images(
    scene: Scene, T_map_camera: np.ndarray, camera: PinholeCamera, seed: int = 0, T: np.ndarray = REAR
) -> dict[str, ColorImage | DepthImage]:
    """What the rear camera sees where the front one has a pose."""
    depth, gray = scene.render(T_map_camera @ T, camera)
    noise = 0.002 * np.random.default_rng((seed, 1)).standard_normal(depth.shape)
    millimetres = np.where(depth > 0, np.rint(1e3 * (depth + noise)), 0).astype(np.uint16)
    color = ColorImage(np.repeat(gray[..., None], 3, axis=2), "rgb")
    return {"rear": color, "rear_depth": DepthImage(millimetres, 0.001)}


def add_rear(
    folder: Path, scene: Scene, camera: PinholeCamera, T: np.ndarray = REAR, declared: np.ndarray = REAR
) -> Path:
    """Add the rear camera's images to a folder, and declare it there."""
    for pose in sorted(folder.glob("seq-*/frame-*.pose.txt")):
        images = rear_images(scene, np.loadtxt(pose), camera, int(pose.name[6:12]), T)
        stem = str(pose).removesuffix(".pose.txt")
        cv2.imwrite(f"{stem}.rear.png", images["rear"].pixels)
        cv2.imwrite(f"{stem}.rear_depth.png", images["rear_depth"].values)
    declare(folder, rear_sensors(camera, declared))
    return folder


def declare(folder: Path, sensors: Sequence[Sensor]) -> None:
    """State the sensors in `camera.json`."""
    path = folder / "camera.json"
    settings = json.loads(path.read_text())
    settings["sensors"] = {sensor.name: sensor_content(sensor) for sensor in sensors}
    path.write_text(json.dumps(settings))
