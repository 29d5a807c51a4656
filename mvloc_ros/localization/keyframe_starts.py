# SPDX-License-Identifier: Apache-2.0
"""What the keyframes of a bundle tell of where a frame was taken: poses to start registration from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.localization.descriptors import Descriptor
from mvloc_ros.localization.hypotheses import Search
from mvloc_ros.localization.keyframes import Keyframes
from mvloc_ros.localization.local_features import ImageFeatures
from mvloc_ros.localization.pose import Pose
from mvloc_ros.localization.retrieval import DISTINCT_M, DISTINCT_RAD, Retrieval, near
from mvloc_ros.localization.sightings import LEAST, Sightings
from mvloc_ros.localization.starts import BY_FEATURES, FEATURES, NEAR_KEYFRAME, Retrieved, Start

Array = NDArray[np.float64]

# Keyframes whose features are matched, the most similar ones, and of these the ones whose matches are given a vote.
_MATCHED, _VOTED = 8, 4
# So many places besides the most similar one take turns.
_TURNS = 12


def _no_scan(_deadline: float, _without: Sequence[Pose], _is_expected: bool) -> tuple[Start, ...]:
    return ()


@dataclass(frozen=True, eq=False)
class Look:
    """What a frame looks like, computed where it is asked for.

    Attributes:
        descriptor: of both images.
        features: its local features.
        by_scan: gives the starts that the depth images of the last moments tell, by a time (perf_counter, s), without
            those at given poses; the last argument is whether the camera is expected somewhere.
    """

    descriptor: Callable[[], Descriptor]
    features: Callable[[], ImageFeatures]
    by_scan: Callable[[float, Sequence[Pose], bool], Sequence[Start]] = _no_scan


class KeyframeStarts:
    """Finds starts in the keyframes of one model. Not to be used by two threads at once."""

    def __init__(self, keyframes: Keyframes, reach: tuple[float, ...]) -> None:
        """Take the keyframes, and `KeyframesSpec.reach`."""
        self._keyframes, self._reach = keyframes, reach
        self._poses = keyframes.poses()
        self._retrieval = Retrieval(keyframes)

    def of(self, look: Look, search: Search) -> Retrieved:
        """The starts for one frame; nothing is computed yet.

        Keyframes near a hypothesis are left out, as that is a start itself. The most similar one is always among the
        starts, the others take turns from frame to frame, so that in time many places have been looked at.
        """
        return Retrieved(lambda count: self._in_turn(look, count, search), self._reach, lambda: self.by_features(look))

    def _in_turn(self, look: Look, count: int, search: Search) -> list[Start]:
        without = np.zeros(len(self._poses), dtype=np.bool_)
        for pose in search.possible:
            without |= self.near(pose.T, DISTINCT_M, DISTINCT_RAD)
        skipped = search.frames * (count - 1) % _TURNS if count > 1 else 0
        found = self.by_images(look, count + skipped, without)
        return [*found[:1], *found[max(1, len(found) - count + 1) :]]

    def near(self, T: Array, metres: float, radians: float) -> NDArray[np.bool_]:
        """Which keyframes, `[N]`, lie within both limits of a pose (4x4)."""
        return near(self._poses, T, metres, radians)

    def by_images(self, look: Look, count: int, without: NDArray[np.bool_] | None = None) -> list[Start]:
        """The most similar keyframes of distinct poses, at most so many; those in `without`, `[N]`, are left out."""
        poses = self._retrieval.nearest(look.descriptor(), count, without)
        return [Start(f"retrieval {rank}", T, NEAR_KEYFRAME) for rank, T in enumerate(poses, 1)]

    def by_features(self, look: Look, without: NDArray[np.bool_] | None = None) -> Start | None:
        """The pose that the features of the most similar keyframes tell; None where they tell none."""
        if not len(self._keyframes.point):
            return None
        seen = look.features()
        similar = self._retrieval.most_similar(look.descriptor(), _MATCHED, without)
        found = [Sightings.of(seen, self._keyframes.features(i), self._poses[i]) for i in similar]
        best, most = None, LEAST - 1
        for sightings in sorted(found, key=len, reverse=True)[:_VOTED]:
            if len(sightings) <= most:
                break  # not even all of them would be more
            T = sightings.pose()
            if T is not None and (count := sightings.consensus(T)) > most:
                best, most = Start(FEATURES, T, BY_FEATURES + sightings.covariance(T), sightings), count
        return best
