# SPDX-License-Identifier: Apache-2.0
"""The sensors that the demo's robot can have besides its color and depth camera: `mvloc demo render --sensors`.

`rear` is a color camera at the other end of the robot, in the light of the room. `infrared` is a gray camera beside the
color camera, with a lamp of its own: it sees the same in every light of the room.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mvloc_ros.demo.frame_files import DemoError
from mvloc_ros.demo.renderer import CAMERA, Renderer
from mvloc_ros.demo.sensor_noise import ColorSensor
from mvloc_ros.model.modalities import Sensor


def _placed(x: float, z: float, turn_deg: float) -> tuple[float, ...]:
    """A place `x` to the right of the color camera and `z` before it, turned about the axis that points down."""
    cosine, sine = round(math.cos(math.radians(turn_deg)), 12), round(math.sin(math.radians(turn_deg)), 12)
    rows = [[cosine, 0.0, sine, x], [0.0, 1.0, 0.0, 0.0], [-sine, 0.0, cosine, z], [0.0, 0.0, 0.0, 1.0]]
    return tuple(value for row in rows for value in row)


SENSORS = {
    "rear": Sensor("rear", "color", CAMERA, _placed(0.0, -0.25, 180.0)),
    "infrared": Sensor("infrared", "gray", CAMERA, _placed(0.05, 0.0, 0.0)),
}


def sensors_of(names: str) -> tuple[Sensor, ...]:
    """The sensors of names with commas; none of an empty text. Raises DemoError."""
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    if unknown := [name for name in wanted if name not in SENSORS]:
        raise DemoError(f"--sensors {unknown[0]!r} is unknown; choose of {', '.join(SENSORS)}.")
    return tuple(sensor for name, sensor in SENSORS.items() if name in wanted)


def measure_further(
    renderer: Renderer, T_map_camera: npt.NDArray[np.float64], sensors: Sequence[Sensor], seed: tuple[int, ...]
) -> dict[str, npt.NDArray[np.uint8]]:
    """The images of further sensors by name, with noise; `T_map_camera` is the pose of the color camera."""
    images = {}
    for sensor in sensors:
        # Of a name of its own, so that a sensor's noise does not depend on which others there are.
        rng = np.random.default_rng((*seed, *sensor.name.encode()))
        pose = T_map_camera @ sensor.pose
        encoded = renderer.encoded(pose) if sensor.kind == "color" else renderer.lit_by_camera(pose)
        image = ColorSensor().capture(encoded, rng)
        images[sensor.name] = image if sensor.kind == "color" else np.ascontiguousarray(image[..., 0])
    return images
