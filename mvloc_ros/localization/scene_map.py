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
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.errors import MvlocError
from mvloc_ros.inference.bundle import Bundle
from mvloc_ros.localization.depth_points import CORRECTION_SHAPE

Array = NDArray[np.float64]

VERSION = 1
_STEPS = 65536
_ARRAYS = {
    "tiles": (np.int32, 2), "first": (np.int64, 1), "offset": (np.uint16, 2), "normal": (np.int8, 2),
    "brightness": (np.uint8, 1), "correction": (np.float32, 2), "sizes": (np.float64, 1),
}  # fmt: skip


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

    def content(self, tiles: Sequence[int]) -> MapPoints:
        """The points of some tiles, by their indices."""
        parts = [np.arange(self.first[i], self.first[i + 1]) for i in tiles]
        chosen = np.concatenate(parts) if parts else np.zeros(0, np.int64)
        tile_of = np.repeat(np.array(tiles, dtype=np.intp), [len(part) for part in parts])
        points = (self.tiles[tile_of] + (self.offset[chosen] + 0.5) / _STEPS) * self.tile_m
        normals = self.normal[chosen].astype(np.float64)
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
        return MapPoints(points.reshape(-1, 3), normals, self.brightness[chosen])

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
            with np.load(io.BytesIO(content), allow_pickle=False) as archive:
                version = int(archive["version"].item()) if "version" in archive.files else 1
                if version == VERSION:
                    arrays = {name: archive[name] for name in _ARRAYS}
        except (OSError, KeyError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
            raise ValueError(f"it is no scene map: {error}") from error
        if version != VERSION:
            raise ValueError(f"it is of version {version} of the format, this mvloc_ros reads {VERSION}")
        for name, (kind, dimensions) in _ARRAYS.items():
            if arrays[name].dtype != kind or arrays[name].ndim != dimensions:
                raise ValueError(f"its array {name} is {arrays[name].dtype} of {arrays[name].ndim} dimensions")
        sizes = arrays.pop("sizes")
        if len(sizes) != 2:
            raise ValueError(f"its array sizes has {len(sizes)} numbers instead of 2")
        tile_m, resolution_m = (float(value) for value in sizes)
        result = SceneMap(**arrays, tile_m=tile_m, resolution_m=resolution_m)
        count = len(result.offset)
        shapes = (result.tiles.shape[1:], result.offset.shape[1:], result.normal.shape, result.brightness.shape)
        ordered = len(result.first) == len(result.tiles) + 1 and np.all(np.diff(result.first) >= 0)
        if shapes != ((3,), (3,), (count, 3), (count,)) or result.correction.shape != CORRECTION_SHAPE:
            raise ValueError("its arrays do not fit together")
        if not count or not ordered or result.first[0] != 0 or result.first[-1] != count:
            raise ValueError("its tiles do not divide its points")
        if not 0.0 < resolution_m < tile_m < np.inf:
            raise ValueError(f"its tiles of {tile_m} m and its resolution of {resolution_m} m are impossible")
        return result


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
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SceneMapError(
            f"The scene map {path} cannot be read ({error.strerror}); copy the bundle again or run `mvloc map`."
        ) from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != spec.sha256:
        raise SceneMapError(
            f"The scene map {path} is damaged or of another scene: its SHA-256 begins {digest[:12]}, the manifest says "
            f"{spec.sha256[:12]}; copy the bundle again or run `mvloc map`."
        )
    try:
        return SceneMap.from_bytes(content)
    except ValueError as error:
        raise SceneMapError(f"The scene map {path} cannot be used ({error}); run `mvloc map` again.") from error
