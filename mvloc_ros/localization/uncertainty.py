# SPDX-License-Identifier: Apache-2.0
"""The covariance of the network's pose: what its validation frames taught about its errors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.inference.manifest import Manifest

SINGLE_MODALITY_FACTOR = 9.0
"""By this the variances grow with one modality where the bundle has no measured values: three standard deviations.

Measured ratios differ widely: of three networks (a room with a Kinect, a desk, the synthetic room), two modalities and
six axes, 34 of 36 were below 11, most between 1 and 4, and two were 35 and 109. So measure: `mvloc export` does.
"""


class ResidualCovariance:
    """Diagonal 6x6 covariances in ROS order (x, y, z, rotation about x, y, z; map axes), by the modalities used."""

    def __init__(self, manifest: Manifest) -> None:
        """Take the measured variances; with one modality none is smaller than with both."""
        both = np.array(manifest.residual_variance)
        self._both = np.diag(both)
        self._color_only = _single(both, manifest.residual_variance_color_only)
        self._depth_only = _single(both, manifest.residual_variance_depth_only)

    def of(self, color_used: bool, depth_used: bool) -> NDArray[np.float64]:
        """The covariance of a pose from these modalities, 6x6; not to be written to."""
        if color_used and depth_used:
            return self._both
        return self._color_only if color_used else self._depth_only


def _single(both: NDArray[np.float64], measured: tuple[float, ...] | None) -> NDArray[np.float64]:
    if measured is None:
        return np.diag(SINGLE_MODALITY_FACTOR * both)
    # A smaller error of less information is chance, and a filter must not be led to prefer it.
    return np.diag(np.maximum(both, measured))
