# SPDX-License-Identifier: Apache-2.0
"""The options of a RobotCar folder."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path

from mvloc_ros.geometry.motion_limits import MotionLimits
from mvloc_ros.geometry.projection import Panorama
from mvloc_ros.geometry.trajectory import Interpolation
from mvloc_ros.recordings.errors import RecordingError
from mvloc_ros.recordings.robotcar.layout import CAR_LIMITS, Traversal
from mvloc_ros.recordings.robotcar.scan_depth import Window


@dataclass(frozen=True)
class RobotCarOptions:
    """Options; `models` and `extrinsics` default to folders next to the first traversal."""

    test: tuple[str, ...] | None = None
    models: Path | None = None
    extrinsics: Path | None = None
    camera: str = "stereo/centre"
    poses: str = "ins"
    good_only: bool = False
    lidars: tuple[str, ...] = ("lms_front", "lms_rear")
    window: Window = field(default_factory=lambda: Window(10_000_000_000))
    panorama: Panorama | None = None
    splat: float = 1.0
    short_side: int = 256
    every: int = 1
    max_gap_ns: int = 200_000_000
    limits: MotionLimits = CAR_LIMITS

    @property
    def interpolation(self) -> Interpolation:
        """What may be interpolated, of poses and of odometry."""
        return Interpolation(self.max_gap_ns, self.limits)

    def stated(self) -> dict[str, object]:
        """The options that decide the content of the folder, without the paths of the kit."""
        left_out = {"models", "extrinsics"}
        if self.limits == CAR_LIMITS:
            left_out.add("limits")  # as in folders from before there was the choice
        return {name: value for name, value in asdict(self).items() if name not in left_out}


def kit_folder(traversal: Traversal, stated: Path | None, name: str) -> Path:
    """The data set's folder of camera models or extrinsics."""
    return stated or traversal.root.resolve().parent / name


def panorama(azimuth: tuple[float, float], elevation: tuple[float, float]) -> Panorama:
    """A panorama of edges in degrees; its pixels are chosen with the image's.

    Raises RecordingError where the edges enclose nothing, or more than one turn.
    """
    (left, right), (bottom, top) = (tuple(map(math.radians, edges)) for edges in (azimuth, elevation))
    try:
        return Panorama(1, 1, left=left, right=right, top=top, bottom=bottom)
    except ValueError as error:
        raise RecordingError(f"--azimuth or --elevation cannot be used: {error}") from error
