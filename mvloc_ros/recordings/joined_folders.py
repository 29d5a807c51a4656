# SPDX-License-Identifier: Apache-2.0
"""Several folders of one place as one: recordings of other days or lights, in one map frame, by the same cameras."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from itertools import pairwise
from pathlib import Path
from typing import TypeAlias

import numpy as np

from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.recordings.errors import RecordingError
from mvloc_ros.recordings.folder import open_folder
from mvloc_ros.recordings.frames import BareFolder, CameraSettings, FrameRecord, PosedFolder
from mvloc_ros.recordings.repeated_frames import require_distinct
from mvloc_ros.recordings.seven_scenes import PAUSE_NS
from mvloc_ros.recordings.train_test_split import TEST_FRACTION

Folders: TypeAlias = Path | str | Sequence[Path | str]
"""One folder of posed frames, or several of one place."""

# Intrinsics are the same if no pixel's ray differs by more than this.
_SAME_PIXEL = 0.5
_SAME_TRANSFORM = 1e-3
_USES = ("train", "test", "unused")
_WORDS = {
    "color_camera": "color camera",
    "depth_camera": "depth camera",
    "depth_units_per_metre": "unit of depth (values a metre)",
    "depth_registered": "depth_registered",
    "pose_of": "camera that the poses are of",
    "T_color_depth": "transform T_color_depth",
    "max_depth_m": "max_depth",
    "depth_of_points": "depth_of_points",
    "depth_projection": "depth_projection",
    "sensors": "declaration of further sensors",
}


def open_folders(folders: Folders, test_fraction: float = TEST_FRACTION) -> PosedFolder:
    """Open one folder as `open_folder` does, or several as one.

    Of several, sequences are named `FOLDER/SEQUENCE`, each folder keeps its own split, and their order does not matter:
    they follow each other in order of their names, or in that of their stamps where those do not overlap.

    Raises:
        RecordingError: a folder cannot be used, their cameras differ, or they share frames.
    """
    paths = in_order(folders)
    if len(paths) == 1:
        return open_folder(paths[0], test_fraction)
    parts = [_named(open_folder(path, test_fraction), label) for path, label in zip(paths, _labels(paths), strict=True)]
    for part in parts[1:]:
        require_same_cameras(parts[0], part)
    require_distinct(parts)
    parts = _one_after_another(parts)
    train, test, unused = (
        tuple(sorted((frame for part in parts for frame in getattr(part, use)), key=lambda frame: frame.stamp_ns))
        for use in _USES
    )
    return replace(
        parts[0],
        layout=" and ".join(dict.fromkeys(part.layout for part in parts)),
        rate_hz=float(np.median([part.rate_hz for part in parts])),
        licence=_licence(parts),
        train=train,
        test=test,
        unused=unused,
        left_out=tuple(frame for part in parts for frame in part.left_out),
        parts=tuple(parts),
    )


def paths_of(folders: Folders) -> tuple[Path, ...]:
    """The folders in the order in which they were given.

    Raises:
        RecordingError: one is given twice, or there is none.
    """
    paths = (Path(folders),) if isinstance(folders, (str, Path)) else tuple(Path(path) for path in folders)
    if not paths:
        raise RecordingError("No folder of posed frames is given: name at least one.")
    first: dict[Path, Path] = {}
    for path in paths:
        if (same := first.setdefault(path.resolve(), path)) is not path:
            also = "" if same == path else f", also as {path}"
            raise RecordingError(f"The folder {same} is given twice{also}: remove one of the two.")
    return paths


def in_order(folders: Folders) -> tuple[Path, ...]:
    """The folders in the order of their names, which does not depend on the order in which they are given."""
    paths = paths_of(folders)
    labels = _labels(paths)
    return tuple(path for _, path in sorted(zip(labels, paths, strict=True)))


def name_of(folders: Folders) -> str:
    """The name of the data without the path: that of the folder, or of several `A + B`."""
    return " + ".join(labels_of(folders))


def labels_of(folders: Folders) -> list[str]:
    """The names of the folders, in order."""
    return _labels(in_order(folders))


def _labels(paths: Sequence[Path]) -> list[str]:
    """The name of each folder, with as many of the folders above it as make them distinct."""
    parts = [path.resolve().parts for path in paths]
    for count in range(1, max(map(len, parts)) + 1):
        labels = ["/".join(part[-count:]) for part in parts]
        if len(set(labels)) == len(labels):
            return labels
    return [str(path.resolve()) for path in paths]


def _named(folder: PosedFolder, label: str) -> PosedFolder:
    """The folder with its sequences named after it."""

    def named(frame: FrameRecord) -> FrameRecord:
        return replace(frame, sequence=f"{label}/{frame.sequence}")

    return _each(folder, named)


def require_same_cameras(first: PosedFolder | BareFolder, other: PosedFolder | BareFolder) -> None:
    """Refuse folders of other cameras; raises RecordingError with the first difference."""
    for field in fields(CameraSettings):
        if field.name not in _WORDS:
            continue  # rate and licence may differ
        mine, theirs = getattr(first, field.name), getattr(other, field.name)
        if not _same(mine, theirs):
            raise RecordingError(
                f"{first.root} and {other.root} are not recordings by the same cameras: the {_WORDS[field.name]} is "
                f"{_text(mine)} in the first and {_text(theirs)} in the second; correct their camera.json, or train "
                "on one of them."
            )


def _same(mine: object, theirs: object) -> bool:
    if isinstance(mine, PinholeCamera) and isinstance(theirs, PinholeCamera):
        if (mine.width, mine.height) != (theirs.width, theirs.height):
            return False
        # A focal length counts by what it moves at the edge of the image.
        moved = (
            (mine.fx / theirs.fx - 1.0) * mine.width / 2,
            (mine.fy / theirs.fy - 1.0) * mine.height / 2,
            mine.cx - theirs.cx,
            mine.cy - theirs.cy,
        )
        return max(map(abs, moved)) <= _SAME_PIXEL
    if isinstance(mine, np.ndarray) and isinstance(theirs, np.ndarray):
        return bool(np.allclose(mine, theirs, rtol=0.0, atol=_SAME_TRANSFORM))
    if isinstance(mine, np.ndarray) or isinstance(theirs, np.ndarray):
        return False
    return mine == theirs


def _text(value: object) -> str:
    if isinstance(value, PinholeCamera):
        return (
            f"of {value.width}x{value.height} pixels with fx {value.fx:.6g}, fy {value.fy:.6g}, cx {value.cx:.6g}, "
            f"cy {value.cy:.6g}"
        )
    if isinstance(value, np.ndarray):
        return str([[round(float(number), 5) for number in row] for row in value[:3]])
    if value is None:
        return "not stated"
    if isinstance(value, tuple):
        return ", ".join(sensor.in_words for sensor in value) or "of none"
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _one_after_another(parts: Sequence[PosedFolder]) -> list[PosedFolder]:
    """The parts in order of time; if their stamps overlap, as those that a layout counts from its start do, shifted."""
    spans = [_span(part) for part in parts]
    in_time = sorted(range(len(parts)), key=lambda i: spans[i])
    if all(spans[a][1] < spans[b][0] for a, b in pairwise(in_time)):
        return [parts[i] for i in in_time]
    shifted, start_ns = [], spans[0][0]
    for part, (first_ns, last_ns) in zip(parts, spans, strict=True):
        shifted.append(_shifted(part, start_ns - first_ns))
        start_ns += last_ns - first_ns + PAUSE_NS
    return shifted


def _span(folder: PosedFolder) -> tuple[int, int]:
    stamps = [
        stamp for frame in folder.frames() for stamp in (frame.stamp_ns, frame.depth_stamp_ns) if stamp is not None
    ]
    return min(stamps), max(stamps)


def _shifted(folder: PosedFolder, by_ns: int) -> PosedFolder:
    def shifted(frame: FrameRecord) -> FrameRecord:
        depth_ns = None if frame.depth_stamp_ns is None else frame.depth_stamp_ns + by_ns
        return replace(frame, stamp_ns=frame.stamp_ns + by_ns, depth_stamp_ns=depth_ns)

    return _each(folder, shifted)


def _each(folder: PosedFolder, changed: Callable[[FrameRecord], FrameRecord]) -> PosedFolder:
    train, test, unused = (tuple(map(changed, getattr(folder, use))) for use in _USES)
    return replace(folder, train=train, test=test, unused=unused)


def _licence(parts: Sequence[PosedFolder]) -> str:
    """The licences of all parts; empty if all are unknown."""
    if not any(part.licence for part in parts):
        return ""
    return " and ".join(dict.fromkeys(part.licence or "unknown" for part in parts))
