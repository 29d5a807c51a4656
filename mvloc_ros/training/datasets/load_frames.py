# SPDX-License-Identifier: Apache-2.0
"""Frames of a recording as arrays: from the cache, or decoded into it, or in memory without a cache."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.model.modalities import pair_inputs
from mvloc_ros.model.preprocessing import DepthRegistration
from mvloc_ros.recordings import Folders, FrameRecord, PosedFolder, open_folders
from mvloc_ros.training.cache import Writer, default_cache_folder, open_or_build
from mvloc_ros.training.datasets.decoding import Decoding, decode_all, frames_key
from mvloc_ros.training.datasets.posed_frames import PosedFrames, UnreadableFrame, network_size
from mvloc_ros.training.errors import TrainingError
from mvloc_ros.training.options import MOST_UNREADABLE, InputConfig

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReadOptions:
    """How frames are read.

    Attributes:
        cache: folder of decoded frames; None: in memory only.
        max_unreadable: share of unreadable frames that are skipped; with more, reading fails. A single frame is always
            skipped, unless this is 0.
    """

    cache: Path | None = field(default_factory=default_cache_folder)
    max_unreadable: float = MOST_UNREADABLE

    def __post_init__(self) -> None:
        if not 0.0 <= self.max_unreadable <= 1.0:
            raise TrainingError(f"--max-unreadable {self.max_unreadable:g} must be from 0 to 1.")

    def allow(self, unreadable: int, of: int) -> bool:
        """Whether `unreadable` of `of` frames may be skipped."""
        most = math.floor(self.max_unreadable * of + 1e-9)
        return unreadable <= (max(1, most) if self.max_unreadable > 0.0 else 0)


def open_usable_folder(root: Folders, test_fraction: float, reading: ReadOptions) -> PosedFolder:
    """`open_folders`, with an error if too many frames have no usable pose or image.

    Raises:
        RecordingError, TrainingError: the folder cannot be used.
    """
    folder = open_folders(root, test_fraction)
    unreadable, total = len(folder.left_out), len(folder.left_out) + len(folder.train) + len(folder.test)
    if not reading.allow(unreadable, total):
        first = folder.left_out[0]
        raise TrainingError(
            f"{unreadable} of {total} frames of {folder.where} have no usable pose or image, more than the "
            f"{reading.max_unreadable:.1%} of --max-unreadable; the first is {first.reason}: {first.path}."
        )
    return folder


def read_frames(
    config: InputConfig, folder: PosedFolder, records: Sequence[FrameRecord], label: str, reading: ReadOptions
) -> PosedFrames:
    """The records of a folder as input of the network, named `label` in messages.

    Raises:
        TrainingError: there is no frame, too many are unreadable, or depth cannot be registered.
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
        tuple((sensor, sensor.input_at(config.short_side)) for sensor in config.sensors),
    )
    return load_decoded(records, decoding, label, reading)


def registration(config: InputConfig, folder: PosedFolder, height: int, width: int) -> DepthRegistration | None:
    """The registration of the depth of the folder to its color camera; None without --register-depth.

    Raises:
        TrainingError: the depth is already registered, or is a panorama, or the extrinsics are unknown.
    """
    if not config.register_depth:
        return None
    if folder.depth_registered:
        raise TrainingError(f"The depth of {folder.where} is already registered to its color; remove --register-depth.")
    if folder.depth_projection != "pinhole":
        raise TrainingError(
            f"The depth images of {folder.where} are panoramas, which cannot be registered; remove --register-depth."
        )
    if folder.T_color_depth is None:
        raise TrainingError(
            f"--register-depth needs the extrinsics of the cameras of {folder.where}; state T_color_depth in its "
            "camera.json."
        )
    return DepthRegistration.at_size(height, width, folder.depth_camera, folder.color_camera, folder.T_color_depth)


def load_frames(
    records: Sequence[FrameRecord], height: int, width: int, depth_units_per_metre: float, label: str
) -> PosedFrames:
    """Records with images of any size, without registration, with the default options.

    Raises:
        TrainingError: there is no frame, one has no pose, or too many are unreadable.
    """
    return load_decoded(records, Decoding(height, width, depth_units_per_metre), label, ReadOptions())


def load_decoded(records: Sequence[FrameRecord], decoding: Decoding, label: str, reading: ReadOptions) -> PosedFrames:
    """All readable frames, from the cache if possible; warns of the unreadable ones.

    Raises:
        TrainingError: there is no frame, one has no pose, or too many are unreadable.
    """
    if not records:
        raise TrainingError(f"There are no {label} frames; check the split of the folder.")
    if any(record.T_map_camera is None for record in records):
        raise TrainingError(f"{label.capitalize()} frames need a pose; remove those without one.")
    frames = None
    if reading.cache is not None:
        frames = _through_cache(reading.cache, records, decoding, label, reading)
    if frames is None:
        frames = _in_memory(records, decoding, label, reading)
    if frames.unreadable:
        first = frames.unreadable[0].reason
        _log.warning("%d of %d %s frames skipped; the first: %s", len(frames.unreadable), len(records), label, first)
    return frames


def _through_cache(
    cache: Path, records: Sequence[FrameRecord], decoding: Decoding, label: str, reading: ReadOptions
) -> PosedFrames | None:
    """The memory-mapped frames; None, with a warning, if the cache cannot be used."""

    def build(writer: Writer) -> dict[str, Any]:
        def put(images: Mapping[str, NDArray[Any]]) -> None:
            for name, image in images.items():
                writer.append(name, image)

        unreadable = _decode(records, decoding, label, reading, put)
        arrays = writer.seal()
        frames = PosedFrames.assemble(arrays, records, unreadable)
        files = [path for record in records for path in record.images().values()]
        return {
            "source": os.path.commonpath([path.absolute().parent for path in files]) if files else "",
            "label": label,
            "frames": len(frames),
            "size": [decoding.width, decoding.height],
            "lost": [[frame.sequence, frame.index, frame.reason] for frame in unreadable],
            "digest": frames.digest(),
        }

    needed_bytes = len(records) * sum(image.nbytes for image in _blank(decoding).values())
    try:
        stored = open_or_build(cache / frames_key(records, decoding), build, needed_bytes)
    except OSError as error:
        reason = error.strerror or error
        _log.warning(
            "The cache folder %s cannot be used (%s), so frames are kept in memory; see --cache.", cache, reason
        )
        return None
    try:
        unreadable = [
            UnreadableFrame(str(sequence), int(index), str(reason)) for sequence, index, reason in stored.notes["lost"]
        ]
        arrays = {name: stored.arrays[name] for name in _blank(decoding)}
        frames = PosedFrames.assemble(arrays, records, unreadable, str(stored.notes["digest"]))
    except (KeyError, TypeError, ValueError, IndexError) as error:
        _log.warning(
            "The cache folder %s cannot be used (its notes are damaged: %s), so frames are kept in "
            "memory; delete it with `mvloc cache clear`.", cache, error,
        )  # fmt: skip
        return None
    _require_enough(unreadable, len(records), label, reading)
    return frames


def _in_memory(records: Sequence[FrameRecord], decoding: Decoding, label: str, reading: ReadOptions) -> PosedFrames:
    arrays = {name: np.zeros((len(records), *image.shape), image.dtype) for name, image in _blank(decoding).items()}
    count = 0

    def put(images: Mapping[str, NDArray[Any]]) -> None:
        nonlocal count
        for name, image in images.items():
            arrays[name][count] = image
        count += 1

    unreadable = _decode(records, decoding, label, reading, put)
    return PosedFrames.assemble({name: array[:count] for name, array in arrays.items()}, records, unreadable)


def _blank(decoding: Decoding) -> dict[str, NDArray[Any]]:
    """The image of every modality of a frame that has none, by name in order."""
    further = (wanted for _, wanted in decoding.sensors)
    return {wanted.name: wanted.blank() for wanted in (*pair_inputs(decoding.height, decoding.width), *further)}


def _decode(
    records: Sequence[FrameRecord],
    decoding: Decoding,
    label: str,
    reading: ReadOptions,
    put: Callable[[Mapping[str, NDArray[Any]]], None],
) -> list[UnreadableFrame]:
    """Call `put` with the images of every readable frame; returns the unreadable ones."""
    blank = _blank(decoding)
    unreadable = []
    for frame in decode_all(records, decoding, label):
        if isinstance(frame, UnreadableFrame):
            unreadable.append(frame)
            continue
        pair = {"color": frame.color, "depth": frame.depth}
        put(blank | {name: image for name, image in pair.items() if image is not None} | dict(frame.further))
    _require_enough(unreadable, len(records), label, reading)
    return unreadable


def _require_enough(unreadable: Sequence[UnreadableFrame], total: int, label: str, reading: ReadOptions) -> None:
    if not unreadable or (len(unreadable) < total and reading.allow(len(unreadable), total)):
        return
    raise TrainingError(
        f"{len(unreadable)} of {total} {label} frames are unreadable, more than the {reading.max_unreadable:.1%} of "
        f"--max-unreadable; the first: {unreadable[0].reason}"
    )
