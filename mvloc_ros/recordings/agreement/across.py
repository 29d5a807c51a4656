# SPDX-License-Identifier: Apache-2.0
"""Are the poses of several folders in one map frame? Depth of each is projected into frames of the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry import quaternion, se3
from mvloc_ros.recordings.agreement.check import LEAST_POINTS
from mvloc_ros.recordings.agreement.comparison import compare
from mvloc_ros.recordings.agreement.depth_views import DepthView, DepthViews
from mvloc_ros.recordings.agreement.pose_tracks import PoseTracks, pose_tracks
from mvloc_ros.recordings.frames import PosedFolder

Array = NDArray[np.float64]

_REFUSED_BELOW, _WARNED_BELOW, _SEARCHED_BELOW = 0.6, 0.75, 0.95
"""Shares of points that agree. Moved furniture and people cost up to a fifth, which poses in two frames may, too: so
below the last one a move is searched for that lets clearly more agree."""
_CLEAR_GAIN, _LEFT = 0.08, 0.6
"""A move explains what contradicts if so much more agrees, and so much less is left."""
_CANDIDATES, _PAIRS = 96, 24
_MOST_APART_M, _MOST_TURNED_RAD = 1.0, 0.5
"""Frames of two recordings are compared if the camera is about where it was and looks there."""
_FIRST_STEP = np.array([0.4] * 3 + [0.08] * 3)
_LAST_STEP_M, _FOUND, _ROUNDS = 0.03, 0.98, 40


@dataclass(frozen=True)
class AcrossAgreement:
    """What the check found.

    Attributes:
        skipped: why nothing was compared, as a clause; empty where it was.
        apart: by the poses, hardly any frames of the recordings are near each other.
        share: points that agree, of all that are compared; the mean of the pairs.
        points, pairs: how many are compared, and in how many pairs of frames.
        moved: meters and degrees by which the poses of one would have to be moved for the share after it; None where no
            move lets clearly more agree.
    """

    skipped: str = ""
    apart: bool = False
    share: float = float("nan")
    points: int = 0
    pairs: int = 0
    moved: tuple[float, float, float] | None = None

    @property
    def refused(self) -> bool:
        """Whether the poses cannot be in one frame."""
        return not self.skipped and (self.moved is not None or not self.share >= _REFUSED_BELOW)

    @property
    def questionable(self) -> bool:
        """Whether the user should check something."""
        return not self.skipped and not self.share >= _WARNED_BELOW


def check_across(others: Sequence[PosedFolder], part: PosedFolder) -> AcrossAgreement:
    """Compare the depth of some frames of a folder with that of the nearest frames of others."""
    if part.depth_projection != "pinhole":
        return AcrossAgreement("the depth images are panoramas")
    if part.depth_of_points:
        return AcrossAgreement("the depth is of single points, as a LIDAR's is")
    mine, theirs = pose_tracks(part), [tracks for other in others if (tracks := pose_tracks(other)).frames]
    if not mine.frames or not theirs:
        return AcrossAgreement("a folder has no depth")
    near = [(tracks, i, j) for tracks in theirs for i, j in _near(mine, tracks)]
    if not near:
        return AcrossAgreement("by the poses, no frames of the recordings are near each other", apart=True)
    pairs = _Pairs.of(near, mine, DepthViews(part.depth_camera, part.depth_units_per_metre))
    shares, points = pairs.compared(np.zeros(6))
    used, share = int(np.sum(np.isfinite(shares))), _mean(shares)
    if points < LEAST_POINTS:
        return AcrossAgreement(f"too few frames of the recordings overlap ({used} pairs)", apart=True)
    return AcrossAgreement("", False, share, points, used, pairs.thinned().move() if share < _SEARCHED_BELOW else None)


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


@dataclass(frozen=True, eq=False)
class _Pairs:
    """Pairs of frames: their views, and the poses of both depth cameras in the map, `[pairs, 4, 4]`."""

    views: list[tuple[DepthView, DepthView]]
    T_mine: Array
    T_theirs: Array

    @staticmethod
    def of(near: Sequence[tuple[PoseTracks, int, int]], mine: PoseTracks, views: DepthViews) -> _Pairs:
        seen, poses = [], []
        for tracks, i, j in near:
            a, b = views.of(mine.frames[i]), views.of(tracks.frames[j])
            if a is not None and b is not None and len(a.points) and len(b.points):
                seen.append((a, b))
                poses.append(
                    (mine.T_map_camera[i] @ mine.T_camera_depth, tracks.T_map_camera[j] @ tracks.T_camera_depth)
                )
        both = np.array(poses, dtype=np.float64).reshape(-1, 2, 4, 4)
        return _Pairs(seen, both[:, 0], both[:, 1])

    def compared(self, move: Array) -> tuple[Array, int]:
        """Share of each pair's points that agree, NaN without any, after a move of the first poses; and all points.

        The move is a translation and a rotation vector about the middle of the cameras, `[6]`.
        """
        T = np.eye(4)
        T[:3, :3] = quaternion.to_matrix(quaternion.exp(move[3:] / 2.0))
        middle = self.T_mine[:, :3, 3].mean(axis=0) if len(self.T_mine) else np.zeros(3)
        T[:3, 3] = move[:3] + middle - T[:3, :3] @ middle
        counts = compare(self.views, se3.inverse(T @ self.T_mine) @ self.T_theirs)
        total = counts.agree + counts.front + counts.behind
        with np.errstate(invalid="ignore"):
            return counts.agree / total, int(total.sum())

    def thinned(self) -> _Pairs:
        """The same with a quarter of the points."""
        views = [(replace(a, points=a.points[::4]), replace(b, points=b.points[::4])) for a, b in self.views]
        return replace(self, views=views)

    def move(self) -> tuple[float, float, float] | None:
        """The move that lets by far the most points agree, as in `AcrossAgreement`, by pattern search."""
        move, step = np.zeros(6), _FIRST_STEP
        start = best = _mean(self.compared(move)[0])
        for _ in range(_ROUNDS):
            tried = [move + sign * step * axis for axis in np.eye(6) for sign in (1.0, -1.0)]
            shares = [_mean(self.compared(candidate)[0]) for candidate in tried]
            number = int(np.argmax(shares))
            if shares[number] > best:
                move, best = tried[number], shares[number]
            elif step[0] < _LAST_STEP_M or best > _FOUND:
                break
            else:
                step = step / 2.0
        if best - start < _CLEAR_GAIN or 1.0 - best > _LEFT * (1.0 - start):
            return None
        return float(np.linalg.norm(move[:3])), float(np.degrees(np.linalg.norm(move[3:]))), best


def _mean(shares: Array) -> float:
    """Over the pairs; one without points has moved apart and counts as none that agree."""
    return float(np.mean(np.nan_to_num(shares, nan=0.0))) if len(shares) else 0.0
