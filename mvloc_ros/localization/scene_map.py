# SPDX-License-Identifier: Apache-2.0
"""The scene map as it lies in a bundle: points with normals and brightness, in tiles.

A file is NumPy's .npz (a zip of plain arrays; nothing is pickled) with the arrays

    version     int64  [1]     of this format; a file without it is of version 1
    tiles       int32  [M, 3]  index of each tile: it begins at index * tile_m, map frame
    first       int64  [M + 1] where a tile's points begin; the last entry is N
    offset      uint16 [N, 3]  position in the tile, in steps of tile_m / 65536
    normal      int8   [N, 3]  outward normal * 127: towards where the cameras were
    brightness  uint8  [N]     1 to 255; 0 is unknown
    correction  float32 [24, 32]  see `depth_points`
    sizes       float64 [2]    tile_m, resolution_m

Ten bytes a point before compression. Positions are exact to 0.03 mm in tiles of 4 m.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.errors import MvlocError
from mvloc_ros.file_reader import ReadError, read_file
from mvloc_ros.foreign_text import shown
from mvloc_ros.limits import (
    MAP_RESOLUTION_M,
    MOST_COORDINATE_M,
    MOST_DEPTH_CORRECTION,
    MOST_LOG_CHARACTERS,
    MOST_MAP_BYTES,
    MOST_MAP_POINTS,
    MOST_MAP_TILE_M,
    MOST_MAP_TILES,
)
from mvloc_ros.localization.depth_points import CORRECTION_SHAPE
from mvloc_ros.localization.map_archive import ArrayKind, MapArchive
from mvloc_ros.model.bundle import Bundle, unreadable
from mvloc_ros.model.map_spec import SceneMapSpec

Array = NDArray[np.float64]

VERSION = 1
_STEPS = 65536
_ARRAYS = {
    "tiles": ArrayKind(np.int32, 2, MOST_MAP_TILES),
    "first": ArrayKind(np.int64, 1, MOST_MAP_TILES + 1),
    "offset": ArrayKind(np.uint16, 2, MOST_MAP_POINTS),
    "normal": ArrayKind(np.int8, 2, MOST_MAP_POINTS),
    "brightness": ArrayKind(np.uint8, 1, MOST_MAP_POINTS),
    "correction": ArrayKind(np.float32, 2, CORRECTION_SHAPE[0]),
    "sizes": ArrayKind(np.float64, 1, 2),
}
# Rounding leaves unit normals between 126.1 and 127.9 long. Opposite sides of a sheet may cancel out in a few cubes.
_NORMAL_LENGTHS = 125.0, 129.0
_MOST_WITHOUT_NORMAL = 0.001


class SceneMapError(MvlocError):
    """A scene map is absent, damaged, or not the one that the bundle was made with."""


@dataclass(frozen=True, eq=False)
class MapPoints:
    """Points `[N, 3]` in metres in the map frame, unit normals `[N, 3]`, brightness uint8 `[N]` (0: unknown)."""

    points: Array
    normals: Array
    brightness: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class SceneMap:
    """A map in its stored form."""

    tiles: NDArray[np.int32]
    first: NDArray[np.int64]
    offset: NDArray[np.uint16]
    normal: NDArray[np.int8]
    brightness: NDArray[np.uint8]
    correction: NDArray[np.float32]
    tile_m: float
    resolution_m: float

    def __len__(self) -> int:
        return len(self.offset)

    @staticmethod
    def from_points(
        content: MapPoints, correction: NDArray[np.float32], tile_m: float, resolution_m: float
    ) -> SceneMap:
        """Sort points into tiles."""
        index = np.floor(content.points / tile_m).astype(np.int32)
        tiles, tile_of = np.unique(index, axis=0, return_inverse=True)
        tile_of = tile_of.reshape(-1)
        order = np.argsort(tile_of, kind="stable")
        inside = (content.points / tile_m - index)[order] * _STEPS
        return SceneMap(
            tiles=tiles,
            first=np.searchsorted(tile_of[order], np.arange(len(tiles) + 1)).astype(np.int64),
            offset=np.clip(inside, 0, _STEPS - 1).astype(np.uint16),
            normal=np.rint(127.0 * content.normals[order]).astype(np.int8),
            brightness=content.brightness[order],
            correction=correction.astype(np.float32),
            tile_m=tile_m,
            resolution_m=resolution_m,
        )

    def tile_at(self, position: Array) -> tuple[int, int, int]:
        """Index of the tile that a position `[3]` lies in."""
        x, y, z = (int(value) for value in np.floor(np.asarray(position) / self.tile_m))
        return x, y, z

    def tiles_near(self, tile: tuple[int, int, int], reach_m: float) -> tuple[int, ...]:
        """Which tiles have a part within `reach_m` of the given one."""
        gap = np.maximum(np.abs(self.tiles - np.array(tile)) - 1, 0) * self.tile_m
        return tuple(int(i) for i in np.flatnonzero(np.linalg.norm(gap, axis=1) <= reach_m))

    def content(self, tiles: Sequence[int], every: int = 1) -> MapPoints:
        """Each `every`-th point of some tiles, by their indices."""
        parts = [np.arange(self.first[i], self.first[i + 1], every) for i in tiles]
        chosen = np.concatenate(parts) if parts else np.zeros(0, np.int64)
        return self._content(chosen, np.repeat(np.array(tiles, dtype=np.intp), [len(part) for part in parts]))

    def _content(self, chosen: NDArray[np.int64], tile_of: NDArray[np.intp]) -> MapPoints:
        """Points by their indices, and the tile of each."""
        points = (self.tiles[tile_of] + (self.offset[chosen] + 0.5) / _STEPS) * self.tile_m
        normals = self.normal[chosen].astype(np.float64)
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
        return MapPoints(points.reshape(-1, 3), normals, self.brightness[chosen])

    def thinned(self, most: int) -> MapPoints:
        """At most `most` of the points, evenly over the stored order and so over the surfaces; always the same."""
        count = len(self)
        kept = min(count, max(0, most))
        chosen = np.arange(kept, dtype=np.int64) * count // max(1, kept)
        return self._content(chosen, np.searchsorted(self.first, chosen, side="right") - 1)

    def to_bytes(self) -> bytes:
        """The content of a map file."""
        stream = io.BytesIO()
        arrays = {name: getattr(self, name) for name in _ARRAYS if name != "sizes"}
        sizes = np.array([self.tile_m, self.resolution_m])
        np.savez_compressed(stream, version=np.array([VERSION], np.int64), sizes=sizes, **arrays)
        return stream.getvalue()

    @staticmethod
    def from_bytes(content: bytes) -> SceneMap:
        """The inverse of `to_bytes`.

        Raises:
            ValueError: the content is no scene map; the caller names the file.
        """
        try:
            archive = MapArchive(content)
            version = 1
            if "version" in archive:
                version = int(archive.read("version", ArrayKind(np.int64, 1, 1)).sum())
        except ValueError as error:
            raise ValueError(f"it is no scene map: {error}") from error
        if version != VERSION:
            raise ValueError(f"it is of version {version} of the format, this mvloc_ros reads {VERSION}")
        try:
            arrays = archive.read_all(_ARRAYS, besides="version")
        except ValueError as error:
            raise ValueError(f"it is no scene map: {error}") from error
        sizes = arrays.pop("sizes")
        if len(sizes) != 2:
            raise ValueError(f"its array sizes has {len(sizes)} numbers instead of 2")
        tile_m, resolution_m = (float(value) for value in sizes)
        result = SceneMap(**arrays, tile_m=tile_m, resolution_m=resolution_m)
        _require_fit(result)
        _require_sense(result)
        return result


def _require_fit(found: SceneMap) -> None:
    """The arrays fit to each other, and the tiles divide the points. Raises ValueError."""
    count = len(found.offset)
    shapes = (found.tiles.shape[1:], found.offset.shape[1:], found.normal.shape, found.brightness.shape)
    if shapes != ((3,), (3,), (count, 3), (count,)) or found.correction.shape != CORRECTION_SHAPE:
        raise ValueError("its arrays do not fit together")
    first = found.first
    ordered = len(first) == len(found.tiles) + 1 and np.all(first[1:] >= first[:-1])  # a difference may overflow
    if not count or not ordered or first[0] != 0 or first[-1] != count:
        raise ValueError("its tiles do not divide its points")
    if len(np.unique(found.tiles, axis=0)) != len(found.tiles):
        raise ValueError("one of its tiles is there twice")


def _require_sense(found: SceneMap) -> None:
    """The numbers are lengths, positions and directions. Raises ValueError."""
    low, high = MAP_RESOLUTION_M
    if not (low <= found.resolution_m <= high and found.resolution_m < found.tile_m <= MOST_MAP_TILE_M):
        sizes = f"tiles of {found.tile_m:g} m and its resolution of {found.resolution_m:g} m"
        raise ValueError(f"its {sizes} are impossible")
    if np.abs(found.tiles.astype(np.float64)).max() * found.tile_m > MOST_COORDINATE_M:
        raise ValueError(f"its points lie beyond {MOST_COORDINATE_M:g} m")
    if not np.all(np.abs(found.correction) <= MOST_DEPTH_CORRECTION):  # NaN too
        raise ValueError(f"its correction of the depth is not finite, or beyond {MOST_DEPTH_CORRECTION:g} 1/m")
    squared = sum(found.normal[:, i].astype(np.int32) ** 2 for i in range(3))
    low, high = _NORMAL_LENGTHS
    lacking = np.count_nonzero(squared == 0)
    right = np.count_nonzero((squared >= low**2) & (squared <= high**2))
    if right + lacking != len(found) or lacking > _MOST_WITHOUT_NORMAL * len(found):
        raise ValueError("its normals have not the length 1")


def read_checked(bundle: Bundle, what: str, file: str, sha256: str, most_bytes: int) -> bytes:
    """A file that `mvloc map` has put into a bundle, checked against the digest in the manifest; `what` names it.

    Raises:
        SceneMapError: the file is missing, too large, damaged, or of another scene.
    """
    path = bundle.path / file
    try:
        content = read_file(path, most_bytes, within=bundle.path)
    except ReadError as error:
        raise SceneMapError(f"{unreadable(path, bundle.path, error)[:-1]} or run `mvloc map`.") from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != sha256:
        raise SceneMapError(
            f"The {what} file {path} is damaged or of another scene: its SHA-256 begins {digest[:12]}, the manifest "
            f"says {sha256[:12]}; copy the bundle again or run `mvloc map`."
        )
    return content


def read_scene_map(bundle: Bundle) -> SceneMap:
    """The map of a bundle, checked against the digest in the manifest.

    Raises:
        SceneMapError: the bundle has none, or the file is missing, damaged, or of another scene.
    """
    spec = bundle.manifest.scene_map
    if spec is None:
        raise SceneMapError(
            f"The bundle {bundle.path} has no scene map to refine poses against; add one with `mvloc map`."
        )
    path: Path = bundle.path / spec.file
    content = read_checked(bundle, "scene map", spec.file, spec.sha256, MOST_MAP_BYTES)
    try:
        found = SceneMap.from_bytes(content)
        _require_same(found, spec)
    except ValueError as error:
        raise SceneMapError(
            f"The scene map {path} cannot be used ({shown(error, MOST_LOG_CHARACTERS)}); run `mvloc map` again."
        ) from error
    return found


def _require_same(found: SceneMap, spec: SceneMapSpec) -> None:
    """The map is the one that the manifest describes. Raises ValueError."""
    stated = (spec.points, spec.resolution_m, spec.tile_m)
    there = (len(found), found.resolution_m, found.tile_m)
    if stated != there:
        form = "{} points at {:g} m in tiles of {:g} m"
        raise ValueError(f"it has {form.format(*there)}, the manifest says {form.format(*stated)}")
