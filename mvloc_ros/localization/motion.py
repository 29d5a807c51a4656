# SPDX-License-Identifier: Apache-2.0
"""Where a camera is expected that was seen somewhere a while ago: moved by odometry, or about where it was."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry import quaternion, se3
from mvloc_ros.geometry.covariance import through_extrinsic
from mvloc_ros.localization.pose import Pose

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Growth:
    """How the standard deviations of odometry's motion grow from one pose to another.

    Position: `per_metre * distance + metres_per_second * time`, in m.
    Rotation: `per_radian * angle + radians_per_second * time`, in rad.
    """

    per_metre: float
    per_radian: float
    metres_per_second: float
    radians_per_second: float


@dataclass(frozen=True)
class Distance:
    """How far a camera came: `metres`, and turned by `radians`."""

    metres: float
    radians: float

    @staticmethod
    def of(T_then_now: Array) -> Distance:
        """Of a motion, 4x4."""
        angle = np.arccos(np.clip(0.5 * (np.trace(T_then_now[:3, :3]) - 1.0), -1.0, 1.0))
        return Distance(float(np.linalg.norm(T_then_now[:3, 3])), float(angle))


@dataclass(frozen=True)
class Moved:
    """What happened between two stamps.

    Attributes:
        T_then_now: float64 4x4, the camera's motion by odometry; the identity without it.
        position_spread, rotation_spread: standard deviations of that, in m and rad.
        by_odometry: whether odometry told it.
    """

    T_then_now: Array
    position_spread: float
    rotation_spread: float
    by_odometry: bool

    def carry(self, then: Pose, now_ns: int) -> Pose:
        """The camera's pose now, of that then."""
        carried = through_extrinsic(then.covariance, then.T, self.T_then_now)
        carried += np.diag([self.position_spread**2] * 3 + [self.rotation_spread**2] * 3)
        return Pose(now_ns, then.T @ self.T_then_now, carried)


@dataclass(frozen=True)
class MotionModel:
    """How far a camera may have come. The defaults are those of the node's parameters, too.

    Attributes:
        odometry: growth of the spread with odometry.
        max_speed, max_turn_rate: growth without it, m/s and rad/s: the camera is expected where it was,
            with standard deviations of these times the time.
    """

    odometry: Growth = Growth(0.05, 0.05, 0.02, 0.01)
    max_speed: float = 1.0
    max_turn_rate: float = np.pi / 3.0

    def between(
        self, then_ns: int, T_odom_camera_then: Array | None, now_ns: int, T_odom_camera_now: Array | None
    ) -> Moved:
        """The motion between two stamps, either way in time; the transforms are odometry's, None without it."""
        seconds = 1e-9 * abs(now_ns - then_ns)
        if T_odom_camera_then is None or T_odom_camera_now is None:
            return Moved(np.eye(4), self.max_speed * seconds, self.max_turn_rate * seconds, False)
        motion = se3.inverse(T_odom_camera_then) @ T_odom_camera_now
        came, growth = Distance.of(motion), self.odometry
        return Moved(
            motion,
            growth.per_metre * came.metres + growth.metres_per_second * seconds,
            growth.per_radian * came.radians + growth.radians_per_second * seconds,
            True,
        )


def moved(T: Array, delta: Array) -> Array:
    """A pose (4x4) with an error `[6]` added: position in metres, rotation vector about the map's axes."""
    result = np.array(T, dtype=np.float64)
    result[:3, 3] += delta[:3]
    result[:3, :3] = quaternion.to_matrix(quaternion.exp(0.5 * np.asarray(delta[3:]))) @ result[:3, :3]
    return result
