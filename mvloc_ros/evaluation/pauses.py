# SPDX-License-Identifier: Apache-2.0
"""When a recording pauses, so that what comes after is another part of it."""

from __future__ import annotations

_LEAST_S, _STEPS = 1.0, 5.0


def pause_s(step_s: float) -> float:
    """Seconds without a frame that end a part, of frames that usually are `step_s` seconds from each other."""
    return max(_LEAST_S, _STEPS * step_s)
