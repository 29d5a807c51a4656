# SPDX-License-Identifier: Apache-2.0
"""Are the poses of several folders in one map frame? Depth of each is projected into frames of the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry import se3
from mvloc_ros.recordings.agreement.check import LEAST_POINTS, REFUSED_BELOW, WARNED_BELOW
from mvloc_ros.recordings.agreement.comparison import compare
from mvloc_ros.recordings.agreement.depth_views import DepthViews
from mvloc_ros.recordings.agreement.pose_tracks import PoseTracks, pose_tracks
from mvloc_ros.recordings.frames import PosedFolder

Array = NDArray[np.float64]

_CANDIDATES, _PAIRS = 96, 24
_MOST_APART_M, _MOST_TURNED_RAD = 1.0, 0.5
"""Frames of two recordings are compared if the camera is about where it was and looks there."""


@dataclass(frozen=True)
class AcrossAgreement:
    """What the check found.

    Attributes:
        skipped: why nothing was compared, as a clause; empty where it was.
        apart: by the poses, no two frames of the recordings are near each other.
        share: of these points, those that agree.
        points, pairs: how many agree or contradict, and in how many pairs of frames.
    """

    skipped: str = ""
    apart: bool = False
    share: float = float("nan")
    points: int = 0
    pairs: int = 0

    @property
    def refused(self) -> bool:
        """Whether the poses cannot be in one frame."""
        return not self.skipped and not self.share >= REFUSED_BELOW

    @property
    def questionable(self) -> bool:
        """Whether the user should check something."""
        return not self.skipped and not self.share >= WARNED_BELOW


def check_across(others: Sequence[PosedFolder], part: PosedFolder) -> AcrossAgreement:
    """Compare the depth of some frames of a folder with that of the nearest frames of others."""
    if part.depth_projection != "pinhole":
        return AcrossAgreement("the depth images are panoramas")
    if part.depth_of_points:
        return AcrossAgreement("the depth is of single points, as a LIDAR's is")
    mine, theirs = pose_tracks(part), [tracks for other in others if (tracks := pose_tracks(other)).frames]
    if not mine.frames or not theirs:
        return AcrossAgreement("a folder has no depth")
    pairs = [(tracks, i, j) for tracks in theirs for i, j in _near(mine, tracks)]
    if not pairs:
        return AcrossAgreement("by the poses, no frames of the recordings are near each other", apart=True)
    views = DepthViews(part.depth_camera, part.depth_units_per_metre)
    seen, moved = [], []
    for tracks, i, j in pairs:
        a, b = views.of(mine.frames[i]), views.of(tracks.frames[j])
        if a is not None and b is not None and len(a.points) and len(b.points):
            seen.append((a, b))
            T_depth_map = se3.inverse(mine.T_map_camera[i] @ mine.T_camera_depth)
            moved.append(T_depth_map @ tracks.T_map_camera[j] @ tracks.T_camera_depth)
    counts = compare(seen, np.array(moved).reshape(-1, 4, 4))
    compared, agree = counts.agree + counts.front, int(counts.agree.sum())
    points, used = int(compared.sum()), int(np.sum(compared > 0))
    if points < LEAST_POINTS:
        return AcrossAgreement(f"too few frames of the recordings overlap ({used} pairs)", apart=True)
    return AcrossAgreement("", False, agree / points, points, used)


def _near(mine: PoseTracks, theirs: PoseTracks) -> list[tuple[int, int]]:
    """Frames, spread over the first tracks, that have a frame of the others near them, and the nearest one."""
    found = []
    positions = theirs.T_map_camera[:, :3, 3]
    for i in np.unique(np.linspace(0, len(mine.frames) - 1, _CANDIDATES).round().astype(int)):
        metres = np.linalg.norm(positions - mine.T_map_camera[i, :3, 3], axis=1) / _MOST_APART_M
        turn = se3.rotation_error(theirs.T_map_camera, mine.T_map_camera[i]) / _MOST_TURNED_RAD
        apart = np.hypot(metres, turn)
        j = int(np.argmin(apart))
        if apart[j] < 1.0:
            found.append((int(i), j))
    if len(found) <= _PAIRS:
        return found
    return [found[k] for k in np.linspace(0, len(found) - 1, _PAIRS).round().astype(int)]
