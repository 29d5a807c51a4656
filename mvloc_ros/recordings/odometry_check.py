# SPDX-License-Identifier: Apache-2.0
"""Whether odometry and the camera's place on the robot tell the motions that the poses of a folder tell."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry import se3
from mvloc_ros.recordings.frames import FrameRecord, PosedFolder

Array = NDArray[np.float64]

# Motions over this time are compared; those of a camera that hardly moves tell nothing.
_STEP_S, _LEAST_M, _LEAST_RAD = 1.0, 0.1, np.deg2rad(5.0)
_FEWEST = 5
# What drift, slip and a place that is a little off may make, median: a share of the way and in any case; of the turn.
_SHARE, _METRES, _RADIANS = 0.1, 0.05, np.deg2rad(3.0)


def contradiction(folder: PosedFolder, T_base_camera: Array, T_odom_base: Mapping[tuple[str, int], Array]) -> str:
    """By how much they differ, in words; empty where they agree or there is too little motion to compare.

    Args:
        folder: its poses are T_map_camera.
        T_base_camera: 4x4, of the camera whose poses they are.
        T_odom_base: of frames by sequence and number, as `odometry_of`.
    """
    known = [frame for frame in folder.frames() if (frame.sequence, frame.index) in T_odom_base]
    apart = [_apart(a, b, T_base_camera, T_odom_base) for a, b in _pairs(known)]
    moved = np.array([found for found in apart if found is not None])
    if len(moved) < _FEWEST:
        return ""
    metres, radians, way = np.median(moved, axis=0)
    if metres <= _METRES + _SHARE * way and radians <= _RADIANS:
        return ""
    return (
        f"the odometry and the true poses differ by {metres:.2f} m and {np.rad2deg(radians):.1f} degrees in "
        f"{_STEP_S:g} s of motion (median of {len(moved)}): correct odometry.tum, or T_base_camera in camera.json"
    )


def _pairs(frames: list[FrameRecord]) -> list[tuple[FrameRecord, FrameRecord]]:
    """Frames of one sequence and the first one that is a second later."""
    pairs, first = [], None
    for frame in frames:
        if first is None or first.sequence != frame.sequence:
            first = frame
        elif frame.stamp_ns - first.stamp_ns >= _STEP_S * 1e9:
            pairs += [(first, frame)] if frame.stamp_ns - first.stamp_ns < 2e9 * _STEP_S else []
            first = frame
    return pairs


def _apart(
    a: FrameRecord, b: FrameRecord, T_base_camera: Array, T_odom_base: Mapping[tuple[str, int], Array]
) -> tuple[float, float, float] | None:
    """By how many meters and radians two motions differ, and the meters of the true one; None of hardly any motion."""
    if a.T_map_camera is None or b.T_map_camera is None:
        return None
    true = se3.inverse(a.T_map_camera) @ b.T_map_camera
    then, now = (T_odom_base[frame.sequence, frame.index] @ T_base_camera for frame in (a, b))
    way, turn = float(np.linalg.norm(true[:3, 3])), float(se3.rotation_error(true, np.eye(4)))
    if way < _LEAST_M and turn < _LEAST_RAD:
        return None
    told = se3.inverse(then) @ now
    return float(se3.translation_error(true, told)), float(se3.rotation_error(true, told)), way
