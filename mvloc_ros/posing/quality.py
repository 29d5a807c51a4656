# SPDX-License-Identifier: Apache-2.0
"""How well the poses fit what was seen: what a user is told beside the map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry import se3
from mvloc_ros.posing.alignment import Target, distances
from mvloc_ros.posing.tracks import Missed
from mvloc_ros.posing.whole_map import WholeMap

Array = NDArray[np.float64]

# A pose that is less sure than this is of low confidence, relative to the first one of the map.
_LOW_M = 0.10
_COMPARED = 300
_SPACING_M = 0.025


@dataclass(frozen=True)
class Span:
    """Consecutive frames of one recording, in seconds from its first one."""

    sequence: str
    from_s: float
    to_s: float
    frames: int
    reason: str
    sigma_m: float = 0.0


def consistency(whole: WholeMap) -> tuple[float, float] | None:
    """Median and 90th percentile of the distance in meters between surfaces of two views of one place.

    Of views that a loop closure or nearness joins, not of neighbors in time. None without any.
    """
    number = {node: index for index, node in enumerate(whole.members)}
    some = whole.closures[:: max(1, len(whole.closures) // _COMPARED)]
    found = []
    for closure in some:
        T = se3.inverse(whole.poses[number[closure.a]]) @ whole.poses[number[closure.b]]
        first, second = whole.nodes[closure.a].view, whole.nodes[closure.b].view
        found.append(np.abs(distances(second, Target.of(first.points, first.normals, _SPACING_M), T)))
    apart = np.concatenate(found) if found else np.zeros(0)
    if not len(apart):
        return None
    return float(np.median(apart)), float(np.quantile(apart, 0.9))


def left_out(missed: Sequence[Missed], first_ns: dict[str, int]) -> list[Span]:
    """Frames without a pose, consecutive ones with one reason together; `first_ns` is the stamp of each recording."""
    spans: list[Span] = []
    last: Missed | None = None
    for one in sorted(missed, key=lambda m: (m.record.sequence, m.record.index)):
        seconds = 1e-9 * (one.record.stamp_ns - first_ns[one.record.sequence])
        follows = (
            last is not None
            and last.record.sequence == one.record.sequence
            and one.record.index - last.record.index <= 2
            and last.reason == one.reason
        )
        if follows:
            before = spans.pop()
            spans.append(Span(before.sequence, before.from_s, seconds, before.frames + 1, before.reason))
        else:
            spans.append(Span(one.record.sequence, seconds, seconds, 1, one.reason))
        last = one
    return spans


def low_confidence(whole: WholeMap, first_ns: dict[str, int]) -> list[Span]:
    """Consecutive keyframes whose position is known worse than to 0.1 m, relative to the first one."""
    sigma = sigmas(whole)
    spans: list[Span] = []
    last = -2
    for index in np.flatnonzero(sigma > _LOW_M):
        record = whole.nodes[whole.members[index]].view.record
        seconds = 1e-9 * (record.stamp_ns - first_ns[record.sequence])
        reason = "few views of this part agree on where it is"
        if index == last + 1 and spans[-1].sequence == record.sequence:
            before = spans.pop()
            worst = max(before.sigma_m, float(sigma[index]))
            spans.append(Span(before.sequence, before.from_s, seconds, before.frames + 1, reason, worst))
        else:
            spans.append(Span(record.sequence, seconds, seconds, 1, reason, float(sigma[index])))
        last = int(index)
    return spans


def sigmas(whole: WholeMap) -> Array:
    """Standard deviation `[N]` of each keyframe's position in meters, of the worst direction."""
    return np.asarray(np.sqrt(np.linalg.eigvalsh(whole.covariances[:, :3, :3])[:, -1]))
