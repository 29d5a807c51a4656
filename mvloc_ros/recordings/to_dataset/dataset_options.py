# SPDX-License-Identifier: Apache-2.0
"""The options of a conversion."""

from __future__ import annotations

from dataclasses import dataclass, field

from mvloc_ros.recordings.to_dataset.pose_source import PoseOptions
from mvloc_ros.recordings.to_dataset.sensor_choice import SensorChoice

IMAGE_SKEW_NS = 20_000_000


@dataclass(frozen=True)
class DatasetOptions:
    """Options; None is found in the recording or has a default by the kind of depth.

    `depth_unit_m` are the metres of one unit of the recorded depth, 0 for REP 118's; `depth_units_per_metre` are those
    of the folder's depth images. `imu_topic` may be "none". `sensors` are those besides color and depth.
    """

    color: str | None = None
    depth: str | None = None
    color_info: str | None = None
    depth_info: str | None = None
    pose_of: str = "color"
    poses: PoseOptions = field(default_factory=PoseOptions)
    register: bool = False
    splat: float = 1.0
    max_skew_ns: int | None = None
    keep_unpaired: bool = False
    test_fraction: float = 0.2
    color_format: str = "png"
    depth_units_per_metre: float | None = None
    depth_unit_m: float = 0.0
    licence: str = ""
    imu_topic: str | None = None
    sensors: tuple[SensorChoice, ...] = ()

    @property
    def image_skew_ns(self) -> int:
        """Largest difference of the stamps of two images of a frame."""
        return IMAGE_SKEW_NS if self.max_skew_ns is None else self.max_skew_ns
