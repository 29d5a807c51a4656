# SPDX-License-Identifier: Apache-2.0
"""Decodes image files to frames at the size of the network input, in parallel.

Resizing and registration of raw depth use the functions of the node, so that the network gets the same input in
training and at run time.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from mvloc_ros.model.modalities import ModalityInput, Sensor
from mvloc_ros.model.preprocessing import DepthRegistration, resize_color, resize_depth
from mvloc_ros.recordings import FrameRecord, RecordingError, read_color, read_depth
from mvloc_ros.recordings.images import read_gray
from mvloc_ros.training.datasets.posed_frames import UnreadableFrame

CACHE_FORMAT = 1  # of the stored arrays; increment it with every change of their values
AHEAD = 4  # frames that each thread decodes in advance

Pixels = TypeVar("Pixels", bound=np.generic)


@dataclass(frozen=True)
class Decoded:
    """Color uint8 `[H, W, 3]` and depth float32 `[H, W]` in meters of one frame, None if missing.

    `further` are the images of the further sensors that the frame has, by name.
    """

    color: NDArray[np.uint8] | None
    depth: NDArray[np.float32] | None
    further: Mapping[str, NDArray[Any]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Decoding:
    """Everything that determines the arrays, except for the files.

    Attributes:
        height, width: of the network input.
        depth_units_per_metre: value of a depth pixel at one meter.
        color_size, depth_size: required (width, height) of the images; None: any.
        registration: registers raw depth to the color camera; None: depth is not registered.
        depth_of_points: whether depth is resized as sparse points (`resize_depth`).
        sensors: the further sensors that are read, each with what the network takes of it.
    """

    height: int
    width: int
    depth_units_per_metre: float
    color_size: tuple[int, int] | None = None
    depth_size: tuple[int, int] | None = None
    registration: DepthRegistration | None = None
    depth_of_points: bool = False
    sensors: tuple[tuple[Sensor, ModalityInput], ...] = ()

    def read(self, record: FrameRecord) -> Decoded | UnreadableFrame:
        """The frame of a record."""
        try:
            if record.T_map_camera is not None and not np.all(np.isfinite(record.T_map_camera)):
                raise RecordingError(f"The pose of frame {record.index} of {record.sequence} is not finite.")
            paths = dict(record.further)
            further = {
                sensor.name: _image_of(sensor, paths[sensor.name], wanted)
                for sensor, wanted in self.sensors
                if sensor.name in paths
            }
            return Decoded(self._color(record), self._depth(record), further)
        except RecordingError as error:
            return UnreadableFrame(record.sequence, record.index, str(error))

    def _color(self, record: FrameRecord) -> NDArray[np.uint8] | None:
        if record.color is None:
            return None
        image = _sized(record.color, read_color(record.color), self.color_size)
        return resize_color(image, self.height, self.width)

    def _depth(self, record: FrameRecord) -> NDArray[np.float32] | None:
        if record.depth is None:
            return None
        metres = _sized(record.depth, read_depth(record.depth, self.depth_units_per_metre), self.depth_size)
        if self.registration is None:
            resized = resize_depth(metres, self.height, self.width, self.depth_of_points)
            return np.asarray(resized, dtype=np.float32)
        resized = resize_depth(metres, *self.registration.depth_size, self.depth_of_points)
        return self.registration.apply(np.asarray(resized, dtype=np.float32))

    def describe(self) -> dict[str, Any]:
        """Plain values for the cache key."""
        values = {**vars(self), "format": CACHE_FORMAT, "opencv": cv2.__version__}
        if not self.depth_of_points:
            # Caches of older versions have no such key.
            del values["depth_of_points"]
        del values["sensors"]
        if self.sensors:
            # Their poses do not change their images.
            values["sensors"] = [
                [sensor.name, sensor.kind, wanted.height, wanted.width, sensor.units_per_metre]
                for sensor, wanted in self.sensors
            ]
        if self.registration is not None:
            cameras = self.registration.depth_camera.to_dict(), self.registration.color_camera.to_dict()
            values["registration"] = [*cameras, self.registration.T_color_depth.tolist()]
        return values


def _image_of(sensor: Sensor, path: Path, wanted: ModalityInput) -> NDArray[Any]:
    """The image of a further sensor at the size of the network's input."""
    size = sensor.camera.width, sensor.camera.height
    if sensor.kind == "depth":
        metres = _sized(path, read_depth(path, sensor.units_per_metre), size)
        return np.asarray(resize_depth(metres, wanted.height, wanted.width), dtype=np.float32)
    image = read_color(path) if sensor.kind == "color" else read_gray(path)
    return resize_color(_sized(path, image, size), wanted.height, wanted.width)


def _sized(path: Path, image: NDArray[Pixels], size: tuple[int, int] | None) -> NDArray[Pixels]:
    height, width = image.shape[:2]
    if size is not None and (width, height) != size:
        raise RecordingError(
            f"The image {path} has {width}x{height} pixels instead of the {size[0]}x{size[1]} of the folder."
        )
    return image


def decode_all(records: Sequence[FrameRecord], decoding: Decoding, label: str) -> Iterator[Decoded | UnreadableFrame]:
    """The frames of all records, in their order, with a progress bar named `label`.

    OpenCV and zlib release the global interpreter lock, so threads run in parallel.
    """
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    waiting: deque[Future[Decoded | UnreadableFrame]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")
    try:
        for record in tqdm(records, desc=f"reading {label} frames", unit="frame"):
            waiting.append(pool.submit(decoding.read, record))
            if len(waiting) > AHEAD * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def frames_key(records: Sequence[FrameRecord], decoding: Decoding) -> str:
    """Cache key of 32 hexadecimal digits: a digest of everything that determines the arrays of the records.

    Files are identified by path, size and modification time.
    """
    digest = hashlib.sha256(json.dumps(decoding.describe(), sort_keys=True).encode())
    for record in records:
        pose = b"" if record.T_map_camera is None else np.ascontiguousarray(record.T_map_camera, np.float64).tobytes()
        images = [_identity(path) for path in (record.color, record.depth)]
        further = dict(record.further)
        images += [_identity(further.get(sensor.name)) for sensor, _ in decoding.sensors]
        digest.update(repr((record.sequence, record.index, record.stamp_ns, images)).encode() + pose)
    return digest.hexdigest()[:32]


def _identity(path: Path | None) -> tuple[str, int, int] | None:
    if path is None:
        return None
    try:
        found = path.stat()
    except OSError:
        return str(path.absolute()), -1, 0
    return str(path.absolute()), found.st_size, found.st_mtime_ns
