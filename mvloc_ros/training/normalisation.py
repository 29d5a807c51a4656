# SPDX-License-Identifier: Apache-2.0
"""Poses in metres <-> the six numbers that the network regresses.

Positions are centred and scaled per scene. Rotations are taken relative to the mean training
orientation before the logarithm: the logarithm jumps where the angle to its origin passes 180
degrees, and an optical frame in a z-up map lies there for ordinary headings, whereas relative to
the mean the jump is as far from the training data as it can be.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mvloc_ros.geometry import quaternion, se3


@dataclass(frozen=True)
class PoseNormalisation:
    """position_m = offset_m + scale_m * p; orientation (x, y, z, w) = reference * exp(r)."""

    offset_m: tuple[float, float, float]
    scale_m: float
    reference: tuple[float, float, float, float]

    @staticmethod
    def fit(poses: ArrayLike) -> PoseNormalisation:
        """From training poses `[N, 4, 4]`: mean, mean standard deviation per axis, mean rotation."""
        position, orientation = se3.to_parts(poses)
        scale = float(np.sqrt(np.mean(position.var(axis=0))))
        offset = position.mean(axis=0)
        # A camera that only turns has no spread: one metre then is as good as any unit.
        return PoseNormalisation(
            (float(offset[0]), float(offset[1]), float(offset[2])),
            scale if scale > 1e-6 else 1.0,
            tuple(float(value) for value in quaternion.mean(orientation)),  # type: ignore[arg-type]
        )

    def encode(self, poses: ArrayLike) -> NDArray[np.float32]:
        """Targets `[N, 6]` (normalised position, relative log quaternion) of poses `[N, 4, 4]`."""
        position, orientation = se3.to_parts(poses)
        relative = quaternion.multiply(quaternion.conjugate(self.reference), orientation)
        normalised = (position - np.array(self.offset_m)) / self.scale_m
        return np.concatenate([normalised, quaternion.log(relative)], axis=-1).astype(np.float32)

    def decode(self, values: ArrayLike) -> NDArray[np.float64]:
        """Poses `[N, 4, 4]` of the network's values `[N, 6]`."""
        values = np.asarray(values, dtype=np.float64)
        position = np.array(self.offset_m) + self.scale_m * values[..., :3]
        orientation = quaternion.multiply(self.reference, quaternion.exp(values[..., 3:]))
        return se3.from_parts(position, orientation)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON and checkpoints."""
        return {"offset_m": list(self.offset_m), "scale_m": self.scale_m, "reference": list(self.reference)}

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> PoseNormalisation:
        """Inverse of `to_dict`."""
        return PoseNormalisation(tuple(values["offset_m"]), float(values["scale_m"]), tuple(values["reference"]))
