# SPDX-License-Identifier: Apache-2.0
"""What each starting pose of the refinement brought: how many accepted poses came from it, and what it took."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from mvloc_ros.replay.outcomes import ACCEPTED, Outcome


@dataclass(frozen=True)
class StartCount:
    """Refined frames whose result came from one start.

    Attributes:
        start: "network", "tracker", "retrieval N" or "draw".
        frames: how many.
        accepted: how many of them were accepted.
        starts: median number of starts that were tried for them.
        milliseconds: median time of their refinement and verification.
    """

    start: str
    frames: int
    accepted: int
    starts: float
    milliseconds: float


@dataclass(frozen=True)
class StartSummary:
    """Of one run.

    Attributes:
        frames: that were refined.
        accepted: of these.
        rescued: accepted ones whose first start did not lead to an accepted pose.
        by_start: the start that brought most first.
    """

    frames: int
    accepted: int
    rescued: int
    by_start: tuple[StartCount, ...]


def count_starts(outcomes: Iterable[Outcome]) -> StartSummary | None:
    """None where no frame tells of its start."""
    told = [outcome for outcome in outcomes if outcome.start]
    if not told:
        return None
    by_start = [_count(name, [one for one in told if one.start == name]) for name in {one.start for one in told}]
    accepted = [one for one in told if one.kind == ACCEPTED]
    return StartSummary(
        frames=len(told),
        accepted=len(accepted),
        rescued=sum(one.starts > 1 for one in accepted),
        by_start=tuple(sorted(by_start, key=lambda one: (-one.accepted, -one.frames, one.start))),
    )


def _count(name: str, outcomes: list[Outcome]) -> StartCount:
    return StartCount(
        start=name,
        frames=len(outcomes),
        accepted=sum(one.kind == ACCEPTED for one in outcomes),
        starts=float(np.median([one.starts for one in outcomes])),
        milliseconds=float(np.median([one.refinement_ms for one in outcomes])),
    )
