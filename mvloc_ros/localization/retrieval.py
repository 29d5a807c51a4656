# SPDX-License-Identifier: Apache-2.0
"""Image retrieval: the keyframes that look most like a frame, as poses to start registration from.

Nothing is learned from it but where to start: a retrieved pose is registered and verified like any other.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.localization.descriptors import Descriptor
from mvloc_ros.localization.keyframes import Keyframes

Array = NDArray[np.float64]

DISTINCT_M, DISTINCT_RAD = 0.4, np.radians(20.0)
"""Of two poses within both, registration ends at the same one, so that the second is no other start."""
# Logarithms of depths that differ by more than this are of different surfaces, however much.
_MOST_DIFFERENCE = 0.5
# Of two depth maps that have fewer cells than this in common, the distance says nothing.
_LEAST_COMMON = 0.2
_SOME = 32


class Retrieval:
    """Finds keyframes by their descriptors. Not to be used by two threads at once."""

    def __init__(self, keyframes: Keyframes) -> None:
        """Take the keyframes of one model."""
        self._poses = keyframes.poses()
        self._color = np.ascontiguousarray(keyframes.color, dtype=np.float32)
        self._depth = np.ascontiguousarray(keyframes.depth, dtype=np.float32)
        self._squares = np.einsum("nd,nd->n", self._color, self._color)
        self._has_color, self._has_depth = keyframes.present[:, 0] > 0, keyframes.present[:, 1] > 0
        self._units = self._typical()

    def nearest(self, seen: Descriptor, count: int, without: NDArray[np.bool_] | None = None) -> list[Array]:
        """The poses (4x4) of the keyframes most like a frame, the most similar first, all distinct.

        Args:
            seen: the frame's descriptor.
            count: how many, at most.
            without: `[N]`: keyframes that are left out; None: none is.
        """
        distances = self.distances(seen)
        left, found = np.isfinite(distances), list[Array]()
        if without is not None:
            left &= ~without
        while len(found) < count and left.any():
            best = self._poses[int(np.argmin(np.where(left, distances, np.inf)))]
            found.append(best)
            left &= ~near(self._poses, best, DISTINCT_M, DISTINCT_RAD)
        return found

    def most_similar(self, seen: Descriptor, count: int, without: NDArray[np.bool_] | None = None) -> list[int]:
        """The numbers of the keyframes most like a frame, however near to each other; arguments as of `nearest`."""
        distances = self.distances(seen)
        if without is not None:
            distances[without] = np.inf
        order = np.argsort(distances, kind="stable")[:count]
        return [int(i) for i in order if np.isfinite(distances[i])]

    def distances(self, seen: Descriptor) -> NDArray[np.float32]:
        """`[N]`: of the parts that both frames have, the mean square in units of what two keyframes differ by.

        Infinite for keyframes that have no part in common with the frame.
        """
        parts = [part / unit for part, unit in zip(self._parts(seen), self._units, strict=True)]
        known = np.isfinite(parts)
        count = known.sum(axis=0)
        total = np.square(np.where(known, parts, 0.0)).sum(axis=0)
        return np.where(count > 0, total / np.maximum(count, 1), np.inf).astype(np.float32)

    def _parts(self, seen: Descriptor) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Distances `[N]` of color and of depth; NaN where there is none."""
        color = depth = np.full(len(self._poses), np.nan, np.float32)
        if seen.color is not None:
            squares = self._squares - 2.0 * (self._color @ seen.color) + float(seen.color @ seen.color)
            color = np.where(self._has_color, np.sqrt(np.maximum(squares, 0.0)), np.nan).astype(np.float32)
        if seen.depth is not None:
            differences = np.minimum(np.abs(self._depth - seen.depth), np.float32(_MOST_DIFFERENCE))
            common = ~np.isnan(differences)
            count = common.sum(axis=1)
            mean = np.where(common, differences, 0.0).sum(axis=1) / np.maximum(count, 1)
            enough = self._has_depth & (count >= _LEAST_COMMON * len(seen.depth))
            depth = np.where(enough, mean, np.nan).astype(np.float32)
        return color, depth

    def _typical(self) -> tuple[float, float]:
        """What the parts of two keyframes differ by: medians of some of them to all; 1 where there are none."""
        count = len(self._poses)
        some = np.unique(np.linspace(0, count - 1, min(count, _SOME)).round().astype(int))
        found: tuple[list[NDArray[np.float32]], list[NDArray[np.float32]]] = ([], [])
        for i in some:
            color = self._color[i] if self._has_color[i] else None
            depth = self._depth[i] if self._has_depth[i] else None
            for values, part in zip(found, self._parts(Descriptor(color, depth)), strict=True):
                values.append(np.delete(part, i))
        medians = []
        for values in found:
            known = np.concatenate(values)
            known = known[np.isfinite(known)]
            median = float(np.median(known)) if len(known) else 0.0
            medians.append(median if median > 0.0 else 1.0)
        return medians[0], medians[1]


def near(poses: Array, T: Array, metres: float, radians: float) -> NDArray[np.bool_]:
    """`[N]`: which of poses `[N, 4, 4]` lie within both limits of a pose (4x4)."""
    distance = np.linalg.norm(poses[:, :3, 3] - T[:3, 3], axis=1)
    # trace(R_a^T R_b) = 1 + 2 cos(angle)
    cosine = 0.5 * (np.einsum("nij,ij->n", poses[:, :3, :3], T[:3, :3]) - 1.0)
    return np.asarray((distance <= metres) & (cosine >= np.cos(radians)))
