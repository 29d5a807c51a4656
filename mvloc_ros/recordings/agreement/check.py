# SPDX-License-Identifier: Apache-2.0
"""Are the poses of a folder consistent with its depth images? Depth of some frames is projected into others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry import se3
from mvloc_ros.recordings.agreement.comparison import Counts, compare
from mvloc_ros.recordings.agreement.depth_views import DepthView, DepthViews
from mvloc_ros.recordings.agreement.explanations import Explanation, explanations
from mvloc_ros.recordings.agreement.pairs import choose_pairs
from mvloc_ros.recordings.agreement.pose_tracks import PoseTracks, pose_tracks
from mvloc_ros.recordings.agreement.standstill import Standstill, poses_that_stand_still
from mvloc_ros.recordings.frames import PosedFolder

Array = NDArray[np.float64]

REFUSED_BELOW, WARNED_BELOW = 0.6, 0.85
"""Shares of points that agree; docs/datasets.md has those of good recordings and of every kind of mistake."""
LEAST_PAIRS, LEAST_POINTS = 12, 2000
"""Fewer are not significant."""

# Two images whose depth agrees pixel by pixel are of a camera at rest: any small motion fits them.
_CHANGED_BELOW = 0.8
# An explanation counts if it leaves less than this share of the contradictions, and agreement rises by so much.
_LEFT, _GAIN = 0.5, 0.04
_CLEAR_GAIN = 0.15
# It must not get there by moving the frames apart: shares of the carried points that agree, and of pairs with a pose.
_OVERLAP, _POSED = 0.2, 0.6


@dataclass(frozen=True)
class Agreement:
    """What the check found.

    Attributes:
        skipped: why nothing was compared, as a clause; empty where it was.
        share: of these points, those that agree; NaN where no frames overlap.
        points, pairs: how many agree or contradict, and in how many pairs of frames.
        explanation: the mistake that, undone, makes the depth agree, and the share then; None where there is none.
        standstill: frames through which the poses stay the same while the images change.
    """

    skipped: str = ""
    share: float = float("nan")
    points: int = 0
    pairs: int = 0
    explanation: tuple[Explanation, float] | None = None
    standstill: Standstill | None = None

    @property
    def refused(self) -> bool:
        """Whether the poses cannot be right."""
        if self.standstill is not None and self.standstill.everywhere:
            return True
        if self.skipped:
            return False
        if self.explanation is not None and self.explanation[0].shift_ns == 0 and not self.share >= WARNED_BELOW:
            return not self.explanation[1] - self.share < _CLEAR_GAIN
        return not self.share >= REFUSED_BELOW

    @property
    def questionable(self) -> bool:
        """Whether the user should check something."""
        low = not self.skipped and not self.share >= WARNED_BELOW
        return low or self.explanation is not None or self.standstill is not None

    def text(self) -> str:
        """One line for the terminal."""
        if self.skipped:
            return f"poses and depth were not compared: {self.skipped}"
        if not self.points:
            return "poses and depth contradict each other: by the poses, no frames overlap"
        verdict = "contradict each other" if self.refused else "agree partly" if self.questionable else "agree"
        return (
            f"poses and depth {verdict}: {self.share:.0%} of {self.points} points fit, in {self.pairs} pairs of frames"
        )

    def suspicion(self) -> str:
        """What could be wrong, as one sentence; empty where nothing seems to be."""
        if self.standstill is not None and self.standstill.everywhere:
            return self.standstill.text()
        if self.explanation is not None:
            explanation, share = self.explanation
            return f"{share:.0%} would fit {explanation.text}"
        if not self.skipped and not self.share >= WARNED_BELOW:
            return (
                "check the unit of the poses and of depth, whether poses are of the camera in the map, the camera's "
                "axes (optical: z forward), the extrinsic, the intrinsics of the depth camera, and the clocks"
            )
        return "" if self.standstill is None else self.standstill.text()


def check_agreement(folder: PosedFolder, alternatives: Sequence[Explanation] = ()) -> Agreement:
    """Compare depth across at most some sixty pairs of frames; at most a hundred depth images are decoded.

    `alternatives` are tried before the common mistakes: what the poses may be by their source.
    """
    tracks = pose_tracks(folder)
    if not tracks.frames:
        return Agreement("the folder has no depth")
    if folder.depth_projection != "pinhole":
        return Agreement("its depth images are panoramas")
    if folder.depth_of_points:
        return Agreement("its depth is of single points, as a LIDAR's is")
    views = DepthViews(folder.depth_camera, folder.depth_units_per_metre)
    standstill = poses_that_stand_still(tracks, views)
    overlap = _Overlap.of(tracks, views)
    counts = overlap.counts()
    explanation = overlap.best_explanation(folder, counts, alternatives)
    share = _share(counts)
    compared = counts.agree + counts.front
    points, pairs = int(compared.sum()), int(np.sum(compared > 0))
    enough = len(overlap.views) >= LEAST_PAIRS and (points >= LEAST_POINTS or explanation is not None)
    if not enough:
        return Agreement(
            f"too few frames with enough depth that overlap and differ ({pairs} pairs)", standstill=standstill
        )
    return Agreement("", share, points, pairs, explanation, standstill)


@dataclass(frozen=True, eq=False)
class _Overlap:
    """The pairs of frames to compare: their views, and which of the picked frames they are, `[pairs, 2]`."""

    tracks: PoseTracks
    picked: NDArray[np.intp]
    index: NDArray[np.intp]
    views: list[tuple[DepthView, DepthView]]

    @staticmethod
    def of(tracks: PoseTracks, views: DepthViews) -> _Overlap:
        """Pairs whose images differ, or that the poses contradict."""
        pairs, seen = [], []
        for first, second in choose_pairs(tracks):
            a, b = views.of(tracks.frames[first]), views.of(tracks.frames[second])
            if a is not None and b is not None and len(a.points) and len(b.points):
                pairs.append((first, second))
                seen.append((a, b))
        picked, index = np.unique(np.array(pairs, dtype=np.intp).reshape(-1, 2), return_inverse=True)
        every = _Overlap(tracks, picked, index.reshape(-1, 2), seen)
        at_rest = _shares(compare(seen, np.tile(np.eye(4), (len(seen), 1, 1)))) >= _CHANGED_BELOW
        with np.errstate(invalid="ignore"):
            contradicted = _shares(every.counts()) < _CHANGED_BELOW
        used = np.flatnonzero(~at_rest | contradicted)
        return _Overlap(tracks, picked, every.index[used], [seen[i] for i in used])

    def counts(self, explanation: Explanation | None = None) -> Counts:
        """The comparison with the poses as they are, or with a mistake undone."""
        change, shift = (None, 0) if explanation is None else (explanation.change, explanation.shift_ns)
        T = self.tracks.depth_poses(self.picked, shift, change)
        return compare(self.views, se3.inverse(T[self.index[:, 0]]) @ T[self.index[:, 1]])

    def best_explanation(
        self, folder: PosedFolder, counts: Counts, alternatives: Sequence[Explanation]
    ) -> tuple[Explanation, float] | None:
        """The mistake that, undone, lets by far the most points agree; None where none is clear."""
        if len(self.views) < LEAST_PAIRS or _share(counts) >= 1.0 - _GAIN:
            return None
        best, best_share = None, 0.0
        for candidate in (*alternatives, *explanations(folder.depth_units_per_metre)):
            changed = self.counts(candidate)
            posed = changed.carried > 0
            share, before = _share(changed, posed), _share(counts, posed)
            before = 0.0 if np.isnan(before) else before
            overlaps = changed.agree.sum() >= max(_OVERLAP * changed.carried.sum(), LEAST_POINTS / 2)
            better = share - before >= _GAIN and 1.0 - share <= _LEFT * (1.0 - before)
            if overlaps and posed.mean() >= _POSED and better and share > max(best_share, WARNED_BELOW):
                best, best_share = candidate, share
        return None if best is None else (best, best_share)


def _shares(counts: Counts) -> Array:
    """Share of points that agree among those that agree or contradict, `[pairs]`; NaN where there are none.

    Points behind what was measured may be hidden. Those of wrong poses are seen in front in the other direction.
    """
    with np.errstate(invalid="ignore"):
        return counts.agree / (counts.agree + counts.front)


def _share(counts: Counts, which: NDArray[np.bool_] | None = None) -> float:
    chosen = np.ones(len(counts.agree), dtype=bool) if which is None else which
    agree, front = int(counts.agree[chosen].sum()), int(counts.front[chosen].sum())
    return agree / (agree + front) if agree + front else float("nan")
