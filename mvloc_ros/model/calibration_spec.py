# SPDX-License-Identifier: Apache-2.0
"""The covariances in a manifest that `mvloc calibrate` set: of the network's poses, and of refined poses.

Matrices are 6x6 row by row, in ROS order (x, y, z, rotation about x, y, z), metres and radians, map axes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.limits import CALIBRATION_SCALE, MOST_FLOOR_M, MOST_FLOOR_RAD
from mvloc_ros.model.manifest_checks import Section, require_covariance, require_range


@dataclass(frozen=True)
class NetworkCalibration:
    """Covariances of the network's poses.

    Attributes:
        both: from both modalities.
        color_only, depth_only: from one; None where that was not measured.
        record: what it was set on, and NEES before and after.
    """

    both: tuple[float, ...]
    color_only: tuple[float, ...] | None
    depth_only: tuple[float, ...] | None
    record: Mapping[str, Any]

    def __post_init__(self) -> None:
        for name, values in (("both", self.both), ("color_only", self.color_only), ("depth_only", self.depth_only)):
            if values is not None:
                require_covariance(f"calibration.{name}", values)


@dataclass(frozen=True)
class RefinedCalibration:
    """Corrections of a registration's covariance: a scale of its information, and errors that all frames share.

    C = (information / scale + network^-1)^-1 + floor.

    Attributes:
        scale: factor by which the information of a registration is still too large, after the map's `inflation`.
        floor_m, floor_rad: standard deviations per axis that no frame falls below: errors of the map, of the poses it
            was made from, and of the camera's calibration, which all points of a frame share.
        record: what it was set on, and NEES before and after.
    """

    scale: float
    floor_m: float
    floor_rad: float
    record: Mapping[str, Any]

    def __post_init__(self) -> None:
        require_range("scene_map.calibration.scale", self.scale, CALIBRATION_SCALE)
        require_range("scene_map.calibration.floor_m", self.floor_m, (0.0, MOST_FLOOR_M), "m")
        require_range("scene_map.calibration.floor_rad", self.floor_rad, (0.0, MOST_FLOOR_RAD), "rad")


def covariance_matrix(values: tuple[float, ...]) -> NDArray[np.float64]:
    """The 36 numbers as 6x6.

    Raises:
        ManifestError: they are no covariance.
    """
    require_covariance("a calibrated covariance", values)
    return np.reshape(np.array(values, dtype=np.float64), (6, 6))


def network_calibration_of(section: Section) -> NetworkCalibration:
    """The section of a manifest.

    Raises:
        ManifestError: a value is missing or impossible; the caller names the file.
    """
    return section.build(
        NetworkCalibration,
        both=section.numbers("both", 36),
        color_only=section.optional_numbers("color_only", 36),
        depth_only=section.optional_numbers("depth_only", 36),
    )
