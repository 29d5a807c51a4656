# SPDX-License-Identifier: Apache-2.0
"""Several ways to do the same, timed in turns in one process, so that a machine's moods hit all of them alike."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

WARM_UPS = 5


@dataclass(frozen=True)
class Candidate:
    """A way to localize a frame: its name, the precision, and what to call."""

    name: str
    precision: str
    run: Callable[[], Any]
    close: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Times:
    """Wall times of single runs in milliseconds."""

    name: str
    precision: str
    milliseconds: list[float]

    def summary(self) -> dict[str, float]:
        """Least, median and 95th percentile."""
        values = np.array(self.milliseconds)
        return {
            "min_ms": float(values.min()),
            "median_ms": float(np.median(values)),
            "p95_ms": float(np.percentile(values, 95)),
        }


def time_in_turns(candidates: list[Candidate], rounds: int, runs: int) -> list[Times]:
    """Every candidate `runs` times in each of `rounds` rounds, after a warm-up."""
    for candidate in candidates:
        for _ in range(WARM_UPS):
            candidate.run()
    times: list[list[float]] = [[] for _ in candidates]
    for _ in range(rounds):
        for candidate, found in zip(candidates, times, strict=True):
            candidate.run()  # brings its weights back into the caches
            for _ in range(runs):
                start = time.perf_counter()
                candidate.run()
                found.append(1e3 * (time.perf_counter() - start))
    return [Times(c.name, c.precision, found) for c, found in zip(candidates, times, strict=True)]


def print_table(head: tuple[str, ...], rows: list[tuple[object, ...]]) -> None:
    """Rows under their head, numbers with two decimals and to the right."""
    texts = [[f"{item:.2f}" if isinstance(item, float) else str(item) for item in row] for row in rows]
    widths = [max(len(line[i]) for line in [list(head), *texts]) for i in range(len(head))]
    for line in [list(head), *texts]:
        cells = [
            text.ljust(width) if i < 2 else text.rjust(width)
            for i, (text, width) in enumerate(zip(line, widths, strict=True))
        ]
        print("  ".join(cells).rstrip(), flush=True)
