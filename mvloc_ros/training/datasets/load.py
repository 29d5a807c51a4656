# SPDX-License-Identifier: Apache-2.0
"""Frames of a recording as arrays: out of the cache, or decoded into it; in memory where there is no cache."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.inference.preprocess import DepthRegistration
from mvloc_ros.recordings import FrameRecord, PosedFolder, open_folder
from mvloc_ros.training.cache import Writer, default_place, open_or_build
from mvloc_ros.training.datasets.arrays import LostFrame, PosedFrames, network_size
from mvloc_ros.training.datasets.decoding import Decoding, decode_all, frames_key
from mvloc_ros.training.errors import TrainingError
from mvloc_ros.training.options import MOST_UNREADABLE, InputConfig

BYTES_PER_PIXEL = 3 + 4  # colour, and depth as float32
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reading:
    """How frames are read.

    Attributes:
        cache: folder where decoded frames are kept; None: in memory alone.
        max_unreadable: share of the frames that may be damaged and are left out; above it reading ends. A single
            frame never ends it, unless this is 0.
    """

    cache: Path | None = field(default_factory=default_place)
    max_unreadable: float = MOST_UNREADABLE

    def __post_init__(self) -> None:
        if not 0.0 <= self.max_unreadable <= 1.0:
            raise TrainingError(f"--max-unreadable {self.max_unreadable:g} must be at least 0 and at most 1.")

    def allow(self, unreadable: int, of: int) -> bool:
        """Whether so many of so many frames may be left out."""
        most = math.floor(self.max_unreadable * of + 1e-9)
        return unreadable <= (max(1, most) if self.max_unreadable > 0.0 else 0)


def open_readable(root: Path | str, test_fraction: float, reading: Reading) -> PosedFolder:
    """`open_folder`, where not too many frames lack a usable pose.

    Raises:
        RecordingError, TrainingError: the folder does not serve.
    """
    folder = open_folder(root, test_fraction)
    lost, total = len(folder.left_out), len(folder.left_out) + len(folder.train) + len(folder.test)
    if not reading.allow(lost, total):
        first = folder.left_out[0]
        raise TrainingError(
            f"{lost} of {total} frames of {folder.root} have no usable pose or image, more than the "
            f"{reading.max_unreadable:.1%} that --max-unreadable allows; the first is {first.reason}: {first.path}."
        )
    return folder


def read_frames(
    config: InputConfig, folder: PosedFolder, records: Sequence[FrameRecord], label: str, reading: Reading
) -> PosedFrames:
    """The records of a folder as a network with this input sees them, named `label` in what is printed.

    Raises:
        TrainingError: there is no frame, too many cannot be read, or depth cannot be registered.
    """
    height, width = network_size(folder.color_camera, config.short_side)
    color, depth = folder.color_camera, folder.depth_camera
    decoding = Decoding(
        height,
        width,
        folder.depth_units_per_metre,
        (color.width, color.height),
        (depth.width, depth.height),
        registration(config, folder, height, width),
        config.depth_of_points,
    )
    return load_decoded(records, decoding, label, reading)


def registration(config: InputConfig, folder: PosedFolder, height: int, width: int) -> DepthRegistration | None:
    """What carries the folder's depth into its colour camera; None where that is not asked for.

    Raises:
        TrainingError: the depth is registered already, or is a panorama, or nothing says where the cameras are.
    """
    if not config.register_depth:
        return None
    if folder.depth_registered:
        raise TrainingError(f"The depth of {folder.root} is registered to its colour; leave --register-depth away.")
    if folder.depth_projection != "pinhole":
        raise TrainingError(
            f"The depth images of {folder.root} are panoramas, which no camera registers; leave --register-depth away."
        )
    if folder.T_color_depth is None:
        raise TrainingError(
            f"--register-depth must know how the cameras of {folder.root} sit to each other; state T_color_depth in "
            "its camera.json."
        )
    return DepthRegistration.at_size(height, width, folder.depth_camera, folder.color_camera, folder.T_color_depth)


def load_frames(
    records: Sequence[FrameRecord], height: int, width: int, depth_units_per_metre: float, label: str
) -> PosedFrames:
    """Records of images of any size and of depth that stays as it is, read as by default.

    Raises:
        TrainingError: there is no frame, one has no pose, or too many cannot be read.
    """
    return load_decoded(records, Decoding(height, width, depth_units_per_metre), label, Reading())


def load_decoded(records: Sequence[FrameRecord], decoding: Decoding, label: str, reading: Reading) -> PosedFrames:
    """All frames that can be read, out of the cache where it has them; says how many cannot.

    Raises:
        TrainingError: there is no frame, one has no pose, or too many cannot be read.
    """
    if not records:
        raise TrainingError(f"There are no {label} frames; check the folder's split.")
    if any(record.T_map_camera is None for record in records):
        raise TrainingError(f"Frames without a pose cannot serve as {label} frames; leave them out.")
    frames = None
    if reading.cache is not None:
        frames = _through_cache(reading.cache, records, decoding, label, reading)
    if frames is None:
        frames = _in_memory(records, decoding, label, reading)
    if frames.lost:
        first = frames.lost[0].reason
        _log.warning("%d of %d %s frames left out; the first: %s", len(frames.lost), len(records), label, first)
    return frames


def _through_cache(
    place: Path, records: Sequence[FrameRecord], decoding: Decoding, label: str, reading: Reading
) -> PosedFrames | None:
    """The frames, mapped; None, after a sentence, where the cache cannot be used."""

    def build(writer: Writer) -> dict[str, Any]:
        def put(color: NDArray[np.uint8], depth: NDArray[np.float32]) -> None:
            writer.append("color", color)
            writer.append("depth", depth)

        lost = _decode(records, decoding, label, reading, put)
        arrays = writer.seal()
        frames = PosedFrames.assemble(arrays["color"], arrays["depth"], records, lost)
        files = [path for record in records for path in (record.color, record.depth) if path is not None]
        return {
            "source": os.path.commonpath([path.absolute().parent for path in files]) if files else "",
            "label": label,
            "frames": len(frames),
            "size": [decoding.width, decoding.height],
            "lost": [[frame.sequence, frame.index, frame.reason] for frame in lost],
            "digest": frames.digest(),
        }

    room = len(records) * decoding.height * decoding.width * BYTES_PER_PIXEL
    try:
        stored = open_or_build(place / frames_key(records, decoding), build, room)
    except OSError as error:
        reason = error.strerror or error
        _log.warning(
            "The cache folder %s cannot be used (%s), so frames are kept in memory; see --cache.", place, reason
        )
        return None
    try:
        lost = [LostFrame(str(sequence), int(index), str(reason)) for sequence, index, reason in stored.notes["lost"]]
        arrays, digest = stored.arrays, str(stored.notes["digest"])
        frames = PosedFrames.assemble(arrays["color"], arrays["depth"], records, lost, digest)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        _log.warning(
            "The cache folder %s cannot be used (its notes are not as they were written: %s), so frames are kept in "
            "memory; delete it with `mvloc cache clear`.", place, error,
        )  # fmt: skip
        return None
    _require_enough(lost, len(records), label, reading)
    return frames


def _in_memory(records: Sequence[FrameRecord], decoding: Decoding, label: str, reading: Reading) -> PosedFrames:
    colors = np.zeros((len(records), decoding.height, decoding.width, 3), dtype=np.uint8)
    depths = np.zeros(colors.shape[:3], dtype=np.float32)
    count = 0

    def put(color: NDArray[np.uint8], depth: NDArray[np.float32]) -> None:
        nonlocal count
        colors[count], depths[count] = color, depth
        count += 1

    lost = _decode(records, decoding, label, reading, put)
    return PosedFrames.assemble(colors[:count], depths[:count], records, lost)


def _decode(
    records: Sequence[FrameRecord],
    decoding: Decoding,
    label: str,
    reading: Reading,
    put: Callable[[NDArray[np.uint8], NDArray[np.float32]], None],
) -> list[LostFrame]:
    """Hand the images of every frame that can be read to `put`; the others are returned."""
    no_color = np.zeros((decoding.height, decoding.width, 3), dtype=np.uint8)
    no_depth = np.zeros(no_color.shape[:2], dtype=np.float32)
    lost = []
    for frame in decode_all(records, decoding, label):
        if isinstance(frame, LostFrame):
            lost.append(frame)
            continue
        put(no_color if frame.color is None else frame.color, no_depth if frame.depth is None else frame.depth)
    _require_enough(lost, len(records), label, reading)
    return lost


def _require_enough(lost: Sequence[LostFrame], total: int, label: str, reading: Reading) -> None:
    if not lost or (len(lost) < total and reading.allow(len(lost), total)):
        return
    raise TrainingError(
        f"{len(lost)} of {total} {label} frames cannot be read, more than the {reading.max_unreadable:.1%} that "
        f"--max-unreadable allows; the first: {lost[0].reason}"
    )
