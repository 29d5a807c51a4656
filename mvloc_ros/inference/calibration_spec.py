# SPDX-License-Identifier: Apache-2.0
"""What a manifest says of covariances that `mvloc calibrate` set: of the network's poses, and of refined ones.

Matrices are 6x6 row by row, in ROS order (x, y, z, rotation about x, y, z), metres and radians, map axes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


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
        for values in (self.both, self.color_only, self.depth_only):
            if values is not None:
                covariance_matrix(values)


@dataclass(frozen=True)
class RefinedCalibration:
    """How much less a registration knows than `mvloc map` took it to know, and what all frames err alike.

    C = (information / scale + network^-1)^-1 + floor.

    Attributes:
        scale: by which the information of a registration is too large yet, after the map's `inflation`.
        floor_m, floor_rad: standard deviations per axis that no frame falls below: errors of the map, of the poses it
            was made from, and of the camera's calibration, which all points of a frame share.
        record: what it was set on, and NEES before and after.
    """

    scale: float
    floor_m: float
    floor_rad: float
    record: Mapping[str, Any]

    def __post_init__(self) -> None:
        numbers = (self.scale, self.floor_m, self.floor_rad)
        if not (np.all(np.isfinite(numbers)) and self.scale > 0 and min(self.floor_m, self.floor_rad) >= 0):
            raise ValueError("the covariance of refined poses needs a positive scale and floors of at least 0")


def covariance_matrix(values: tuple[float, ...]) -> NDArray[np.float64]:
    """The 36 numbers as 6x6.

    Raises:
        ValueError: they are no covariance.
    """
    matrix = np.array(values, dtype=np.float64)
    if matrix.shape != (36,) or not np.all(np.isfinite(matrix)):
        raise ValueError("a calibrated covariance needs 36 finite numbers")
    matrix = matrix.reshape(6, 6)
    if not np.allclose(matrix, matrix.T, rtol=1e-6) or np.linalg.eigvalsh(matrix)[0] <= 0:
        raise ValueError("a calibrated covariance must be symmetric and positive definite")
    return matrix


def network_calibration_from_json(values: Mapping[str, Any] | None) -> NetworkCalibration | None:
    """The section of a manifest, or None where there is none.

    Raises:
        KeyError, TypeError, ValueError: a value is missing or impossible; the caller names the file.
    """
    if values is None:
        return None

    def numbers(name: str) -> tuple[float, ...] | None:
        return None if values[name] is None else tuple(float(value) for value in values[name])

    both = numbers("both")
    if both is None:
        raise ValueError("calibration.both is missing")
    return NetworkCalibration(both, numbers("color_only"), numbers("depth_only"), dict(values["record"]))


def refined_calibration_from_json(values: Mapping[str, Any] | None) -> RefinedCalibration | None:
    """The section of a scene map in a manifest, or None where there is none.

    Raises:
        KeyError, TypeError, ValueError: a value is missing or impossible; the caller names the file.
    """
    if values is None:
        return None
    return RefinedCalibration(
        float(values["scale"]), float(values["floor_m"]), float(values["floor_rad"]), dict(values["record"])
    )
