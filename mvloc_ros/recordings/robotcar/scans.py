# SPDX-License-Identifier: Apache-2.0
"""RobotCar's LIDAR files -> points `[N, 3]` float64 in the sensor's frame.

LMS (2D, `.bin`): float64 triplets x, y, reflectance; the scan's plane is z = 0. LD-MRS (`.bin`): float64
triplets x, y, z. Velodyne HDL-32E: `.bin` float32 4 x N (x, y, z, intensity), or the raw `.png`, whose columns
are firings: 32 rows of intensity, 64 of range (uint16, low byte above high byte, 2 mm), 2 of azimuth (uint16,
hundredths of a degree), 8 of time. A turn takes 50 ms, in which the vehicle's motion is not undone.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.file_reader import ReadError, read_file
from mvloc_ros.geometry.projection import measured_points
from mvloc_ros.limits import MOST_IMAGE_FILE_BYTES
from mvloc_ros.recordings.errors import RecordingError
from mvloc_ros.recordings.images import read_gray

Array = NDArray[np.float64]

RANGE_UNIT_M = 0.002
NEAREST_M = 1.0
"""A Velodyne's shorter ranges are reflections of its own vehicle, and 0 is no return."""
FIRE_HEIGHT_M = 0.090805
# HDL-32E: 32 lasers, 4/3 degrees apart, from 30.67 degrees below to 10.67 above; mounted z down.
ELEVATIONS = np.radians(np.arange(32) * 4.0 / 3.0 - 32.0 / 3.0)
_PNG_ROWS = 106


def scan_file(folder: Path, stamp_us: int) -> Path | None:
    """The file of a scan in either form; None where it was not downloaded."""
    return next((path for suffix in (".bin", ".png") if (path := folder / f"{stamp_us}{suffix}").is_file()), None)


def read_scan(path: Path, sensor: str) -> Array:
    """The points of one file; what is no measurement (not finite, or 0, 0, 0) is left out.

    Raises RecordingError where the file is damaged.
    """
    if sensor.startswith("velodyne"):
        points = _velodyne_raw(path) if path.suffix == ".png" else _velodyne_points(path)
    else:
        points = _numbers(path, "<f8", 3).reshape(-1, 3)
        if sensor != "ldmrs":
            points[:, 2] = 0.0
    return measured_points(points)


def _velodyne_points(path: Path) -> Array:
    return np.ascontiguousarray(_numbers(path, "<f4", 4).reshape(4, -1)[:3].T)


def _numbers(path: Path, kind: str, group: int) -> Array:
    try:
        data = read_file(path, MOST_IMAGE_FILE_BYTES)
    except ReadError as error:
        raise RecordingError(f"The scan {path} cannot be read ({error.strerror}).") from error
    if len(data) % (group * np.dtype(kind).itemsize):
        raise RecordingError(f"The scan {path} is damaged (it ends within a point): copy it again.")
    return np.frombuffer(data, dtype=kind).astype(np.float64)


def _velodyne_raw(path: Path) -> Array:
    image = read_gray(path)
    if image.shape[0] != _PNG_ROWS:
        raise RecordingError(f"{path} has {image.shape[0]} rows, but a raw Velodyne scan has {_PNG_ROWS}.")
    # Two bytes of one number lie above each other.
    ranges = (image[32:96:2].astype(np.uint16) | image[33:96:2].astype(np.uint16) << 8) * RANGE_UNIT_M
    azimuth = (image[96].astype(np.uint16) | image[97].astype(np.uint16) << 8) * (math.pi / 18000.0)
    level = ranges * np.cos(ELEVATIONS)[:, None]
    points = np.stack(
        [level * np.sin(azimuth), -level * np.cos(azimuth), ranges * np.sin(ELEVATIONS)[:, None] - FIRE_HEIGHT_M],
        axis=-1,
    )
    return np.asarray(points[ranges > NEAREST_M], dtype=np.float64)
