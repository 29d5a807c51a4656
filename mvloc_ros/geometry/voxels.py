# SPDX-License-Identifier: Apache-2.0
"""Points grouped by the cubes of a grid: integer keys, and sums over the points of each cube."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_BITS = 21
_HALF = 1 << (_BITS - 1)


def voxel_keys(points: Array, size: float) -> NDArray[np.int64]:
    """One integer `[N]` a point `[N, 3]`: the cube of the edge `size` (metres) that it lies in.

    Raises:
        ValueError: a point lies more than 2^20 cubes from the origin, where keys would wrap around.
    """
    cells = np.floor(points / size)
    if len(cells) and not np.abs(cells).max() < _HALF:
        raise ValueError(
            f"points reach {np.abs(points).max():.0f} m from the grid's origin, too far for cubes of {size} m"
        )
    shifted = cells.astype(np.int64) + _HALF
    return (shifted[:, 0] << 2 * _BITS) | (shifted[:, 1] << _BITS) | shifted[:, 2]


def sum_by_key(keys: NDArray[np.int64], values: Array) -> tuple[NDArray[np.int64], Array]:
    """The distinct keys `[M]` in ascending order, and the sums `[M, K]` of the rows `[N, K]` that share one."""
    if not len(keys):
        return keys, values
    order = np.argsort(keys, kind="stable")
    keys, values = keys[order], values[order]
    first = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    return keys[first], np.add.reduceat(values, first, axis=0)
