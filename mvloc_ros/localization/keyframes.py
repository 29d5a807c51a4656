# SPDX-License-Identifier: Apache-2.0
"""The keyframes of a bundle: poses of training frames and descriptors of their images, for `retrieval`.

A file is NumPy's .npz (a zip of plain arrays; nothing is pickled) with the arrays

    version      int64   [1]       of this format
    position     float64 [N, 3]    of the camera that the model gives the pose of, map frame, metres
    orientation  float64 [N, 4]    unit quaternion x, y, z, w
    color        float16 [N, 432]  see `descriptors`; zeros where the frame has no color image
    depth        float16 [N, 48]   likewise; NaN where nothing was measured
    present      uint8   [N, 2]    1 where the frame has color; depth
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.foreign_text import shown
from mvloc_ros.geometry import se3
from mvloc_ros.limits import MOST_COORDINATE_M, MOST_KEYFRAMES, MOST_KEYFRAMES_BYTES, MOST_LOG_CHARACTERS
from mvloc_ros.localization.descriptors import COLOR_LENGTH, DEPTH_LENGTH, Descriptor
from mvloc_ros.localization.map_archive import ArrayKind, MapArchive
from mvloc_ros.localization.scene_map import SceneMapError, read_checked
from mvloc_ros.model.bundle import Bundle

Array = NDArray[np.float64]

VERSION = 1
_ARRAYS = {
    "position": ArrayKind(np.float64, 2, MOST_KEYFRAMES),
    "orientation": ArrayKind(np.float64, 2, MOST_KEYFRAMES),
    "color": ArrayKind(np.float16, 2, MOST_KEYFRAMES),
    "depth": ArrayKind(np.float16, 2, MOST_KEYFRAMES),
    "present": ArrayKind(np.uint8, 2, MOST_KEYFRAMES),
}
_LENGTHS = {"position": 3, "orientation": 4, "color": COLOR_LENGTH, "depth": DEPTH_LENGTH, "present": 2}
_UNIT_TOLERANCE = 1e-6


@dataclass(frozen=True, eq=False)
class Keyframes:
    """N frames with known poses in the form in which they are stored; see the module."""

    position: Array
    orientation: Array
    color: NDArray[np.float16]
    depth: NDArray[np.float16]
    present: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.position)

    def poses(self) -> Array:
        """T_map_camera `[N, 4, 4]`."""
        return se3.from_parts(self.position, self.orientation)

    @staticmethod
    def of(poses: Array, descriptors: Sequence[Descriptor]) -> Keyframes:
        """Of poses `[N, 4, 4]` and the descriptors of the same frames."""
        position, orientation = se3.to_parts(poses)
        no_color, no_depth = np.zeros(COLOR_LENGTH, np.float32), np.full(DEPTH_LENGTH, np.nan, np.float32)
        color = [no_color if one.color is None else one.color for one in descriptors]
        depth = [no_depth if one.depth is None else one.depth for one in descriptors]
        present = [(one.color is not None, one.depth is not None) for one in descriptors]
        return Keyframes(
            np.reshape(position, (-1, 3)),
            np.reshape(orientation, (-1, 4)),
            np.array(color, np.float16).reshape(len(descriptors), -1),
            np.array(depth, np.float16).reshape(len(descriptors), -1),
            np.array(present, np.uint8).reshape(-1, 2),
        )

    def to_bytes(self) -> bytes:
        """The content of a keyframes file."""
        stream = io.BytesIO()
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        np.savez_compressed(stream, version=np.array([VERSION], np.int64), **arrays)
        return stream.getvalue()

    @staticmethod
    def from_bytes(content: bytes) -> Keyframes:
        """The inverse of `to_bytes`.

        Raises:
            ValueError: the content is no keyframes file; the caller names the file.
        """
        archive = MapArchive(content)
        version = archive.read("version", ArrayKind(np.int64, 1, 1)).tolist()
        if version != [VERSION]:
            raise ValueError(f"it is of version {version} of the format, this mvloc_ros reads {VERSION}")
        found = Keyframes(**archive.read_all(_ARRAYS, besides="version"))
        _require_fit(found)
        _require_sense(found)
        return found


def _require_fit(found: Keyframes) -> None:
    """The arrays fit to each other. Raises ValueError."""
    shapes = {name: getattr(found, name).shape for name in _ARRAYS}
    if not len(found) or shapes != {name: (len(found), length) for name, length in _LENGTHS.items()}:
        raise ValueError("its arrays do not fit together")


def _require_sense(found: Keyframes) -> None:
    """The numbers are poses and descriptors. Raises ValueError."""
    if not np.all(np.abs(found.position) <= MOST_COORDINATE_M):  # NaN too
        raise ValueError(f"its poses are not finite, or beyond {MOST_COORDINATE_M:g} m")
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = np.linalg.norm(found.orientation, axis=1)
    if not np.all(np.abs(lengths - 1.0) <= _UNIT_TOLERANCE):
        raise ValueError("its orientations are no unit quaternions")
    if found.present.max() > 1 or not found.present.any(axis=1).all():
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
    except ValueError as error:
        raise SceneMapError(
            f"The keyframes {path} cannot be used ({shown(error, MOST_LOG_CHARACTERS)}); run `mvloc map` again."
        ) from error
    return found
