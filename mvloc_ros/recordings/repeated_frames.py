# SPDX-License-Identifier: Apache-2.0
"""Frames that several folders share: they would count twice, or be trained on and tested on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from mvloc_ros.file_reader import ReadError, read_file
from mvloc_ros.limits import MOST_IMAGE_FILE_BYTES
from mvloc_ros.recordings.errors import RecordingError
from mvloc_ros.recordings.frames import FrameRecord, PosedFolder


def require_distinct(folders: Sequence[PosedFolder]) -> None:
    """Refuse folders that share frames: the same image files, or copies of them with the same pose.

    Raises:
        RecordingError: with the first such frame.
    """
    files: dict[Path, tuple[int, Path]] = {}
    alike: dict[tuple[bytes, tuple[int, ...]], list[tuple[int, FrameRecord]]] = {}
    for number, folder in enumerate(folders):
        for frame in folder.frames():
            for path in _images(frame):
                owner, other = files.setdefault(path.resolve(), (number, path))
                if owner != number:
                    raise _repeated(folders[owner], folder, other, path)
            if frame.T_map_camera is None or (sizes := _sizes(frame)) is None:
                continue
            others = alike.setdefault((frame.T_map_camera.tobytes(), sizes), [])
            for owner, same in others:
                if owner != number and _is_copy(same, frame):
                    raise _repeated(folders[owner], folder, next(_images(same)), next(_images(frame)))
            others.append((number, frame))


def _repeated(first: PosedFolder, second: PosedFolder, path: Path, other: Path) -> RecordingError:
    named = f"{path} and {other} are the same image" if path != other else f"the image {path} is in both"
    return RecordingError(f"{first.root} and {second.root} have frames in common ({named}): give each recording once.")


def _images(frame: FrameRecord) -> Iterator[Path]:
    return (path for path in (frame.color, frame.depth) if path is not None)


def _sizes(frame: FrameRecord) -> tuple[int, ...] | None:
    """Bytes of the color and the depth image, -1 for one that does not exist; None if one cannot be read."""
    try:
        return tuple(-1 if path is None else path.stat().st_size for path in (frame.color, frame.depth))
    except OSError:
        return None


def _is_copy(first: FrameRecord, second: FrameRecord) -> bool:
    """Whether the images of two frames have the same bytes; False if one cannot be read."""
    try:
        return all(
            read_file(mine, MOST_IMAGE_FILE_BYTES) == read_file(theirs, MOST_IMAGE_FILE_BYTES)
            for mine, theirs in zip(_images(first), _images(second), strict=True)
        )
    except ReadError:
        return False
