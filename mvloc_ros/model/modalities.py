# SPDX-License-Identifier: Apache-2.0
"""The modalities of a model: what a robot's sensors are called, what they measure, and where they sit.

Every model has the pair of a color image and a depth map, in this order; further ones follow in the order in which
`camera.json` of a dataset declares them. That declaration is what the reader of a folder, the cache, the augmentation,
the network, its exported graph, the backends and the manifest go by. One encoder, one column of the presence mask and
one expert share belong to each modality, in that order.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.foreign_text import quoted
from mvloc_ros.geometry import se3
from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.limits import MOST_INPUT_PIXELS, MOST_SENSORS
from mvloc_ros.model.manifest_checks import (
    ManifestError,
    Section,
    camera_of,
    require_camera,
    require_depth_range,
    require_extrinsic,
)

PAIR = ("color", "depth")
"""The names, and the kinds, of the two modalities that every model has."""
KINDS = ("color", "gray", "depth")
PRESENT = "present"
"""The input of a graph that says which modalities are there."""
_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
# Of inputs and outputs of the graph, of the files of a frame, and words of the command line.
_TAKEN = frozenset(
    {*PAIR, PRESENT, "pose", "latent_mean", "latent_log_variance", "expert_share", "target", "all", "none"}
)


@dataclass(frozen=True)
class ModalityInput:
    """What a network takes of one modality: images of a fixed size in pixels."""

    name: str
    kind: str
    height: int
    width: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one image: `[H, W, 3]` RGB of kind `color`, `[H, W]` of the others."""
        return (self.height, self.width, 3) if self.kind == "color" else (self.height, self.width)

    @property
    def dtype(self) -> type[np.uint8] | type[np.float32]:
        """uint8, or float32 meters of kind `depth`."""
        return np.float32 if self.kind == "depth" else np.uint8

    def blank(self) -> NDArray[Any]:
        """An image of zeros."""
        return np.zeros(self.shape, self.dtype)


@dataclass(frozen=True)
class Sensor:
    """A sensor besides the pair.

    Attributes:
        name: of its files, of its input of the graph, and in messages: small letters, digits and underscores.
        kind: `color` (RGB), `gray` (8 bits: infrared, thermal) or `depth`.
        camera: intrinsics at the full size of its images.
        T_reference_sensor: 4x4 row by row; maps coordinates of the sensor into the reference camera, which is the
            color camera of the pair (meters, optical frames).
        depth_min_m, depth_max_m: depth outside of this range is invalid; None for the other kinds.
        units_per_metre: value of a depth pixel at one meter.
    """

    name: str
    kind: str
    camera: PinholeCamera
    T_reference_sensor: tuple[float, ...]
    depth_min_m: float | None = None
    depth_max_m: float | None = None
    units_per_metre: float = 1000.0

    def __post_init__(self) -> None:
        require_name(self.name)
        label = f"sensor {self.name}"
        if self.kind not in KINDS:
            raise ManifestError(f"the kind of {label} must be {', '.join(KINDS)}, not {quoted(self.kind)}")
        require_camera(f"{label} camera", self.camera)
        require_extrinsic(f"{label} T_reference_sensor", self.T_reference_sensor)
        if self.kind == "depth":
            if self.depth_min_m is not None and self.depth_max_m is not None:
                require_depth_range(label, self.depth_min_m, self.depth_max_m)
            if not 0.0 < self.units_per_metre < math.inf:
                raise ManifestError(f"units_per_metre of {label} must be positive, not {self.units_per_metre:g}")
        elif (self.depth_min_m, self.depth_max_m) != (None, None):
            raise ManifestError(f"{label} is of kind {self.kind}, which has no depth range")

    @property
    def pose(self) -> NDArray[np.float64]:
        """`T_reference_sensor` as a matrix, 4x4."""
        return np.array(self.T_reference_sensor, dtype=np.float64).reshape(4, 4)

    @property
    def in_words(self) -> str:
        """Name, kind and place in a few words."""
        distance_m = float(np.linalg.norm(self.pose[:3, 3]))
        turn_deg = math.degrees(float(np.linalg.norm(se3.rotation_vector(self.pose[:3, :3]))))
        place = f"{distance_m:.3g} m and {turn_deg:.3g} deg from the color camera"
        limits = {"from": self.depth_min_m, "to": self.depth_max_m}
        reach = "".join(f", {word} {limit:g} m" for word, limit in limits.items() if limit is not None)
        return f"{self.name} ({self.kind}{reach}, {place})"

    def input_at(self, short_side: int) -> ModalityInput:
        """The images of this sensor, resized to a shorter side; the aspect ratio is kept."""
        scale = short_side / min(self.camera.height, self.camera.width)
        return ModalityInput(self.name, self.kind, round(self.camera.height * scale), round(self.camera.width * scale))

    def with_range(self, low_m: float, high_m: float) -> Sensor:
        """The sensor with that depth range, where it is of kind `depth` and has none of its own."""
        if self.kind != "depth":
            return self
        low = low_m if self.depth_min_m is None else self.depth_min_m
        return replace(self, depth_min_m=low, depth_max_m=high_m if self.depth_max_m is None else self.depth_max_m)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON and checkpoints, without those that are None."""
        values = {name: value for name, value in asdict(self).items() if value is not None}
        return values | {"T_reference_sensor": list(self.T_reference_sensor)}


@dataclass(frozen=True)
class SensorInput:
    """A sensor besides the pair in a bundle: what it is, and the size in pixels that its images are resized to."""

    sensor: Sensor
    height: int
    width: int

    def __post_init__(self) -> None:
        if min(self.height, self.width) < 1 or self.height * self.width > MOST_INPUT_PIXELS:
            raise ManifestError(
                f"the input size of sensor {self.sensor.name} is invalid: {self.width}x{self.height} pixels, at most "
                f"{MOST_INPUT_PIXELS} accepted"
            )
        if self.sensor.kind == "depth" and None in (self.sensor.depth_min_m, self.sensor.depth_max_m):
            raise ManifestError(f"sensor {self.sensor.name} has no depth range")

    @property
    def input(self) -> ModalityInput:
        """What the network takes of it."""
        return ModalityInput(self.sensor.name, self.sensor.kind, self.height, self.width)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {**self.sensor.to_dict(), "height": self.height, "width": self.width}


def require_name(name: str) -> None:
    """Raise ManifestError where a sensor cannot have this name."""
    if not _NAME.fullmatch(name) or name in _TAKEN:
        raise ManifestError(
            f"the sensor name {quoted(name)} is not accepted: use up to 32 small letters, digits and underscores, and "
            f"none of {', '.join(sorted(_TAKEN))}"
        )


def modality_names(sensors: Sequence[Sensor]) -> tuple[str, ...]:
    """All modalities of a model in order: the pair, then the further sensors."""
    return (*PAIR, *(sensor.name for sensor in sensors))


def graph_inputs(names: Sequence[str]) -> tuple[str, ...]:
    """The inputs of a network and its graph, of all modalities: color, depth, presence, and the further sensors."""
    return (*PAIR, PRESENT, *names[len(PAIR) :])


def pair_inputs(height: int, width: int) -> tuple[ModalityInput, ...]:
    """What a network takes of the pair."""
    return tuple(ModalityInput(name, name, height, width) for name in PAIR)


def require_distinct(sensors: Sequence[Sensor]) -> None:
    """Raise ManifestError where two sensors have one name, or there are too many."""
    names = [sensor.name for sensor in sensors]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ManifestError(f"two sensors are called {quoted(twice)}")
    if len(names) > MOST_SENSORS:
        raise ManifestError(f"{len(names)} sensors are declared besides color and depth, at most {MOST_SENSORS} work")


def sensor_of(section: Section, transform: tuple[float, ...] | None = None) -> Sensor:
    """The inverse of `Sensor.to_dict`; `transform` where it was read already. Raises ManifestError."""

    def optional(key: str) -> float | None:
        return section.number(key) if section.values.get(key) is not None else None

    units = optional("units_per_metre")
    return Sensor(
        section.text("name"),
        section.text("kind"),
        camera_of(section.section("camera")),
        section.numbers("T_reference_sensor", 16) if transform is None else transform,
        optional("depth_min_m"),
        optional("depth_max_m"),
        1000.0 if units is None else units,
    )


def sensors_of(values: object, name: str = "sensors") -> tuple[Sensor, ...]:
    """Sensors from a list of plain values. Raises ManifestError."""
    return tuple(sensor_of(section) for section in _sections(values, name))


def sensor_inputs_of(values: object, name: str = "sensors") -> tuple[SensorInput, ...]:
    """The inverse of `SensorInput.to_dict` for a list. Raises ManifestError."""
    return tuple(
        SensorInput(sensor_of(section), section.integer("height"), section.integer("width"))
        for section in _sections(values, name)
    )


def _sections(values: object, name: str) -> list[Section]:
    if not isinstance(values, list | tuple):
        raise ManifestError(f"{name} must be a list")
    if len(values) > MOST_SENSORS:
        raise ManifestError(f"{name} lists {len(values)}, at most {MOST_SENSORS} are accepted")
    return [Section.of(value, f"{name}[{i}]") for i, value in enumerate(values)]
