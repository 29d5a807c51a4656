# SPDX-License-Identifier: Apache-2.0
"""How far single points are from the scene map's surfaces: what people are shown of a pose."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from mvloc_ros.localization.local_map import LocalMap

Array = NDArray[np.float64]

# Within so many resolutions of a map point its surface goes on; beyond, there is only the distance to the point.
_NEAR_RESOLUTIONS = 4.0
# A search holds Python's lock: after so many points (half a millisecond) other threads get it, if only for a moment.
_PORTION, _PAUSE_S = 400, 1e-4


def surface_distances(points: Array, target: LocalMap, resolution_m: float) -> Array:
    """Distance `[N]` in metres of points `[N, 3]` (map frame) from the map, never negative.

    Along the normal of the nearest map point where that is within four resolutions of the map, else to that point.
    Made in portions, so that a thread that localizes meanwhile does not wait for all of them.
    """
    result = np.empty(len(points))
    for begin in range(0, len(points), _PORTION):
        if begin:
            time.sleep(_PAUSE_S)
        part = np.ascontiguousarray(points[begin : begin + _PORTION])
        nearest, squared = target.fine.nearest(part, 1)
        apart = np.sqrt(squared)
        along = np.abs(np.einsum("ni,ni->n", part - target.fine.points[nearest], target.fine.normals[nearest]))
        result[begin : begin + _PORTION] = np.where(apart < _NEAR_RESOLUTIONS * resolution_m, along, apart)
    return result
