# SPDX-License-Identifier: Apache-2.0
"""Writes a folder in the 7-Scenes layout, of one source only, whole or not at all, and resumable.

Frames go into a hidden folder next to the final one, which gets its name when it is complete. An
interrupted run leaves the hidden folder; the next run with the same source continues there. What the
source is, `source.json` states, so that two recordings are never mixed in one folder.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mvloc_ros.foreign_text import quoted
from mvloc_ros.geometry.text_file import read_text
from mvloc_ros.json_text import parse_json
from mvloc_ros.limits import MOST_MANIFEST_BYTES
from mvloc_ros.recordings.camera_file import CAMERA_FILE, camera_file_content
from mvloc_ros.recordings.errors import RecordingError
from mvloc_ros.recordings.frames import CameraSettings
from mvloc_ros.recordings.seven_scenes import SPLIT_FILES
from mvloc_ros.storage import exclusive, replace_folder, write_file

SOURCE_FILE = "source.json"
_SHOWN = 700
COLOR_FORMATS = ("png", "jpg")
DEPTH_LIMIT = 65535
"""The first value that a depth PNG cannot hold as a measurement (65535 is read as "nothing seen")."""


@dataclass(frozen=True)
class FrameName:
    """A frame's place: its sequence's folder and its number there."""

    sequence: str
    index: int


class FolderWriter:
    """Context manager that fills one folder; `complete` says that an earlier run has already finished it.

    Raises RecordingError where the folder belongs to another source.
    """

    def __init__(self, out: Path | str, source: Mapping[str, Any]) -> None:
        self.out = Path(out)
        self.partial = self.out.parent / f".{self.out.name}.partial"
        # Through JSON and back: tuples become lists, so that a stored source compares equal.
        self._source = json.loads(json.dumps(source))
        self.complete = False
        self._held = ExitStack()

    def __enter__(self) -> FolderWriter:
        if self.out.exists():
            self._require_same(self.out, "choose another folder")
            self.complete = True
            return self
        try:
            self.partial.mkdir(parents=True, exist_ok=True)
            self._held.enter_context(exclusive(self.partial))
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            self._begin()
        except BaseException:
            self._held.close()
            raise
        return self

    def _begin(self) -> None:
        """Record the source of a new folder, or check that an earlier run had the same."""
        # Only what a run leaves that was killed in its first step.
        if any(not path.name.startswith((SOURCE_FILE + ".", f".{SOURCE_FILE}.")) for path in self.partial.iterdir()):
            self._require_same(self.partial, f"delete {self.partial}, which an interrupted run left, or choose another")
            return
        try:
            self._write(self.partial / SOURCE_FILE, (json.dumps(self._source, indent=1) + "\n").encode())
        except BaseException:
            self.discard()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and self.partial.is_dir() and not any(self.partial.glob("*/frame-*")):
            self.discard()
        self._held.close()

    def discard(self) -> None:
        """Remove everything written so far."""
        shutil.rmtree(self.partial)

    def _require_same(self, folder: Path, remedy: str) -> None:
        try:
            found = parse_json(read_text(folder / SOURCE_FILE, "source", RecordingError, MOST_MANIFEST_BYTES))
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise RecordingError(f"{folder} exists and was not written from a recording: {remedy}.")
        if found != self._source:
            different = next(key for key in {**found, **self._source} if found.get(key) != self._source.get(key))
            raise RecordingError(
                f"{folder} was written from another source or with other options ({different}: "
                f"{quoted(found.get(different), _SHOWN)}, now {quoted(self._source.get(different), _SHOWN)}): {remedy}."
            )

    def has_color(self, name: FrameName, modality: str = "color") -> bool:
        """Whether an earlier run has written the colour image, or that of a further sensor."""
        return any(_is_written(self._path(name, f"{modality}.{suffix}")) for suffix in COLOR_FORMATS)

    def has_depth(self, name: FrameName, modality: str = "depth") -> bool:
        """Whether an earlier run has written the depth image, or that of a further sensor."""
        return _is_written(self._path(name, f"{modality}.png"))

    def write_color(
        self, name: FrameName, pixels: NDArray[np.uint8], suffix: str = "png", modality: str = "color"
    ) -> None:
        """Store uint8 `[H, W, 3]` RGB, or `[H, W]` gray, as PNG, or as JPEG of quality 95."""
        options = [cv2.IMWRITE_JPEG_QUALITY, 95] if suffix == "jpg" else []
        stored = np.ascontiguousarray(pixels[:, :, ::-1]) if pixels.ndim == 3 else pixels
        _, data = cv2.imencode(f".{suffix}", stored, options)
        self.write_color_file(name, data.tobytes(), suffix, modality)

    def write_color_file(self, name: FrameName, data: bytes, suffix: str, modality: str = "color") -> None:
        """Store a JPEG or PNG as it is."""
        self._write(self._path(name, f"{modality}.{suffix}"), data)

    def write_depth(
        self, name: FrameName, metres: NDArray[Any], units_per_metre: float, modality: str = "depth"
    ) -> None:
        """Store a depth map in metres as 16 bits; 0 where invalid or more than 16 bits hold."""
        with np.errstate(invalid="ignore"):
            units = np.rint(np.asarray(metres, dtype=np.float64) * units_per_metre)
            held = (units > 0) & (units < DEPTH_LIMIT)
        _, data = cv2.imencode(".png", np.where(held, units, 0).astype(np.uint16))
        self._write(self._path(name, f"{modality}.png"), data.tobytes())

    def write_pose(self, name: FrameName, T_map_camera: NDArray[np.float64]) -> None:
        """Store a pose with all digits of float64."""
        self._write(self._path(name, "pose.txt"), pose_text(T_map_camera).encode())

    def remove(self, name: FrameName) -> None:
        """Remove a frame."""
        for path in list((self.partial / name.sequence).glob(f"frame-{name.index:06d}.*")):
            path.unlink(missing_ok=True)

    def finish(
        self,
        cameras: CameraSettings,
        train: Sequence[str],
        test: Sequence[str],
        approve: Callable[[Path], None] | None = None,
    ) -> None:
        """Write camera.json and the split, and give the folder its name unless `approve` raises.

        A folder without poses has no split: both are empty, and no split file is written.
        """
        self._write(self.partial / CAMERA_FILE, (json.dumps(camera_file_content(cameras), indent=1) + "\n").encode())
        for file_name, sequences in zip(SPLIT_FILES, (train, test), strict=True) if train or test else ():
            self._write(self.partial / file_name, "".join(f"{name}\n" for name in sequences).encode())
        for rest in (path for pattern in ("*.part", "*/*.part") for path in self.partial.glob(pattern)):
            rest.unlink()
        if approve is not None:
            approve(self.partial)
        if self.out.exists():
            raise RecordingError(f"{self.out} was created by another process in the meantime; choose another folder.")
        try:
            replace_folder(self.partial, self.out)
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> RecordingError:
        return RecordingError(
            f"The folder {self.out} cannot be written ({error.strerror}): free disk space, or choose another folder."
        )

    def _path(self, name: FrameName, suffix: str) -> Path:
        return self.partial / name.sequence / f"frame-{name.index:06d}.{suffix}"

    def _write(self, path: Path, data: bytes) -> None:
        try:
            path.parent.mkdir(exist_ok=True)
            write_file(path, data, durable=False)  # all of the folder reaches the disk before it gets its name
        except OSError as error:
            raise self._unwritable(error) from error


def pose_text(T_map_camera: NDArray[np.float64]) -> str:
    """The content of a pose file: four rows, with all digits of float64."""
    return "\n".join("\t".join(repr(float(value)) for value in row) for row in T_map_camera) + "\n"


def _is_written(path: Path) -> bool:
    """Whether a file is there with its content, which after a power cut need not have reached the disk."""
    return path.is_file() and path.stat().st_size > 0
