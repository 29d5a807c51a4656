# SPDX-License-Identifier: Apache-2.0
"""Poses that stay the same while the depth images change: a lost tracker, or a pose that was never set."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from mvloc_ros.recordings.agreement.comparison import compare
from mvloc_ros.recordings.agreement.depth_views import DepthViews
from mvloc_ros.recordings.agreement.pose_tracks import PoseTracks

SAME_POSE = 1e-6
"""Largest difference of the numbers of two poses that are the same: noise of any tracker is more."""
LEAST_FRAMES, LEAST_NS = 5, 1_000_000_000
"""A shorter run of equal poses is not significant."""
_RUNS_LOOKED_AT, _LOOKS = 4, 3
# As in `check`: below it two images are of different places.
_CHANGED_BELOW, _LEAST_POINTS = 0.6, 200


@dataclass(frozen=True)
class Standstill:
    """The longest run of frames with one pose and different images; `everywhere`: all poses of the folder are one."""

    sequence: str
    first: int
    last: int
    frames: int
    everywhere: bool

    def text(self) -> str:
        """One sentence without a full stop."""
        if self.everywhere:
            return f"all {self.frames} poses are the same, though the depth images change: record the poses again"
        return (
            f"the pose stays the same from frame {self.first} to {self.last} of {self.sequence}, though the depth "
            "images change: exclude these frames"
        )


def poses_that_stand_still(tracks: PoseTracks, views: DepthViews) -> Standstill | None:
    """The longest run of equal poses through which the depth images change; None where there is none."""
    same = np.abs(tracks.T_map_camera - tracks.T_map_camera[0]).max() <= SAME_POSE if len(tracks.frames) else False
    runs = sorted(_runs(tracks), key=lambda run: run[0] - run[1])[:_RUNS_LOOKED_AT]
    if same and len(tracks.frames) >= LEAST_FRAMES:
        runs = [(0, len(tracks.frames) - 1)]
    for first, last in runs:
        if _changes(tracks, views, first, last):
            a, b = tracks.frames[first], tracks.frames[last]
            return Standstill(a.sequence, a.index, b.index, last - first + 1, bool(same))
    return None


def _runs(tracks: PoseTracks) -> Iterator[tuple[int, int]]:
    """First and last frame of each run of equal poses within a sequence that is long enough."""
    if len(tracks.frames) < 2:
        return
    moved = np.abs(np.diff(tracks.T_map_camera, axis=0)).max(axis=(1, 2)) > SAME_POSE
    ends = [0, *(np.flatnonzero(moved | (np.diff(tracks.sequence) != 0)) + 1).tolist(), len(tracks.frames)]
    for start, end in pairwise(ends):
        if end - start >= LEAST_FRAMES and tracks.depth_ns[end - 1] - tracks.depth_ns[start] >= LEAST_NS:
            yield start, end - 1


def _changes(tracks: PoseTracks, views: DepthViews, first: int, last: int) -> bool:
    """Whether the depth images at the run's middle and end differ from its first one."""
    looks = np.unique(np.linspace(first, last, _LOOKS + 1).round().astype(int))
    seen = [view for i in looks if (view := views.of(tracks.frames[i])) is not None and len(view.points)]
    if len(seen) < 2:
        return False
    pairs = [(seen[0], other) for other in seen[1:]]
    counts = compare(pairs, np.tile(np.eye(4), (len(pairs), 1, 1)))
    compared = counts.agree + counts.front
    return bool(np.any((compared >= _LEAST_POINTS) & (counts.agree < _CHANGED_BELOW * compared)))
