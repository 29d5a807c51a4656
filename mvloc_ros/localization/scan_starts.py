# SPDX-License-Identifier: Apache-2.0
"""Starts for registration where depth alone tells: the places of the map that the last moments' scan fits.

A search takes tens of milliseconds and gives many places, of which one frame can try a few. So one search serves the
frames that follow, whose starts are carried along odometry, until all are tried.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry import se3
from mvloc_ros.localization.hypotheses import same_place
from mvloc_ros.localization.level_scan import LAYERS_M, DepthScan, LevelScan, ScanHistory
from mvloc_ros.localization.pose import Pose
from mvloc_ros.localization.scan_map import ScanMap
from mvloc_ros.localization.sensor_rig import SensorRig
from mvloc_ros.localization.starts import NEAR_KEYFRAME, SCAN, Start
from mvloc_ros.model.frame import ColorImage, DepthImage

Array = NDArray[np.float64]

PLACES = 12
"""That one search gives."""
_PER_FRAME, _PER_EXPECTED_FRAME = 3, 1
# Where the camera is expected somewhere, it is looked for elsewhere this seldom.
_EXPECTED_PERIOD_NS = 5_000_000_000
# Without odometry the places of an earlier search are of where the camera was.
_STANDS_NS = 500_000_000


class ScanStarts:
    """The starts of one stream of frames. Owned by one thread."""

    def __init__(self, scan_map: ScanMap, search_s: float | None = None) -> None:
        """Begin with nothing seen; `search_s` is what a search takes, None: measured now."""
        self._map = scan_map
        self._search_s = _measured_s(scan_map) if search_s is None else search_s
        self._history = ScanHistory(scan_map.motion, scan_map.bottom_m)
        self._left: list[Array] = []
        self._found_ns = 0
        self._T_odom_camera: Array | None = None

    def for_another_stream(self) -> ScanStarts:
        """The same that has seen nothing."""
        return ScanStarts(self._map, self._search_s)

    def forget(self) -> None:
        """Begin again: what was seen before a place was known says nothing of where the camera is now."""
        self._history.forget()
        self._left = []

    def of(
        self,
        scans: Sequence[DepthScan],
        stamp_ns: int,
        T_odom_camera: Array | None,
        deadline: float,
        without: Sequence[Pose],
        *,
        is_expected: bool,
    ) -> list[Start]:
        """The next places to try; none where a search would take until after the deadline.

        Args:
            scans: what each depth sensor sees, in the frame of the camera whose pose is looked for.
            stamp_ns: of the image.
            T_odom_camera: 4x4 of that camera; None without odometry.
            deadline: time.perf_counter().
            without: poses that are tried anyway.
            is_expected: whether the camera is expected somewhere.
        """
        if self._history.has_jumped(stamp_ns, T_odom_camera):
            self.forget()
        scan = self._history.with_images(scans, stamp_ns, T_odom_camera)
        if not self._are_usable(stamp_ns, T_odom_camera):
            self._left = []
        waits = is_expected and 0 <= stamp_ns - self._found_ns < _EXPECTED_PERIOD_NS
        if not self._left and not waits and time.perf_counter() + self._search_s < deadline:
            began = time.perf_counter()
            self._left = self._map.find(scan, PLACES)
            self._search_s = 0.5 * (self._search_s + time.perf_counter() - began)
            self._found_ns, self._T_odom_camera = stamp_ns, T_odom_camera
        moved = np.eye(4)
        if self._T_odom_camera is not None and T_odom_camera is not None:
            moved = se3.inverse(self._T_odom_camera) @ T_odom_camera
        starts: list[Start] = []
        while self._left and len(starts) < (_PER_EXPECTED_FRAME if is_expected else _PER_FRAME):
            T = self._left.pop(0) @ moved
            if not any(same_place(T, pose.T) for pose in without):
                starts.append(Start(SCAN, T, NEAR_KEYFRAME))
        return starts

    def _are_usable(self, stamp_ns: int, T_odom_camera: Array | None) -> bool:
        """Whether the places of the last search are still those of this frame's camera."""
        age_ns = stamp_ns - self._found_ns
        if (self._T_odom_camera is None) != (T_odom_camera is None):
            return False
        return age_ns >= 0 and (T_odom_camera is not None or age_ns <= _STANDS_NS)


def depth_scans(
    rig: SensorRig, depth: DepthImage | None, further: Mapping[str, ColorImage | DepthImage]
) -> tuple[DepthScan, ...]:
    """What all depth sensors of which there are images see, in the frame of the camera whose pose is looked for."""
    pair = () if depth is None else ((rig.depth, depth, rig.T_camera_depth),)
    others = ((one.depth, further.get(one.name), rig.T_camera_depth @ one.T_depth_sensor) for one in rig.depths)
    return tuple(
        DepthScan(camera.points(image), np.zeros(3)).moved(T)
        for camera, image, T in (*pair, *others)
        if isinstance(image, DepthImage)
    )


def _measured_s(scan_map: ScanMap) -> float:
    """What a search takes with a scan of usual size."""
    angles = np.linspace(-0.5, 0.5, 100)
    arc = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    scan = LevelScan((4.0 * arc,) * len(LAYERS_M), (3.0 * arc, 2.0 * arc) * (len(LAYERS_M) // 2))
    began = time.perf_counter()
    scan_map.find(scan, PLACES)
    return time.perf_counter() - began
