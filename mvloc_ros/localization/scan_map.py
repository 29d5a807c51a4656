# SPDX-License-Identifier: Apache-2.0
"""The scene map in layers of height, searched for the places that a scan fits: correlative scan matching.

As Olson (Real-time correlative scan matching, ICRA 2009) does for laser scanners, every place of a grid and every
heading is scored by how near the occupied cells of the scan lie to those of the map, minus how many of these
the scan has looked through; first on a coarse grid, by Fourier transforms, then around the best places on a fine
one. Images are not compared, so neither the light nor where the training cameras stood matters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mvloc_ros.localization.level_scan import CELL_M, LAYERS_M, REACH_M, LevelScan
from mvloc_ros.localization.planar_motion import PlanarMotion
from mvloc_ros.localization.scene_map import SceneMap

Array = NDArray[np.float64]
Grid = NDArray[np.float32]

_COARSER = 2
_COARSE_HEADINGS = 36
_STEP_RAD = 2.0 * np.pi / _COARSE_HEADINGS
_FINE_TURNS_RAD = np.radians([-5.0, 0.0, 5.0])
_FINE_SHIFTS = np.array([(i, j) for i in range(_COARSER) for j in range(_COARSER)])
_COARSE_KEPT = 150
# Cells of a scan that are compared on the fine grid, occupied and free ones.
_FINE_CELLS = 400
_MARGIN = math.ceil(REACH_M / CELL_M) + 1
# How near to a surface of the map a point of the scan must lie to fit it, and what looking through one costs.
_NEAR_M, _SEEN_THROUGH = 0.2, 0.5
_LEAST_POINTS = 3
# Of a scan with fewer cells many places would do.
_LEAST_HITS = 12
# Cameras are looked for within this distance of where training cameras were.
_BESIDE_PATH_M = 2.0
# The floor, and what lies on it, is below this height above the lowest points.
_ABOVE_FLOOR_M = 0.15
_LOWEST_PERCENT = 2.0
_MOST_POINTS, _MOST_CELLS = 2_000_000, 1_000_000
_DISTINCT_M, _DISTINCT_RAD = 0.4, np.radians(20.0)


@dataclass(frozen=True, eq=False)
class ScanMap:
    """Layers of one map.

    Attributes:
        motion: how its camera moves.
        bottom_m: height above the camera from which on something stands on the floor.
        corner: x and y, in the plane's axes, where the grids begin, meters.
        fine: `[2 L, H, W]` of `CELL_M`, with a margin of `_MARGIN` cells: of each layer how near something is, in
            [0, 1], and then of each whether something is there.
        coarse: spectra of the same, `[2 L, ...]`, of a grid `_COARSER` times as coarse, without the margin.
        is_reachable: `[h, w]` of the coarse grid: whether a camera may be there.
        size: of the transforms.
    """

    motion: PlanarMotion
    bottom_m: float
    corner: Array
    fine: Grid
    coarse: NDArray[np.complex64]
    is_reachable: NDArray[np.bool_]
    size: tuple[int, int]

    @staticmethod
    def of(scene_map: SceneMap, trained: Array) -> ScanMap | None:
        """The layers of a map whose training cameras had the poses `[N, 4, 4]`.

        None if they did not move in a plane, or the map is too large to be searched as a whole.
        """
        motion = PlanarMotion.of(trained)
        if motion is None:
            return None
        points = motion.in_plane(scene_map.thinned(_MOST_POINTS).points)
        bottom_m = float(np.percentile(points[:, 2], _LOWEST_PERCENT)) + _ABOVE_FLOOR_M
        path = motion.in_plane(trained[:, :3, 3])[:, :2]
        corner = np.minimum(points[:, :2].min(axis=0), path.min(axis=0)) - CELL_M
        far = np.maximum(points[:, :2].max(axis=0), path.max(axis=0)) + CELL_M
        shape = tuple(_COARSER * math.ceil(side_m / (_COARSER * CELL_M)) for side_m in far - corner)
        if shape[0] * shape[1] > _MOST_CELLS:
            return None
        occupied = np.stack([_occupied(points, corner, shape, max(low, bottom_m), high) for low, high in LAYERS_M])
        near = np.stack([_nearness(layer) for layer in occupied])
        is_path = np.ones(shape, np.uint8)
        is_path[tuple(_cell_of(path, corner).T)] = 0
        beside = cv2.distanceTransform(is_path, cv2.DIST_L2, 5) * CELL_M <= _BESIDE_PATH_M
        reach = math.ceil(REACH_M / (_COARSER * CELL_M)) + 1
        size = cv2.getOptimalDFTSize(shape[0] // _COARSER + reach), cv2.getOptimalDFTSize(shape[1] // _COARSER + reach)
        coarse = np.concatenate([_blocks(near).max(axis=(2, 4)), _blocks(occupied).mean(axis=(2, 4))])
        return ScanMap(
            motion,
            bottom_m,
            corner,
            np.pad(np.concatenate([near, occupied]), ((0, 0), (_MARGIN, _MARGIN), (_MARGIN, _MARGIN))),
            np.fft.rfft2(coarse, size).astype(np.complex64),
            _blocks(beside[None])[0].max(axis=(1, 3)),
            size,
        )

    def find(self, scan: LevelScan, most: int) -> list[Array]:
        """Poses T_map_camera (4x4) that a scan fits, all distinct, the best first, at most `most`."""
        if scan.count < _LEAST_HITS:
            return []
        found = self._refined(scan, self._coarse_places(scan))
        chosen: list[Array] = []
        for place in found[np.argsort(-found[:, 0], kind="stable")][:, 1:]:
            if not any(_is_same(place, other) for other in chosen):
                chosen.append(place)
                if len(chosen) == most:
                    break
        return [self.motion.pose(*place) for place in chosen]

    def _coarse_places(self, scan: LevelScan) -> dict[int, NDArray[np.int64]]:
        """The best places of the coarse grid: for the number of a heading the cells `[K, 2]`."""
        edge, (height, width) = _COARSER * CELL_M, self.size
        cells, weights = _weighted(scan)
        rows, columns = self.is_reachable.shape
        scores = np.empty((_COARSE_HEADINGS, rows, columns), np.float32)
        for number in range(_COARSE_HEADINGS):
            turned = _rotation(number * _STEP_RAD).T
            masks = np.empty((len(cells), height, width), np.float32)
            for mask, places, weight in zip(masks, cells, weights, strict=True):
                at = np.rint(places @ turned / edge).astype(np.int64) % self.size  # what lies before the camera wraps
                mask[:] = weight * np.bincount(at[:, 0] * width + at[:, 1], minlength=height * width).reshape(
                    mask.shape
                )
            total = (np.conj(np.fft.rfft2(masks)) * self.coarse).sum(axis=0)
            scores[number] = np.fft.irfft2(total, self.size)[:rows, :columns]
        scores[:, ~self.is_reachable] = -np.inf
        kept = min(_COARSE_KEPT, _COARSE_HEADINGS * int(self.is_reachable.sum()))
        best = np.argpartition(scores.ravel(), -kept)[-kept:]
        numbers, row, column = np.unravel_index(best, scores.shape)
        return {int(one): np.stack([row, column], axis=1)[numbers == one] for one in np.unique(numbers)}

    def _refined(self, scan: LevelScan, coarse: dict[int, NDArray[np.int64]]) -> Array:
        """For each coarse place and each turn about it the best fine one: score, x, y and heading `[K, 4]`."""
        cells, weights = _weighted(_thinned(scan))
        width, found = self.fine.shape[2], []
        for number, places in coarse.items():
            fine = _COARSER * places[:, None, :] + _FINE_SHIFTS
            first = (fine + _MARGIN) @ np.array([width, 1])
            for turn in _FINE_TURNS_RAD:
                heading = number * _STEP_RAD + turn
                turned, scores = _rotation(heading).T, np.zeros(first.shape)
                for layer, points, weight in zip(self.fine, cells, weights, strict=True):
                    moved = np.rint(points @ turned / CELL_M).astype(np.int64) @ np.array([width, 1])
                    scores += weight * layer.ravel().take(first[..., None] + moved).sum(axis=2)
                best = scores.argmax(axis=1)
                rows = np.arange(len(places))
                at = self.corner + (fine[rows, best] + 0.5) * CELL_M
                found.append(np.column_stack([scores[rows, best], at, np.full(len(places), heading)]))
        return np.concatenate(found)


def _weighted(scan: LevelScan) -> tuple[list[Array], list[float]]:
    """The cells of all layers, occupied and then free ones, and what one of each counts."""
    hit, looked_through = 1.0 / scan.count, -_SEEN_THROUGH / max(1, sum(map(len, scan.free)))
    return [*scan.hits, *scan.free], [hit] * len(scan.hits) + [looked_through] * len(scan.free)


def _thinned(scan: LevelScan) -> LevelScan:
    """At most about `_FINE_CELLS` of the occupied and as many of the free cells, evenly."""

    def some(layers: tuple[Array, ...]) -> tuple[Array, ...]:
        every = max(1, sum(map(len, layers)) // _FINE_CELLS)
        return tuple(layer[::every] for layer in layers)

    return LevelScan(some(scan.hits), some(scan.free))


def _cell_of(points: Array, corner: Array) -> NDArray[np.int64]:
    return np.asarray(np.floor((points - corner) / CELL_M), dtype=np.int64)


def _occupied(points: Array, corner: Array, shape: tuple[int, ...], low: float, high: float) -> Grid:
    """The cells in which a layer of the map has something."""
    inside = (points[:, 2] >= low) & (points[:, 2] < high)
    counts = np.zeros(shape, np.int64)
    np.add.at(counts, tuple(_cell_of(points[inside, :2], corner).T), 1)
    return (counts >= _LEAST_POINTS).astype(np.float32)


def _nearness(occupied: Grid) -> Grid:
    if not occupied.any():
        return np.zeros_like(occupied)
    distance = cv2.distanceTransform((occupied < 0.5).astype(np.uint8), cv2.DIST_L2, 5) * CELL_M
    return np.exp(-0.5 * (distance / _NEAR_M) ** 2).astype(np.float32)


def _blocks(layers: NDArray[np.generic]) -> NDArray[np.generic]:
    """`[L, H, W]` as `[L, H / n, n, W / n, n]`."""
    count, height, width = layers.shape
    return layers.reshape(count, height // _COARSER, _COARSER, width // _COARSER, _COARSER)


def _rotation(heading: float) -> Array:
    c, s = math.cos(heading), math.sin(heading)
    return np.array([[c, -s], [s, c]])


def _is_same(a: Array, b: Array) -> bool:
    turn = abs((a[2] - b[2] + np.pi) % (2.0 * np.pi) - np.pi)
    return bool(np.hypot(*(a[:2] - b[:2])) <= _DISTINCT_M and turn <= _DISTINCT_RAD)
