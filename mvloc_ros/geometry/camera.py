# SPDX-License-Identifier: Apache-2.0
"""Pinhole intrinsics, in pixels, with the centre of the first pixel at (0, 0)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.limits import MOST_PIXELS


@dataclass(frozen=True)
class View:
    """A rectangle of an image in shares of its width and height, 0 at the left and upper edge; it may reach beyond."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def covered(self) -> float:
        """Share of the rectangle's area that lies inside of the image."""
        inside = max(0.0, min(self.right, 1.0) - max(self.left, 0.0)) * max(
            0.0, min(self.bottom, 1.0) - max(self.top, 0.0)
        )
        return inside / ((self.right - self.left) * (self.bottom - self.top))


@dataclass(frozen=True)
class PinholeCamera:
    """An undistorted camera: image size and intrinsics in pixels."""

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float

    def scaled_to(self, width: int, height: int) -> PinholeCamera:
        """The same camera after its image was resized to `width` x `height`.

        Resizing maps pixel areas, not pixel centres: the centre of the first pixel, (0, 0), is half a
        pixel inside the image's corner, hence the shift by one half before and after scaling.
        """
        sx, sy = width / self.width, height / self.height
        return PinholeCamera(
            width,
            height,
            self.fx * sx,
            self.fy * sy,
            (self.cx + 0.5) * sx - 0.5,
            (self.cy + 0.5) * sy - 0.5,
        )

    def view_of(self, other: PinholeCamera) -> View:
        """The part of this camera's image that `other` would show from the same place in the same direction."""

        def shares(length: int, f: float, c: float, length_o: int, f_o: float, c_o: float) -> tuple[float, float]:
            # The other's edges lie half a pixel outside of its outer pixels' centres.
            first, last = ((edge - c_o) * f / f_o + c for edge in (-0.5, length_o - 0.5))
            return (first + 0.5) / length, (last + 0.5) / length

        left, right = shares(self.width, self.fx, self.cx, other.width, other.fx, other.cx)
        top, bottom = shares(self.height, self.fy, self.cy, other.height, other.fy, other.cy)
        return View(left, top, right, bottom)

    def matrix(self) -> NDArray[np.float64]:
        """The 3x3 matrix K that maps camera coordinates to homogeneous pixels."""
        return np.array([[self.fx, 0.0, self.cx], [0.0, self.fy, self.cy], [0.0, 0.0, 1.0]])

    def to_dict(self) -> dict[str, float]:
        """The six values by name, for JSON."""
        return asdict(self)

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> PinholeCamera:
        """Build from JSON values.

        Raises:
            ValueError: a value is missing, not a finite number, not positive where it must be, or too large.
        """
        try:
            camera = PinholeCamera(
                _whole(values["width"]),
                _whole(values["height"]),
                float(values["fx"]),
                float(values["fy"]),
                float(values["cx"]),
                float(values["cy"]),
            )
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"A camera needs width, height, fx, fy, cx, cy as numbers: {error}.") from error
        if not np.isfinite([camera.fx, camera.fy, camera.cx, camera.cy]).all():
            raise ValueError(f"A camera's intrinsics must be finite: {camera.to_dict()}.")
        if min(camera.width, camera.height, camera.fx, camera.fy) <= 0:
            raise ValueError(f"A camera's size and focal lengths must be positive: {camera.to_dict()}.")
        if camera.width * camera.height > MOST_PIXELS:
            raise ValueError(f"A camera has at most {MOST_PIXELS} pixels, not {camera.width}x{camera.height}.")
        return camera


def _whole(value: Any) -> int:
    """A whole number of pixels; fractions and truth values are refused."""
    number = int(value)
    if isinstance(value, bool) or (isinstance(value, float) and value != number):
        raise ValueError(f"{value!r} is not a whole number of pixels")
    return number
