# SPDX-License-Identifier: Apache-2.0
"""A pose with its covariance and stamp: the one form in which poses go through localization."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry.covariance import through_extrinsic

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Pose:
    """Where a frame (a camera's, unless said otherwise) was in the map.

    Attributes:
        stamp_ns: when.
        T: float64 4x4, maps the frame's coordinates into the map.
        covariance: 6x6 in ROS order (x, y, z, rotation about x, y, z), metres and radians, map axes.
    """

    stamp_ns: int
    T: Array
    covariance: Array

    def of_child(self, T_frame_child: Array) -> Pose:
        """The pose of another frame that is rigidly fixed to this one; `T_frame_child` 4x4."""
        return Pose(self.stamp_ns, self.T @ T_frame_child, through_extrinsic(self.covariance, self.T, T_frame_child))
