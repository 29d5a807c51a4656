# SPDX-License-Identifier: Apache-2.0
"""The last refined pose that was believed, as the place to look for the camera in the next frame."""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry import se3
from mvloc_ros.localization.expectation import Expectation
from mvloc_ros.localization.gate import Fix
from mvloc_ros.localization.motion import Distance, MotionModel

Array = NDArray[np.float64]

# A pose whose camera may be this far from it by now (one standard deviation) is no place to look any more.
_LARGEST_SPREAD_M, _LARGEST_SPREAD_RAD = 2.0, 2.0
# Poses further apart in time do not tell how fast the camera moves now.
_SPEED_WITHIN_NS = 200_000_000


class Belief:
    """Not safe to share between threads, but for `forget`."""

    def __init__(self, motion: MotionModel) -> None:
        """Believe nothing yet; `motion` tells how far the camera may come."""
        self._motion = motion
        self._last: Fix | None = None
        self._before: Fix | None = None
        self._forgotten = threading.Event()

    def believe(self, stamp_ns: int, T_map_camera: Array, covariance: Array, T_odom_camera: Array | None) -> None:
        """A pose (4x4, and its covariance 6x6) was believed; `T_odom_camera` is odometry's at the same stamp."""
        self._before, self._last = self._last, Fix(stamp_ns, T_map_camera, covariance, T_odom_camera)

    def forget(self) -> None:
        """Believe nothing when next asked; any thread may call it, also while a frame is in work."""
        self._forgotten.set()

    def at(self, stamp_ns: int, T_odom_camera: Array | None) -> Expectation | None:
        """Where the camera is expected; None if nothing is believed or that is too long ago."""
        if self._forgotten.is_set():
            self._forgotten.clear()
            self._last = self._before = None
        last = self._last
        if last is None:
            return None
        moved = self._motion.between(last.stamp_ns, last.T_odom_camera, stamp_ns, T_odom_camera)
        if moved.position_spread > _LARGEST_SPREAD_M or moved.rotation_spread > _LARGEST_SPREAD_RAD:
            return None
        return Expectation(*moved.carry(last.T_map_camera, last.covariance))

    def moved_since(self, then_ns: int, now_ns: int, T_odom_camera: Array | None) -> Distance | None:
        """How far the camera came from one stamp to another; None where that is not known.

        By odometry, or else at the speed between the last two accepted poses, the last of them at `then_ns`.
        """
        last, before = self._last, self._before
        if last is None or last.stamp_ns != then_ns:
            return None
        moved = self._motion.between(then_ns, last.T_odom_camera, now_ns, T_odom_camera)
        if moved.by_odometry:
            came = Distance.of(moved.T_then_now)
            return Distance(came.metres + moved.position_spread, came.radians + moved.rotation_spread)
        if before is None or not 0 < abs(then_ns - before.stamp_ns) <= _SPEED_WITHIN_NS:
            return None
        came = Distance.of(se3.inverse(before.T_map_camera) @ last.T_map_camera)
        times = abs(now_ns - then_ns) / abs(then_ns - before.stamp_ns)
        return Distance(came.metres * times, came.radians * times)
