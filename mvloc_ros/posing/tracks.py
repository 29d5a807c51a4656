# SPDX-License-Identifier: Apache-2.0
"""What odometry makes of one recording: keyframes and the frames between them, and what the next view is aligned to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry.projection import transform_points
from mvloc_ros.localization.local_features import Matches, match
from mvloc_ros.posing.alignment import Target
from mvloc_ros.posing.base_odometry import BaseOdometry
from mvloc_ros.posing.imu_motion import ImuMotion
from mvloc_ros.posing.view import View
from mvloc_ros.recordings import FrameRecord

Array = NDArray[np.float64]

SPACING_M = 0.025
"""Of the points of a surface that is aligned to."""
# Keyframes that a view is aligned to, the last ones; and of these the ones whose features it is matched with.
_RECENT, _MATCHED = 6, 2


@dataclass(frozen=True, eq=False)
class Keyframe:
    """A view that others are aligned to.

    Attributes:
        view: what it shows.
        T: 4x4, camera in the frame of the track.
        information: `[6, 6]` of its pose relative to the keyframes before, in the track's axes.
    """

    view: View
    T: Array
    information: Array


@dataclass(frozen=True, eq=False)
class TrackedFrame:
    """A frame by its keyframe: number in the track, and T_keyframe_camera (4x4)."""

    record: FrameRecord
    keyframe: int
    T_keyframe_camera: Array


@dataclass(eq=False)
class Track:
    """Consecutive views of one recording in one frame.

    Attributes:
        sequence: number of the recording.
        keyframes: in order of time.
        frames: all that were aligned, keyframes among them.
        odometry: the robot's; None without.
        imu: None without.
    """

    sequence: int
    keyframes: list[Keyframe] = field(default_factory=list)
    frames: list[TrackedFrame] = field(default_factory=list)
    odometry: BaseOdometry | None = None
    imu: ImuMotion | None = None


@dataclass(frozen=True)
class Missed:
    """A frame without a pose, and why."""

    record: FrameRecord
    reason: str


def fused(keyframes: Iterable[Keyframe], T_to: Array | None = None) -> Target:
    """The surfaces of keyframes in one, in their track's frame or as `T_to` (4x4) maps it."""
    points, normals = [], []
    for keyframe in keyframes:
        T = keyframe.T if T_to is None else T_to @ keyframe.T
        points.append(transform_points(T, keyframe.view.points))
        normals.append(keyframe.view.normals @ T[:3, :3].T)
    return Target.of(np.concatenate(points), np.concatenate(normals), SPACING_M)


def recent(keyframes: Sequence[Keyframe]) -> Target:
    """The surfaces that the next view is aligned to, in their track's frame."""
    return fused(keyframes[-_RECENT:])


def matched(view: View, keyframes: Sequence[Keyframe]) -> Matches:
    """Features of the next view and where the last keyframes have them, in their track's frame."""
    found = [match(view.features, keyframe.view.features, keyframe.T) for keyframe in keyframes[-_MATCHED:]]
    return Matches(*(np.concatenate(parts) for parts in zip(*((m.seen, m.mapped) for m in found), strict=True)))
