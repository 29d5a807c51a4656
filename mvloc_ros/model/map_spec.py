# SPDX-License-Identifier: Apache-2.0
"""The scene map in a manifest: file, resolution, cameras, and when a pose is accepted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.limits import (
    MAP_RESOLUTION_M,
    MOST_MAP_INFLATION,
    MOST_MAP_POINTS,
    MOST_MAP_TILE_M,
    MOST_WEIGHT,
)
from mvloc_ros.model.calibration_spec import RefinedCalibration
from mvloc_ros.model.manifest_checks import (
    ManifestError,
    Section,
    require_depth_range,
    require_extrinsic,
    require_file_name,
    require_range,
    require_sha256,
)


@dataclass(frozen=True)
class AcceptanceSpec:
    """When a refined pose is accepted: score = 1 / (1 + exp(-(bias + weights . evidence))) >= threshold.

    Attributes:
        weights: evidence's name -> weight, none negative; the evidence itself lies in [0, 1].
        typical: evidence's name -> its median on right poses; used to explain a rejection.
        threshold: smallest score that is accepted.
        false_accept_rate: the share of wrong poses that the threshold was set to accept.
        summary: what it was set on, and the shares measured there.
        threshold_by_odometry: the smallest score of a pose that follows from the one accepted last by odometry, which
            speaks for it besides; None: the same.
    """

    bias: float
    weights: Mapping[str, float]
    typical: Mapping[str, float]
    threshold: float
    false_accept_rate: float
    summary: Mapping[str, Any]
    threshold_by_odometry: float | None = None

    def __post_init__(self) -> None:
        if not self.weights or set(self.weights) != set(self.typical):
            raise ManifestError("scene_map.acceptance needs weights and typical values of the same names")
        require_range("scene_map.acceptance.bias", self.bias, (-MOST_WEIGHT, MOST_WEIGHT))
        for name, value in self.weights.items():
            require_range(f"scene_map.acceptance.weights.{name}", value, (0.0, MOST_WEIGHT))
        for name, value in self.typical.items():
            require_range(f"scene_map.acceptance.typical.{name}", value, (0.0, 1.0 + 1e-6))  # but for rounding
        for threshold in (self.threshold, self.threshold_by_odometry):
            if threshold is not None and not 0.0 < threshold < 1.0:
                raise ManifestError(f"scene_map.acceptance.threshold must be between 0 and 1, not {threshold:g}")
        require_range("scene_map.acceptance.false_accept_rate", self.false_accept_rate, (0.0, 1.0))


@dataclass(frozen=True)
class SceneMapSpec:
    """The scene map of a bundle. Lengths in metres, coordinates in the manifest's map frame.

    Attributes:
        file: name in the bundle's folder.
        sha256: of that file, in hexadecimal.
        resolution_m: edge of the cubes of which each holds one point at most.
        tile_m: edge of the tiles in which the points are stored.
        points: how many there are.
        depth_min_m, depth_max_m: range of the measurements that were fused; what lies outside is not registered.
        T_color_depth: 4x4 row by row, maps coordinates of the depth camera whose images are registered to the map
            into the colour camera; the identity where depth images come registered, and where it is not known.
        inflation: factor by which the information of a registration is too large, because neighbouring points have
            correlated errors.
        acceptance: None where there were no trials to set it on.
        acceptance_followed: of poses that follow from one accepted shortly before; None: the same.
        acceptance_place: what tells the place of a frame from others, while no pose is accepted; depth and colour are
            taken to be of one moment. None: `acceptance`.
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
    acceptance_followed: AcceptanceSpec | None = None
    acceptance_place: AcceptanceSpec | None = None

    def __post_init__(self) -> None:
        require_range("scene_map.resolution_m", self.resolution_m, MAP_RESOLUTION_M, "m")
        require_range("scene_map.tile_m", self.tile_m, (self.resolution_m, MOST_MAP_TILE_M), "m")
        require_range("scene_map.points", self.points, (1, MOST_MAP_POINTS))
        require_depth_range("scene_map", self.depth_min_m, self.depth_max_m)
        require_extrinsic("scene_map.T_color_depth", self.T_color_depth)
        require_range("scene_map.inflation", self.inflation, (1.0, MOST_MAP_INFLATION))
        if self.file:  # empty until the file is made, as is its digest
            require_file_name("scene_map.file", self.file)
        if self.sha256:
            require_sha256("scene_map.sha256", self.sha256)

    @property
    def calibrated_inflation(self) -> float:
        """`inflation`, corrected by the calibration if there is one."""
        return self.inflation if self.calibration is None else self.inflation * self.calibration.scale

    def extrinsic(self) -> NDArray[np.float64]:
        """T_color_depth as 4x4."""
        return np.reshape(np.array(self.T_color_depth, dtype=np.float64), (4, 4))


def scene_map_of(section: Section) -> SceneMapSpec:
    """The section of a manifest.

    Raises:
        ManifestError: a value is missing or impossible; the caller names the file.
    """
    require_file_name(section.label("file"), section.text("file"))
    require_sha256(section.label("sha256"), section.text("sha256"))
    return section.build(
        SceneMapSpec,
        T_color_depth=section.numbers("T_color_depth", 16),
        acceptance=section.optional("acceptance", lambda found: found.build(AcceptanceSpec)),
        acceptance_followed=section.optional("acceptance_followed", lambda found: found.build(AcceptanceSpec)),
        acceptance_place=section.optional("acceptance_place", lambda found: found.build(AcceptanceSpec)),
        calibration=section.optional("calibration", lambda found: found.build(RefinedCalibration)),
    )
