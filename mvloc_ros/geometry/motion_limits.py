# SPDX-License-Identifier: Apache-2.0
"""Whether a series of poses can be the motion of one body: steps that are too fast, and two series mixed in one."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry import se3

Floats = NDArray[np.float64]

NOISE_M, NOISE_RAD = 0.02, math.radians(1.0)
"""Two poses that differ by no more are one pose with noise, however short the time between them."""
_ALTERNATING_M, _ALTERNATING_RAD = 0.05, math.radians(3.0)
_ALTERNATING_SHARE, _ALTERNATING_RATIO, _ALTERNATING_LEAST = 0.5, 0.25, 4


@dataclass(frozen=True)
class MotionLimits:
    """The fastest motion that is accepted between two poses, in m/s and rad/s."""

    max_speed: float = 5.0
    max_turn_rate: float = math.radians(360.0)

    def impossible(self, seconds: Floats, distance_m: Floats, angle_rad: Floats) -> NDArray[np.bool_]:
        """Which steps `[N]` exceed a limit by more than the noise of two poses."""
        too_far = distance_m > self.max_speed * seconds + NOISE_M
        return np.asarray(too_far | (angle_rad > self.max_turn_rate * seconds + NOISE_RAD))

    def text(self) -> str:
        """Both limits, for the user."""
        return f"{self.max_speed:.4g} m/s or {math.degrees(self.max_turn_rate):.4g} deg/s"


@dataclass(frozen=True, eq=False)
class Steps:
    """From each pose to the next, `[N - 1]`: seconds, metres, and radians."""

    seconds: Floats
    distance_m: Floats
    angle_rad: Floats

    @staticmethod
    def between(stamps_ns: NDArray[np.int64], poses: Floats) -> Steps:
        """Of poses `[N, 4, 4]` at stamps `[N]`."""
        seconds = np.diff(stamps_ns) / 1e9
        if len(poses) < 2:
            return Steps(seconds, np.zeros(0), np.zeros(0))
        before, after = poses[:-1], poses[1:]
        return Steps(seconds, se3.translation_error(before, after), se3.rotation_error(before, after))

    def impossible(self, limits: MotionLimits) -> NDArray[np.bool_]:
        """Which steps exceed the limits."""
        return limits.impossible(self.seconds, self.distance_m, self.angle_rad)


def differ(T_a: Floats, T_b: Floats) -> bool:
    """Whether two values of one transform differ by more than noise."""
    return bool(se3.translation_error(T_a, T_b) > NOISE_M or se3.rotation_error(T_a, T_b) > NOISE_RAD)


def difference_text(T_a: Floats, T_b: Floats) -> str:
    """How far apart two values of one transform are."""
    angle = math.degrees(float(se3.rotation_error(T_a, T_b)))
    return f"{float(se3.translation_error(T_a, T_b)):.3f} m and {angle:.1f} deg"


def alternation(stamps_ns: NDArray[np.int64], poses: Floats) -> tuple[float, float] | None:
    """Metres and radians between two series of poses that alternate in this one; None where there is one series.

    Each pose is compared with the interpolation of its two neighbours. Where two publishers take turns, these
    differences have opposite directions from pose to pose and one length; motion and noise have neither.
    """
    if len(poses) < _ALTERNATING_LEAST + 2:
        return None
    seconds = (stamps_ns - stamps_ns[0]) / 1e9
    alpha = (seconds[1:-1] - seconds[:-2]) / (seconds[2:] - seconds[:-2])
    between = se3.interpolate(poses[:-2], poses[2:], alpha)
    shift = poses[1:-1, :3, 3] - between[:, :3, 3]
    rotation = np.swapaxes(between[:, :3, :3], -1, -2) @ poses[1:-1, :3, :3]
    turn = se3.rotation_vector(rotation)
    if not (_alternates(shift, _ALTERNATING_M) or _alternates(turn, _ALTERNATING_RAD)):
        return None
    return float(np.median(np.linalg.norm(shift, axis=1))), float(np.median(np.linalg.norm(turn, axis=1)))


def _alternates(offsets: Floats, least: float) -> bool:
    """Whether most offsets `[N, 3]` are large and the opposite of the one before."""
    length = np.linalg.norm(offsets, axis=1)
    opposite = np.linalg.norm(offsets[1:] + offsets[:-1], axis=1) < _ALTERNATING_RATIO * (length[1:] + length[:-1])
    return bool(np.mean(opposite & (length[1:] > least) & (length[:-1] > least)) >= _ALTERNATING_SHARE)
