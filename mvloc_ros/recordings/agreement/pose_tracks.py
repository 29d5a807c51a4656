# SPDX-License-Identifier: Apache-2.0
"""Where the depth camera was at each depth image, as the folder says and with another time or meaning of the poses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry import se3
from mvloc_ros.recordings.frames import FrameRecord, PosedFolder

Array = NDArray[np.float64]
ChangePoses = Callable[[Array], Array]

_LARGEST_GAP_NS = 250_000_000
"""Poses further apart are not interpolated."""


@dataclass(frozen=True, eq=False)
class PoseTracks:
    """The poses of a folder's frames, in order of time, that have a depth image and a pose.

    Attributes:
        frames: those frames.
        sequence: number of each frame's sequence, `[N]`.
        posed_ns, depth_ns: time of each frame's pose and of its depth image, int64 `[N]`.
        T_map_camera: `[N, 4, 4]`, of the camera that the poses are of.
        T_camera_depth: the depth camera in that one.
    """

    frames: tuple[FrameRecord, ...]
    sequence: NDArray[np.int64]
    posed_ns: NDArray[np.int64]
    depth_ns: NDArray[np.int64]
    T_map_camera: Array
    T_camera_depth: Array

    def depth_poses(self, picked: NDArray[np.intp], shift_ns: int = 0, change: ChangePoses | None = None) -> Array:
        """T_map_depth `[M, 4, 4]` of some frames at their depth image's time plus a shift; NaN where there is none.

        `change` is what is to be done with T_map_camera `[M, 4, 4]` first.
        """
        T = self._at(picked, shift_ns)
        return (T if change is None else change(T)) @ self.T_camera_depth

    def _at(self, picked: NDArray[np.intp], shift_ns: int) -> Array:
        wanted = self.depth_ns[picked] + shift_ns
        result = np.full((len(picked), 4, 4), np.nan)
        for number in np.unique(self.sequence[picked]):
            own = np.flatnonzero(self.sequence == number)
            of = np.flatnonzero(self.sequence[picked] == number)
            result[of] = _interpolated(self.posed_ns[own], self.T_map_camera[own], wanted[of])
        if shift_ns == 0:
            # A pose at the very edge, or alone in its gap, is as near as the colour image is to the depth image.
            missing = np.isnan(result[:, 0, 0])
            result[missing] = self.T_map_camera[picked[missing]]
        return result


def _interpolated(stamps: NDArray[np.int64], poses: Array, wanted: NDArray[np.int64]) -> Array:
    """Poses `[M, 4, 4]` at the wanted stamps; NaN outside of the track and in its gaps."""
    if len(stamps) == 1:
        same = (wanted == stamps[0])[:, None, None]
        return np.where(same, poses[0], np.nan)
    after = np.clip(np.searchsorted(stamps, wanted), 1, len(stamps) - 1)
    start, end = stamps[after - 1], stamps[after]
    step = np.maximum(end - start, 1)
    alpha = (wanted - start) / step
    result = se3.interpolate(poses[after - 1], poses[after], alpha)
    result[alpha == 0.0], result[alpha == 1.0] = poses[after - 1][alpha == 0.0], poses[after][alpha == 1.0]
    between = (alpha > 0.0) & (alpha < 1.0) & (end - start > _LARGEST_GAP_NS)
    result[(alpha < 0.0) | (alpha > 1.0) | between] = np.nan
    return result


def pose_tracks(folder: PosedFolder) -> PoseTracks:
    """The tracks of a folder; where nothing says how its cameras sit, they are taken to be in one place."""
    frames = tuple(frame for frame in folder.frames() if frame.depth is not None and frame.T_map_camera is not None)
    depth_ns = np.array([_depth_ns(frame) for frame in frames], dtype=np.int64)
    of_color = folder.pose_of == "color"
    apart = of_color and not folder.depth_registered and folder.T_color_depth is not None
    return PoseTracks(
        frames,
        np.unique([frame.sequence for frame in frames], return_inverse=True)[1].astype(np.int64),
        np.array([frame.stamp_ns for frame in frames], dtype=np.int64) if of_color else depth_ns,
        depth_ns,
        np.array([frame.T_map_camera for frame in frames], dtype=np.float64).reshape(-1, 4, 4),
        np.asarray(folder.T_color_depth) if apart else np.eye(4),
    )


def _depth_ns(frame: FrameRecord) -> int:
    return frame.stamp_ns if frame.depth_stamp_ns is None else frame.depth_stamp_ns
