# SPDX-License-Identifier: Apache-2.0
"""Frame numbers that keep time: the 7-Scenes layout has no stamps, its readers count time by the number."""

from __future__ import annotations

from collections.abc import Sequence


def frame_numbers(stamps_ns: Sequence[int], period_ns: float) -> list[int]:
    """The number of each frame of a sequence, in periods since the first; images of a burst get their own."""
    numbers: list[int] = []
    for stamp in stamps_ns:
        number = round((int(stamp) - int(stamps_ns[0])) / period_ns)
        numbers.append(max(number, numbers[-1] + 1) if numbers else 0)
    return numbers
