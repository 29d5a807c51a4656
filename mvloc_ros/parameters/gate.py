# SPDX-License-Identifier: Apache-2.0
"""The parameters of the gate, and its limits from them. The defaults are those of `GateLimits` and `MotionModel`."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from mvloc_ros.localization.gate import GateLimits
from mvloc_ros.localization.motion import MotionModel
from mvloc_ros.parameters.declaration import parameter

_LIMITS = GateLimits()
_MOTION = _LIMITS.motion


def _degrees(radians: float) -> float:
    """Without the last digits' rounding: 60.0, not 59.99999999999999."""
    return round(math.degrees(radians), 9)


@dataclass(frozen=True)
class GateParameters:
    """Which poses are accepted after the ones before."""

    gate: bool = parameter(
        _LIMITS.enabled, "accept only poses that fit the last ones; false: every pose that verification does not reject"
    )
    gate_max_jump: float = parameter(
        _LIMITS.max_jump_m,
        "largest distance of a pose from where the last one and odometry put it",
        unit="m",
        range=(0.0, 1e6),
    )
    gate_max_turn: float = parameter(
        _degrees(_LIMITS.max_jump_rad),
        "largest angle of a pose to where the last one and odometry put it",
        unit="degrees",
        range=(0.0, 180.0),
    )
    gate_max_mahalanobis: float = parameter(
        _LIMITS.max_mahalanobis,
        "the same as a Mahalanobis distance, by the covariances of both poses and of the motion between them",
        unit="standard deviations",
        range=(0.1, 1e6),
    )
    gate_confirmations: int = parameter(
        _LIMITS.confirmations, "poses that must agree before a jump is accepted", range=(1, 1000)
    )
    gate_initial_fixes: int = parameter(
        _LIMITS.initial_fixes, "poses that must agree before the first is accepted", range=(1, 1000)
    )
    gate_odometry_drift: float = parameter(
        _MOTION.odometry.per_metre,
        "standard deviation of odometry, as a share of the distance and of the angle",
        range=(0.0, 1.0),
    )
    gate_max_speed: float = parameter(
        _MOTION.max_speed,
        "without odometry: standard deviation of the camera's speed",
        unit="m/s",
        range=(0.0, 1000.0),
    )
    gate_max_turn_rate: float = parameter(
        _degrees(_MOTION.max_turn_rate),
        "without odometry: standard deviation of the camera's rate of turn",
        unit="degrees/s",
        range=(0.0, 3600.0),
    )
    lost_after: float = parameter(
        _LIMITS.lost_after_ns / 1e9,
        "time without an accepted pose after which the state is LOST",
        unit="s",
        range=(0.0, 3600.0),
    )
    publish_lost_pose: bool = parameter(
        False, "while LOST: publish the expected pose with variances of 9999, which filters ignore"
    )

    @property
    def gate_limits(self) -> GateLimits:
        """The gate's limits in SI units."""
        return GateLimits(
            enabled=self.gate,
            max_jump_m=self.gate_max_jump,
            max_jump_rad=math.radians(self.gate_max_turn),
            max_mahalanobis=self.gate_max_mahalanobis,
            confirmations=self.gate_confirmations,
            initial_fixes=self.gate_initial_fixes,
            lost_after_ns=round(1e9 * self.lost_after),
            motion=self.motion_model,
        )

    @property
    def motion_model(self) -> MotionModel:
        """Where the camera is expected after a pose that was accepted, in SI units."""
        drift = self.gate_odometry_drift
        return MotionModel(
            odometry=replace(_MOTION.odometry, per_metre=drift, per_radian=drift),
            max_speed=self.gate_max_speed,
            max_turn_rate=math.radians(self.gate_max_turn_rate),
        )
