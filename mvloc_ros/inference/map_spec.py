# SPDX-License-Identifier: Apache-2.0
"""What a manifest says of the bundle's scene map: file, frame, resolution, cameras, and when a pose is believed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry import se3
from mvloc_ros.inference.calibration_spec import RefinedCalibration, refined_calibration_from_json


@dataclass(frozen=True)
class AcceptanceSpec:
    """When a refined pose is believed: score = 1 / (1 + exp(-(bias + weights . evidence))) >= threshold.

    Attributes:
        weights: evidence's name -> weight, none negative; the evidence itself lies in [0, 1].
        typical: evidence's name -> its median on right poses; what a rejection is explained by.
        threshold: smallest score that is believed.
        false_accept_rate: the share of wrong poses that the threshold was set to let through.
        summary: what it was set on, and the shares measured there.
    """

    bias: float
    weights: Mapping[str, float]
    typical: Mapping[str, float]
    threshold: float
    false_accept_rate: float
    summary: Mapping[str, Any]

    def __post_init__(self) -> None:
        numbers = (self.bias, self.threshold, *self.weights.values(), *self.typical.values())
        if not self.weights or set(self.weights) != set(self.typical) or not np.all(np.isfinite(numbers)):
            raise ValueError("acceptance needs finite weights and typical values of the same names")
        if min(self.weights.values()) < 0 or not 0 < self.threshold < 1:
            raise ValueError("acceptance needs weights of at least 0 and a threshold between 0 and 1")


@dataclass(frozen=True)
class SceneMapSpec:
    """The scene map beside the network. Lengths in metres, coordinates in the manifest's map frame.

    Attributes:
        file: name in the bundle's folder.
        sha256: of that file, in hexadecimal.
        resolution_m: edge of the cubes of which each holds one point at most.
        tile_m: edge of the tiles in which the points are stored.
        points: how many there are.
        depth_min_m, depth_max_m: range of the measurements that were fused; what lies outside is not registered.
        T_color_depth: 4x4 row by row, maps coordinates of the depth camera whose images are registered to the map
            into the colour camera; the identity where depth images come registered, and where it is not known.
        inflation: by which the information of a registration is too large, because neighbouring points err alike.
        acceptance: None where nothing was there to set it on.
        calibration: of the covariances of refined poses (`mvloc calibrate`); None: the registration's alone.
    """

    file: str
    sha256: str
    resolution_m: float
    tile_m: float
    points: int
    depth_min_m: float
    depth_max_m: float
    T_color_depth: tuple[float, ...]
    inflation: float
    acceptance: AcceptanceSpec | None
    calibration: RefinedCalibration | None = None

    def __post_init__(self) -> None:
        if not (0 < self.resolution_m < self.tile_m and 0 <= self.depth_min_m < self.depth_max_m and self.points > 0):
            raise ValueError("scene_map needs 0 < resolution_m < tile_m, depth_min_m < depth_max_m, and points")
        if len(self.T_color_depth) != 16 or not se3.is_rigid(self.extrinsic()):
            raise ValueError("scene_map.T_color_depth must be the 16 numbers of a rigid transform")
        if "/" in self.file or self.file.startswith("."):
            raise ValueError(f"scene_map.file is {self.file!r}, no plain file name")
        if not self.inflation >= 1.0:
            raise ValueError(f"scene_map.inflation must be at least 1, not {self.inflation}")

    @property
    def calibrated_inflation(self) -> float:
        """`inflation`, corrected by the calibration if there is one."""
        return self.inflation if self.calibration is None else self.inflation * self.calibration.scale

    def extrinsic(self) -> NDArray[np.float64]:
        """T_color_depth as 4x4."""
        return np.reshape(np.array(self.T_color_depth, dtype=np.float64), (4, 4))


def scene_map_from_json(values: Mapping[str, Any] | None) -> SceneMapSpec | None:
    """The section of a manifest, or None where there is none.

    Raises:
        KeyError, TypeError, ValueError: a value is missing or impossible; the caller names the file.
    """
    if values is None:
        return None
    return SceneMapSpec(
        file=str(values["file"]),
        sha256=str(values["sha256"]),
        resolution_m=float(values["resolution_m"]),
        tile_m=float(values["tile_m"]),
        points=int(values["points"]),
        depth_min_m=float(values["depth_min_m"]),
        depth_max_m=float(values["depth_max_m"]),
        T_color_depth=tuple(float(value) for value in values["T_color_depth"]),
        inflation=float(values["inflation"]),
        acceptance=_acceptance_from_json(values["acceptance"]),
        calibration=refined_calibration_from_json(values.get("calibration")),
    )


def _acceptance_from_json(values: Mapping[str, Any] | None) -> AcceptanceSpec | None:
    if values is None:
        return None
    return AcceptanceSpec(
        bias=float(values["bias"]),
        weights={str(name): float(value) for name, value in values["weights"].items()},
        typical={str(name): float(value) for name, value in values["typical"].items()},
        threshold=float(values["threshold"]),
        false_accept_rate=float(values["false_accept_rate"]),
        summary=dict(values["summary"]),
    )
