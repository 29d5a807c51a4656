# SPDX-License-Identifier: Apache-2.0
"""LIDAR scans around an image's time, brought together by visual odometry -> a depth map."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry import se3
from mvloc_ros.geometry.projection import transform_points
from mvloc_ros.geometry.trajectory import Interpolation
from mvloc_ros.recordings.errors import RecordingError
from mvloc_ros.recordings.robotcar.layout import MICROSECOND_NS, Traversal
from mvloc_ros.recordings.robotcar.scans import read_scan, scan_file
from mvloc_ros.recordings.robotcar.trajectories import Odometry

Array = NDArray[np.float64]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Window:
    """The scans that count, from `before_ns` before an image's stamp to `after_ns` after it.

    With `after_ns` = 0 a live system could have the same depth; anything later is known afterwards only.
    """

    before_ns: int
    after_ns: int = 0


@dataclass
class ScanAccumulator:
    """The scans of one LIDAR of a traversal; asked at increasing stamps it reads each file once.

    A scan without odometry at its time, or whose file is damaged, is left out and counted.
    """

    traversal: Traversal
    sensor: str
    T_vehicle_lidar: Array
    odometry: Odometry
    interpolation: Interpolation
    damaged: int = 0
    without_motion: int = 0
    _stamps: NDArray[np.int64] = field(init=False)
    _scans: dict[int, tuple[int, Array] | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._stamps = self.traversal.stamps_ns(self.sensor)

    def points(self, stamp_ns: int, window: Window) -> Array:
        """Points `[N, 3]` of the window in the vehicle's frame at the stamp; none where odometry is missing there."""
        first, last = stamp_ns - window.before_ns, stamp_ns + window.after_ns
        begin, end = np.searchsorted(self._stamps, first), np.searchsorted(self._stamps, last, side="right")
        self._scans = {stamp: scan for stamp, scan in self._scans.items() if stamp >= first}
        place = self.odometry.at(stamp_ns, self.interpolation)
        if place is None:
            return np.zeros((0, 3))
        segment, T_segment_vehicle = place
        scans = [self._scan(int(stamp)) for stamp in self._stamps[begin:end]]
        near = [points for scan in scans if scan is not None and scan[0] == segment for points in (scan[1],)]
        return transform_points(se3.inverse(T_segment_vehicle), np.concatenate([np.zeros((0, 3)), *near]))

    def _scan(self, stamp_ns: int) -> tuple[int, Array] | None:
        """The segment of odometry in which a scan was made and its points in the segment's frame."""
        if stamp_ns not in self._scans:
            self._scans[stamp_ns] = self._read(stamp_ns)
        return self._scans[stamp_ns]

    def _read(self, stamp_ns: int) -> tuple[int, Array] | None:
        path = scan_file(self.traversal.root / self.sensor, stamp_ns // MICROSECOND_NS)
        if path is None:
            return None
        place = self.odometry.at(stamp_ns, self.interpolation)
        if place is None:
            self.without_motion += 1
            return None
        try:
            points = read_scan(path, self.sensor)
        except RecordingError as error:
            self.damaged += 1
            if self.damaged == 1:
                _log.warning("%s Scans like it are left out.", error)
            return None
        return place[0], transform_points(place[1] @ self.T_vehicle_lidar, points)


def depth_map(
    accumulators: list[ScanAccumulator],
    stamp_ns: int,
    window: Window,
    T_image_vehicle: Array,
    project: Callable[[Array], NDArray[np.float32]],
) -> NDArray[np.float32]:
    """The depth map of an image: the points of all LIDARs in its optical frame, projected."""
    points = np.concatenate([accumulator.points(stamp_ns, window) for accumulator in accumulators])
    return project(transform_points(T_image_vehicle, points))
