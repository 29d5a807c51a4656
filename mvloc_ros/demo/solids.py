# SPDX-License-Identifier: Apache-2.0
"""The geometry of the synthetic room: painted solids (boxes in any orientation) and their rectangular faces.

Lengths are meters in the map frame (z up). A surface is seen from the side on which `right` points to the
viewer's right and `down` downwards, so that a picture painted on it is never mirrored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

# Face name -> outward normal, viewer's right, viewer's down; in the frame of the solid.
FACES: Mapping[str, tuple[tuple[int, int, int], tuple[int, int, int], tuple[int, int, int]]] = {
    "east": ((1, 0, 0), (0, 1, 0), (0, 0, -1)),
    "west": ((-1, 0, 0), (0, -1, 0), (0, 0, -1)),
    "north": ((0, 1, 0), (-1, 0, 0), (0, 0, -1)),
    "south": ((0, -1, 0), (1, 0, 0), (0, 0, -1)),
    "top": ((0, 0, 1), (1, 0, 0), (0, -1, 0)),
    "bottom": ((0, 0, -1), (1, 0, 0), (0, 1, 0)),
}


@dataclass(frozen=True)
class Paint:
    """Appearance of a face.

    texture: name in the texture set; tint: factor per channel (linear light).
    whole: the entire texture is stretched over the face (a picture); otherwise a piece of the face's size is cut.
    glows_with: name of the light that makes the face glow, as a lamp's shade or a window does.
    glass: transparent to the infrared light of the depth sensor, so there is no depth.
    """

    texture: str
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    whole: bool = False
    glows_with: str | None = None
    glass: bool = False


@dataclass(frozen=True)
class Surface:
    """A flat rectangle: centre, unit vectors to the viewer's right and down, half sizes (m)."""

    centre: FloatArray
    right: FloatArray
    down: FloatArray
    half_width: float
    half_height: float
    paint: Paint

    @property
    def normal(self) -> FloatArray:
        """Unit vector towards the viewer."""
        return np.cross(self.down, self.right)


@dataclass(frozen=True)
class Solid:
    """A box: centre (m), full size along its own axes (m), rotation (columns = its axes in the map frame)."""

    centre: FloatArray
    size: FloatArray
    rotation: FloatArray
    paint: Paint
    faces: Mapping[str, Paint] = field(default_factory=dict)
    hidden: frozenset[str] = frozenset()

    def surfaces(self) -> list[Surface]:
        """The visible faces, each with its own paint where `faces` names one."""
        found = []
        for name, (normal, right, down) in FACES.items():
            if name in self.hidden:
                continue
            n, r, d = (np.asarray(axis, dtype=np.float64) for axis in (normal, right, down))
            half_n, half_r, half_d = (float(np.abs(axis) @ self.size) / 2 for axis in (n, r, d))
            found.append(
                Surface(
                    centre=self.centre + self.rotation @ n * half_n,
                    right=self.rotation @ r,
                    down=self.rotation @ d,
                    half_width=half_r,
                    half_height=half_d,
                    paint=self.faces.get(name, self.paint),
                )
            )
        return found


def turned(yaw_deg: float = 0.0, tilt_deg: float = 0.0, lean_deg: float = 0.0) -> FloatArray:
    """Rotation matrix: lean about the solid's x axis, then tilt about y, then yaw about the map's z axis."""
    yaw, tilt, lean = np.deg2rad([yaw_deg, tilt_deg, lean_deg])
    about_z = np.array([[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]])
    about_y = np.array([[np.cos(tilt), 0, np.sin(tilt)], [0, 1, 0], [-np.sin(tilt), 0, np.cos(tilt)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(lean), -np.sin(lean)], [0, np.sin(lean), np.cos(lean)]])
    return np.asarray(about_z @ about_y @ about_x)
