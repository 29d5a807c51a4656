# SPDX-License-Identifier: Apache-2.0
"""Stamps in text files: decimal seconds, and stamps that are clearly in another unit.

Seconds since 1970 have ten digits before the point, milliseconds 13, microseconds 16, nanoseconds 19. Nothing else can
be meant by such numbers (1e11 seconds is the year 5138). Stamps relative to the file's beginning do not show their
unit in that way, only in their distances.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from itertools import pairwise

from mvloc_ros.foreign_text import quoted
from mvloc_ros.limits import MOST_DIGITS

UNITS = (("nanoseconds", 1e17, 1), ("microseconds", 1e14, 1_000), ("milliseconds", 1e11, 1_000_000))
"""Name, the least stamp that is in it, and its nanoseconds."""
SECOND_NS = 1_000_000_000
LAST_NS = 2**63 - 1
"""The last time that int64 nanoseconds hold."""
_LONGEST_STEP_S = 10_000.0
"""No recording takes an image every three hours."""
_MOST_EXPONENT = 60


def read_number(text: str) -> Decimal:
    """A decimal that a float64 can hold. Raises ValueError."""
    if len(text) > MOST_DIGITS:
        raise ValueError(f"a number has {len(text)} digits, at most {MOST_DIGITS} are accepted")
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"{quoted(text, 40)} is not a number") from None
    if not number.is_finite() or not math.isfinite(float(number)):
        raise ValueError(f"{quoted(text, 40)} is not finite")
    if number.adjusted() > _MOST_EXPONENT:  # as an integer it would have that many digits
        raise ValueError(f"{quoted(text, 40)} is too large")
    return number


def to_nanoseconds(stamps: Sequence[Decimal], *, by_distance: bool = False) -> tuple[list[int], str]:
    """Stamps of one file in nanoseconds, without passing through a float, and the name of their unit.

    With `by_distance`, stamps that are small but too far apart for seconds are nanoseconds, as the writer is known to
    use both.

    Raises:
        ValueError: they are not all in one unit; the text gives the likely one.
    """
    units = {_unit(stamp) for stamp in stamps}
    if len(units) > 1:
        raise ValueError(f"its stamps, from {min(stamps)} to {max(stamps)}, are not in one unit of time")
    name, factor = units.pop() if units else ("seconds", SECOND_NS)
    found = [int(stamp * factor) for stamp in stamps]
    if any(abs(stamp) > LAST_NS for stamp in found):
        raise ValueError("its stamps are not times")
    ordered = sorted(set(found))
    if len(ordered) > 2:
        steps = sorted(b - a for a, b in pairwise(ordered))
        median_s = steps[len(steps) // 2] / SECOND_NS
        if median_s > _LONGEST_STEP_S:
            looks = "nanoseconds" if median_s >= 1e5 else "microseconds"
            if by_distance and looks == "nanoseconds":
                return [int(stamp) for stamp in stamps], looks
            raise ValueError(
                f"its stamps would be {median_s:.6g} seconds apart and look like {looks}; write them in seconds"
            )
    return found, name


def _unit(stamp: Decimal) -> tuple[str, int]:
    return next(((name, factor) for name, least, factor in UNITS if abs(stamp) >= least), ("seconds", SECOND_NS))
