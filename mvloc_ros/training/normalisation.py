# SPDX-License-Identifier: Apache-2.0
"""Poses in meters <-> the six numbers that the network regresses.

Positions are centered and scaled per scene. Rotations are relative to the mean training orientation: the logarithm is
discontinuous at 180 degrees from its origin, where an optical frame in a z-up map is for ordinary headings; relative to
the mean, the discontinuity is as far from the training data as possible.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mvloc_ros.geometry import quaternion, se3

_LARGEST = 1e9  # meters; the equator has 4e7. NaN compares false
_UNIT = 1e-3


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
        # A camera that only rotates has no spread: the unit is one meter then.
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

    def mean_pose(self, count: int) -> NDArray[np.float64]:
        """The mean training pose `count` times, `[count, 4, 4]`: the origin of the encoding."""
        return self.decode(np.zeros((count, 6)))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON and checkpoints."""
        return {"offset_m": list(self.offset_m), "scale_m": self.scale_m, "reference": list(self.reference)}

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> PoseNormalisation:
        """Inverse of `to_dict`; ValueError if the values are invalid."""
        offset, reference = _numbers(values, "offset_m", 3), _numbers(values, "reference", 4)
        (scale,) = _numbers({"scale_m": [values.get("scale_m")]}, "scale_m", 1)
        if scale <= 0.0 or abs(float(np.linalg.norm(reference)) - 1.0) > _UNIT:
            raise ValueError(
                "its normalisation has a scale_m that is not positive, or a reference that is not a unit quaternion"
            )
        return PoseNormalisation(
            (offset[0], offset[1], offset[2]), scale, (reference[0], reference[1], reference[2], reference[3])
        )


def _numbers(values: Mapping[str, Any], name: str, count: int) -> list[float]:
    found = values.get(name)
    if not isinstance(found, (list, tuple)) or len(found) != count:
        raise ValueError(f"its normalisation has no {name} of {count} numbers")
    if any(isinstance(value, bool) or not isinstance(value, (int, float)) for value in found):
        raise ValueError(f"its normalisation has no {name} of {count} numbers")
    numbers = [float(value) for value in found if abs(value) < _LARGEST]
    if len(numbers) != count:
        raise ValueError(f"its normalisation has a {name} that is not finite")
    return numbers
