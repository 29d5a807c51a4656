# SPDX-License-Identifier: Apache-2.0
"""Where registration starts, in which order: the network's pose, the expected one, retrieved, scanned, drawn ones.

What is likelier to reach the true pose comes first. How likely that is follows from the covariance of the network's
pose and of the expected one; for retrieved ones it was measured on training frames, and for the pose that matched local
features tell it goes with their number. The network's pose keeps the first place as long as it reaches the true one at
least every other time: it depends on no earlier frame. Nothing is retrieved before the sure ones have failed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.localization.pose import Pose
from mvloc_ros.localization.sightings import Sightings

Array = NDArray[np.float64]

REACH_M, REACH_RAD = 0.5, np.radians(20.0)
"""From how far away registration usually ends at the true pose."""
NETWORK, TRACKER, HYPOTHESIS, FEATURES, SCAN, DRAW = "network", "tracker", "hypothesis", "features", "scan", "draw"
NEAR_KEYFRAME = np.diag([0.2**2] * 3 + [np.radians(8.0) ** 2] * 3)
"""Covariance 6x6 of the pose of a frame that a retrieved keyframe looks like, where it does for good reason."""
BY_FEATURES = np.diag([0.03**2] * 3 + [np.radians(1.0) ** 2] * 3)
"""Added to that of a pose that matched local features tell: errors that all of them share."""
_OFTEN = 0.5
_SAMPLES = np.random.default_rng(0).standard_normal((200, 6))


@dataclass(frozen=True, eq=False)
class Start:
    """A pose to start from.

    Attributes:
        name: where it comes from: "network", "tracker", "hypothesis", "features", "scan", "retrieval N" or "draw".
        T: 4x4.
        covariance: 6x6, of this pose where a keyframe, a scan or a hypothesis tells it; else None.
        matches: of local features, that tell it; None without.
        reach_m: how far from the pose the true one may be, a rotation by what it moves the points; infinite where not
            known. Registration looks no further than it must.
    """

    name: str
    T: Array
    covariance: Array | None = None
    matches: Sightings | None = None
    reach_m: float = math.inf


@dataclass(frozen=True, eq=False)
class Retrieved:
    """Poses of keyframes for one frame, computed when they are asked for.

    Attributes:
        by_images: gives the starts at the most similar keyframes, at most so many, the most similar first.
        reach: see `KeyframesSpec`.
        by_features: gives the start that matched local features tell, if any does.
    """

    by_images: Callable[[int], Sequence[Start]]
    reach: tuple[float, ...]
    by_features: Callable[[], Start | None] = lambda: None

    def starts(self, count: int) -> list[tuple[float, Start]]:
        """At most so many, with their gain: by features, then the most similar keyframes first."""
        found = self.by_features()
        matched = [] if found is None or found.matches is None else [(_of_consensus(found), found)]
        similar = self.by_images(count - len(matched)) if count > len(matched) else ()
        reach = self.reach + (0.0,) * len(similar)
        return [*matched, *zip(reach, similar, strict=False)]


def in_order(
    network: Pose,
    expected: Pose | None,
    retrieved: Retrieved | None,
    drawn: Iterator[Array],
    limit: int,
    possible: Sequence[Pose] = (),
    by_scan: Callable[[], Sequence[Start]] = tuple,
    reach_m: float = math.inf,
) -> Iterator[Start]:
    """At most `limit` starts, the hypotheses, and those of a scan; 1: the network's alone.

    The expected pose is a start twice where it is known how far from it the camera is: within that, and beyond.

    Drawn ones only where others are too few.

    Args:
        network: its pose.
        expected: where the tracker expects the camera; None if it does not.
        retrieved: None where the model has no keyframes.
        drawn: as many poses (4x4) as are wanted.
        limit: how many.
        possible: hypotheses, the likeliest first.
        by_scan: gives the places that a scan fits, the best first.
        reach_m: of the expected pose, see `Start`.
    """
    known = [(gain(network), Start(NETWORK, network.T))]
    if limit == 1 or (expected is None and retrieved is None):
        known = [(1.0, known[0][1])]
    if expected is not None and limit > 1:
        known.append((gain(expected), Start(TRACKER, expected.T, reach_m=reach_m)))
    if retrieved is None:
        known = [(1.0, start) for _, start in known]
    for start in (start for share, start in known if share >= _OFTEN):
        yield start
        if start.reach_m < math.inf:
            yield replace(start, reach_m=math.inf)
    ordered, left = [one for one in known if one[0] < _OFTEN], limit - len(known)
    if retrieved is not None and left > 0:
        found = retrieved.starts(left)
        left -= len(found)
        ordered = sorted([*ordered, *found], key=lambda one: -one[0])
    yield from (start for _, start in ordered if start.name == FEATURES)
    yield from (Start(HYPOTHESIS, pose.T, pose.covariance) for pose in possible if limit > 1)
    if limit > 1:
        yield from by_scan()
    yield from (start for _, start in ordered if start.name != FEATURES)
    for _, T in zip(range(left), drawn, strict=False):
        yield Start(DRAW, T)


def _of_consensus(start: Start) -> float:
    """The gain of a start that features tell: on drives through a house, with 8 matches 2 of 3 are right."""
    count = 0 if start.matches is None else start.matches.consensus(start.T)
    return count / (count + 4.0)


def gain(pose: Pose) -> float:
    """The share of poses with this covariance from which registration reaches the true one."""
    values, vectors = np.linalg.eigh(pose.covariance)
    errors = _SAMPLES @ (vectors * np.sqrt(np.maximum(values, 0.0))).T
    metres, radians = np.linalg.norm(errors[:, :3], axis=1), np.linalg.norm(errors[:, 3:], axis=1)
    return float(np.mean((metres <= REACH_M) & (radians <= REACH_RAD)))
