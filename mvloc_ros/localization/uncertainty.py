# SPDX-License-Identifier: Apache-2.0
"""The covariances of poses: what validation frames taught about the errors of network and refinement."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry.covariance import at_least
from mvloc_ros.localization.motion import Distance
from mvloc_ros.model.calibration_spec import NetworkCalibration, RefinedCalibration, covariance_matrix
from mvloc_ros.model.manifest import Manifest

Array = NDArray[np.float64]

SINGLE_MODALITY_FACTOR = 9.0
"""By this the variances grow with one modality where the bundle has no measured values: three standard deviations.

Measured ratios differ widely: of three networks (a room with a Kinect, a desk, the synthetic room), two modalities and
six axes, 34 of 36 were below 11, most between 1 and 4, and two were 35 and 109. So measure: `mvloc export` does.
"""


class ResidualCovariance:
    """6x6 covariances in ROS order (x, y, z, rotation about x, y, z; map axes), by the modalities used."""

    def __init__(self, manifest: Manifest) -> None:
        """Take the calibrated covariances, or the variances that were measured at export.

        With one modality none is smaller than with both, in any direction: a smaller error of less information is
        chance, and a filter must not be led to prefer it.
        """
        self._both, color_only, depth_only = _stated(manifest)
        self._partial = SINGLE_MODALITY_FACTOR * self._both
        self._has_further = bool(manifest.sensors)
        self._color_only, self._depth_only = (
            self._partial if measured is None else at_least(measured, self._both)
            for measured in (color_only, depth_only)
        )

    def of(self, color_used: bool, depth_used: bool, *, further_used: bool = True) -> Array:
        """The covariance of a pose from these modalities, 6x6; not to be written to.

        `further_used`: whether all further sensors of the model took part.
        """
        if color_used and depth_used and further_used:
            return self._both
        if self._has_further:
            return self._partial
        return self._color_only if color_used else self._depth_only

    def remark(self, color_used: bool, depth_used: bool, *, further_used: bool) -> str:
        """What is to be said of `of` after the modalities that are missing, since nothing measured it; else empty."""
        if not self._has_further or (color_used and depth_used and further_used):
            return ""
        return f", for which no covariance was measured ({SINGLE_MODALITY_FACTOR:g} times that with all is given)"


def uncalibrated(manifest: Manifest, *, refined: bool) -> str:
    """Why the covariance of the model's poses is not one that errors were measured for, in words; empty if it is."""
    spec = manifest.scene_map
    if refined and spec is not None and spec.calibration is None:
        return "the covariances of refined poses are not calibrated and too small (run `mvloc calibrate`)"
    if manifest.calibration is None and not manifest.training.get("validation_frames"):
        return (
            "no frames were held out of the training to measure the covariance on (train with a --validation-fraction "
            "above 0, export, and run `mvloc calibrate`)"
        )
    return ""


def after(covariance: Array, moved: Distance) -> Array:
    """The covariance of a pose, 6x6, that the camera may have left by so much since."""
    return covariance + np.diag([moved.metres**2] * 3 + [moved.radians**2] * 3)


def with_floor(registration: Array, calibration: RefinedCalibration | None) -> Array:
    """The covariance of a refined pose, 6x6: what its registration says, and the errors that all frames share."""
    if calibration is None:
        return registration
    return registration + np.diag(np.array([calibration.floor_m] * 3 + [calibration.floor_rad] * 3) ** 2)


def _stated(manifest: Manifest) -> tuple[Array, Array | None, Array | None]:
    """With both modalities, with colour alone, with depth alone."""
    calibration = manifest.calibration
    if calibration is not None:
        return matrices(calibration)
    single = (manifest.residual_variance_color_only, manifest.residual_variance_depth_only)
    color, depth = (None if variance is None else np.diag(np.array(variance)) for variance in single)
    return np.diag(np.array(manifest.residual_variance)), color, depth


def matrices(calibration: NetworkCalibration) -> tuple[Array, Array | None, Array | None]:
    """Both modalities, colour alone, depth alone; each 6x6."""
    single = (calibration.color_only, calibration.depth_only)
    color, depth = (None if values is None else covariance_matrix(values) for values in single)
    return covariance_matrix(calibration.both), color, depth
