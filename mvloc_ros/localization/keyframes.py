# SPDX-License-Identifier: Apache-2.0
"""The keyframes of a bundle: poses of training frames and descriptors of their images, for `retrieval`.

A file is NumPy's .npz (a zip of plain arrays; nothing is pickled) with the arrays

    version      int64   [1]       of this format
    position     float64 [N, 3]    of the camera that the model gives the pose of, map frame, metres
    orientation  float64 [N, 4]    unit quaternion x, y, z, w
    color        float16 [N, 432]  see `descriptors`; zeros where the frame has no color image
    depth        float16 [N, 48]   likewise; NaN where nothing was measured
    present      uint8   [N, 2]    1 where the frame has color; depth
    first        int64   [N + 1]   where a frame's local features begin; the last entry is M
    point        int16   [M, 3]    where they are in that camera's frame, millimetres
    feature      uint8   [M, 128]  their descriptors, see `local_features`

A file of version 1 lacks the last three; the local features of version 2 are of images prepared otherwise, which those
of a frame do not match, so they are not used.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.foreign_text import shown
from mvloc_ros.geometry import se3
from mvloc_ros.limits import (
    MOST_COORDINATE_M,
    MOST_KEYFRAMES,
    MOST_KEYFRAMES_BYTES,
    MOST_LOCAL_FEATURES,
    MOST_LOG_CHARACTERS,
)
from mvloc_ros.localization.descriptors import COLOR_LENGTH, DEPTH_LENGTH, Descriptor
from mvloc_ros.localization.local_features import LENGTH, LocalFeatures, none_found
from mvloc_ros.localization.map_archive import ArrayKind, MapArchive
from mvloc_ros.localization.scene_map import SceneMapError, read_checked
from mvloc_ros.model.bundle import Bundle

_log = logging.getLogger(__name__)

Array = NDArray[np.float64]

VERSION = 3
_WITHOUT_FEATURES, _OTHER_FEATURES = 1, 2
_ARRAYS = {
    "position": ArrayKind(np.float64, 2, MOST_KEYFRAMES),
    "orientation": ArrayKind(np.float64, 2, MOST_KEYFRAMES),
    "color": ArrayKind(np.float16, 2, MOST_KEYFRAMES),
    "depth": ArrayKind(np.float16, 2, MOST_KEYFRAMES),
    "present": ArrayKind(np.uint8, 2, MOST_KEYFRAMES),
}
_FEATURE_ARRAYS = {
    "first": ArrayKind(np.int64, 1, MOST_KEYFRAMES + 1),
    "point": ArrayKind(np.int16, 2, MOST_LOCAL_FEATURES),
    "feature": ArrayKind(np.uint8, 2, MOST_LOCAL_FEATURES),
}
_LENGTHS = {"position": 3, "orientation": 4, "color": COLOR_LENGTH, "depth": DEPTH_LENGTH, "present": 2}
_MILLIMETRES, _FARTHEST_M = 1000.0, 32.0
_UNIT_TOLERANCE = 1e-6


@dataclass(frozen=True, eq=False)
class Keyframes:
    """N frames with known poses in the form in which they are stored; see the module."""

    position: Array
    orientation: Array
    color: NDArray[np.float16]
    depth: NDArray[np.float16]
    present: NDArray[np.uint8]
    first: NDArray[np.int64]
    point: NDArray[np.int16]
    feature: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.position)

    def features(self, frame: int) -> LocalFeatures:
        """The local features of one of them."""
        mine = slice(self.first[frame], self.first[frame + 1])
        return LocalFeatures(self.point[mine] / _MILLIMETRES, self.feature[mine])

    def poses(self) -> Array:
        """T_map_camera `[N, 4, 4]`."""
        return se3.from_parts(self.position, self.orientation)

    def chosen(self, which: NDArray[np.bool_]) -> Keyframes:
        """Some of them, `[N]`."""
        counts = np.diff(self.first)
        of_chosen = np.repeat(which, counts)
        return Keyframes(
            self.position[which],
            self.orientation[which],
            self.color[which],
            self.depth[which],
            self.present[which],
            np.cumsum([0, *counts[which]], dtype=np.int64),
            self.point[of_chosen],
            self.feature[of_chosen],
        )

    @staticmethod
    def of(
        poses: Array, descriptors: Sequence[Descriptor], features: Sequence[LocalFeatures] | None = None
    ) -> Keyframes:
        """Of poses `[N, 4, 4]`, the descriptors of the same frames, and their local features if they are kept."""
        position, orientation = se3.to_parts(poses)
        no_color, no_depth = np.zeros(COLOR_LENGTH, np.float32), np.full(DEPTH_LENGTH, np.nan, np.float32)
        color = [no_color if one.color is None else one.color for one in descriptors]
        depth = [no_depth if one.depth is None else one.depth for one in descriptors]
        present = [(one.color is not None, one.depth is not None) for one in descriptors]
        kept = [none_found()] * len(descriptors) if features is None else [_storable(one) for one in features]
        points = np.concatenate([np.zeros((0, 3)), *(one.points for one in kept)])
        return Keyframes(
            np.reshape(position, (-1, 3)),
            np.reshape(orientation, (-1, 4)),
            np.array(color, np.float16).reshape(len(descriptors), -1),
            np.array(depth, np.float16).reshape(len(descriptors), -1),
            np.array(present, np.uint8).reshape(-1, 2),
            np.cumsum([0, *(len(one) for one in kept)], dtype=np.int64),
            np.rint(_MILLIMETRES * points).astype(np.int16),
            np.concatenate([np.zeros((0, LENGTH), np.uint8), *(one.descriptors for one in kept)]),
        )

    def to_bytes(self) -> bytes:
        """The content of a keyframes file."""
        stream = io.BytesIO()
        arrays = {name: getattr(self, name) for name in (*_ARRAYS, *_FEATURE_ARRAYS)}
        np.savez_compressed(stream, version=np.array([VERSION], np.int64), **arrays)
        return stream.getvalue()

    @staticmethod
    def from_bytes(content: bytes) -> Keyframes:
        """The inverse of `to_bytes`.

        Raises:
            ValueError: the content is no keyframes file; the caller names the file.
        """
        archive = MapArchive(content)
        version = _version_of(archive)
        arrays = _ARRAYS | ({} if version == _WITHOUT_FEATURES else _FEATURE_ARRAYS)
        read = archive.read_all(arrays, besides="version")
        if version != VERSION:
            read |= {
                "first": np.zeros(len(read["position"]) + 1, np.int64),
                "point": np.zeros((0, 3), np.int16),
                "feature": np.zeros((0, LENGTH), np.uint8),
            }
        found = Keyframes(**read)
        _require_fit(found)
        _require_sense(found)
        return found


def _version_of(archive: MapArchive) -> int:
    """Of the format. Raises ValueError."""
    version = archive.read("version", ArrayKind(np.int64, 1, 1)).tolist()
    if version not in ([VERSION], [_OTHER_FEATURES], [_WITHOUT_FEATURES]):
        raise ValueError(f"it is of version {version} of the format, this mvloc_ros reads up to {VERSION}")
    return int(version[0])


def _storable(found: LocalFeatures) -> LocalFeatures:
    """Without those whose place is too far away for the file."""
    near = np.abs(found.points).max(axis=1, initial=0.0) < _FARTHEST_M
    return LocalFeatures(found.points[near], found.descriptors[near])


def _require_fit(found: Keyframes) -> None:
    """The arrays fit to each other. Raises ValueError."""
    shapes = {name: getattr(found, name).shape for name in _ARRAYS}
    if not len(found) or shapes != {name: (len(found), length) for name, length in _LENGTHS.items()}:
        raise ValueError("its arrays do not fit together")
    first, count = found.first, len(found.point)
    shapes_fit = found.point.shape == (count, 3) and found.feature.shape == (count, LENGTH)
    ordered = len(first) == len(found) + 1 and np.all(first[1:] >= first[:-1]) and first[0] == 0 and first[-1] == count
    if not (shapes_fit and ordered):
        raise ValueError("its local features do not belong to its frames")


def _require_sense(found: Keyframes) -> None:
    """The numbers are poses and descriptors. Raises ValueError."""
    if not np.all(np.abs(found.position) <= MOST_COORDINATE_M):  # NaN too
        raise ValueError(f"its poses are not finite, or beyond {MOST_COORDINATE_M:g} m")
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = np.linalg.norm(found.orientation, axis=1)
    if not np.all(np.abs(lengths - 1.0) <= _UNIT_TOLERANCE):
        raise ValueError("its orientations are no unit quaternions")
    if np.max(found.present) > 1 or not found.present.any(axis=1).all():
        raise ValueError("it has frames without images")
    if not np.all(np.isfinite(found.color)) or np.isinf(found.depth).any():
        raise ValueError("its descriptors are not finite")


def read_keyframes(bundle: Bundle) -> Keyframes | None:
    """The keyframes of a bundle, checked against the digest in the manifest; None where it has none.

    Raises:
        SceneMapError: the file is missing, damaged, or of another scene.
    """
    spec = bundle.manifest.keyframes
    if spec is None:
        return None
    path = bundle.path / spec.file
    content = read_checked(bundle, "keyframes", spec.file, spec.sha256, MOST_KEYFRAMES_BYTES)
    try:
        found = Keyframes.from_bytes(content)
        if len(found) != spec.frames:
            raise ValueError(f"it has {len(found)} frames, the manifest says {spec.frames}")
        if _version_of(MapArchive(content)) != VERSION:
            _log.warning(
                "The keyframes %s are of an earlier version, whose local features cannot be used; run `mvloc map` "
                "again, so that poses are found from features too.",
                path,
            )
    except ValueError as error:
        raise SceneMapError(
            f"The keyframes {path} cannot be used ({shown(error, MOST_LOG_CHARACTERS)}); run `mvloc map` again."
        ) from error
    return found
