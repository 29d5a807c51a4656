# SPDX-License-Identifier: Apache-2.0
"""Common mistakes in poses, undone: if the depth images agree with one of them undone, it was probably made."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry import quaternion, se3
from mvloc_ros.recordings.agreement.pose_tracks import ChangePoses

Array = NDArray[np.float64]

FACTORS = (1e-3, 1e-2, 0.1, 0.2, 0.3048, 0.5, 0.7, 0.85, 1.2, 1.4, 2.0, 1 / 0.3048, 5.0, 10.0, 100.0, 1e3)
"""What the positions are multiplied by: units, the depth units of TUM and 7-Scenes, feet, and a scale left free."""
SHIFTS_S = (0.033, 0.067, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.7, 1.0)
"""By how much poses are taken later and earlier, seconds."""

# The optical frame (z forward, x right, y down) in a body frame (x forward, y left, z up; REP-103), and in the camera
# frame of OpenGL and Blender (z backward, x right, y up).
T_BODY_OPTICAL = np.array([[0.0, 0.0, 1.0, 0.0], [-1.0, 0.0, 0.0, 0.0], [0.0, -1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]])
T_OPENGL_OPTICAL = np.diag([1.0, -1.0, -1.0, 1.0])


@dataclass(frozen=True)
class Explanation:
    """A mistake: what undoes it, as a clause and to T_map_camera `[N, 4, 4]` or to the time of the poses."""

    text: str
    change: ChangePoses | None = None
    shift_ns: int = 0


def explanations(units_per_metre: float, with_depth_units: bool = True) -> Iterator[Explanation]:
    """All mistakes that are tried; `units_per_metre` is of the folder's depth images, for the sentence."""
    yield Explanation("with the poses inverted (they are of the world in the camera)", se3.inverse)
    for factor in FACTORS:
        yield Explanation(_scale_text(factor, units_per_metre if with_depth_units else None), _scaled(factor))
    yield Explanation(
        "with the camera's axes z forward, x right, y down (the poses have x forward, y left, z up: an extrinsic to "
        "the optical frame is missing)",
        lambda T: T @ T_BODY_OPTICAL,
    )
    yield Explanation(
        "without a turn of the axes from body to optical frame (it was applied twice)",
        lambda T: T @ T_BODY_OPTICAL.T,
    )
    yield Explanation(
        "with the camera's y and z axes reversed (the poses have the axes of OpenGL: y up, z backward)",
        lambda T: T @ T_OPENGL_OPTICAL,
    )
    yield Explanation("with the quaternions read as w x y z (they are read as x y z w)", _reordered)
    yield Explanation("with the rotations inverted (the positions fit)", _turned_back)
    for seconds in SHIFTS_S:
        for sign, word in ((1, "later"), (-1, "earlier")):
            yield Explanation(
                f"with the poses of about {seconds:g} s {word} (a time offset between poses and images)",
                shift_ns=sign * round(1e9 * seconds),
            )


def _scale_text(factor: float, units: float | None) -> str:
    unit = {1e-3: ", as if they were in millimetres", 1e-2: ", as if they were in centimetres"}.get(factor, "")
    if factor == 0.3048:
        unit = ", as if they were in feet"
    depth = "" if units is None else f", or depth_units_per_metre {units * factor:.4g} instead of {units:.4g}"
    return f"with the positions times {factor:.3g}{unit}{depth} (the unit of the poses or of depth)"


def _scaled(factor: float) -> ChangePoses:
    def scale(T: Array) -> Array:
        T = T.copy()
        T[..., :3, 3] *= factor
        return T

    return scale


def _reordered(T: Array) -> Array:
    """Poses whose quaternion's four numbers were w, x, y, z."""
    known = np.isfinite(T[:, 0, 0])
    result = np.full_like(T, np.nan)
    position, wxyz = se3.to_parts(T[known])
    result[known] = se3.from_parts(position, quaternion.normalise(np.roll(wxyz, -1, axis=-1)))
    return result


def _turned_back(T: Array) -> Array:
    result = T.copy()
    result[:, :3, :3] = np.swapaxes(T[:, :3, :3], 1, 2)
    return result
