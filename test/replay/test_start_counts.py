# SPDX-License-Identifier: Apache-2.0
"""What each start of the refinement brought, as the report tells it."""

from __future__ import annotations

import math

import pytest

from mvloc_ros.replay.outcomes import ACCEPTED, REJECTED, UNPAIRED, Outcome
from mvloc_ros.replay.start_counts import count_starts


def refined(kind: str, start: str, starts: int, milliseconds: float) -> Outcome:
    return Outcome(kind, start=start, starts=starts, refinement_ms=milliseconds)


def test_starts_are_counted_with_what_they_took():
    found = count_starts(
        [
            refined(ACCEPTED, "network", 1, 10.0),
            refined(ACCEPTED, "network", 1, 14.0),
            refined(ACCEPTED, "network", 1, 12.0),
            refined(ACCEPTED, "retrieval 1", 2, 30.0),
            refined(ACCEPTED, "retrieval 1", 3, 40.0),
            refined(REJECTED, "retrieval 1", 4, 50.0),
            refined(REJECTED, "draw", 4, 60.0),
            Outcome(UNPAIRED, "no depth"),
            Outcome(ACCEPTED),
        ]
    )
    assert found is not None
    assert (found.frames, found.accepted, found.rescued) == (7, 5, 2)
    assert [(one.start, one.frames, one.accepted, one.starts) for one in found.by_start] == [
        ("network", 3, 3, 1.0),
        ("retrieval 1", 3, 2, 3.0),
        ("draw", 1, 0, 4.0),
    ]
    assert [one.milliseconds for one in found.by_start] == pytest.approx([12.0, 40.0, 60.0])


def test_a_run_that_refines_nothing_tells_of_no_starts():
    assert count_starts([Outcome(ACCEPTED), Outcome(UNPAIRED, "no depth")]) is None
    assert math.isnan(Outcome(ACCEPTED).refinement_ms)
