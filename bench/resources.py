# SPDX-License-Identifier: Apache-2.0
"""What a process holds at a moment: memory, threads, open files, segments of shared memory."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

MIB = 2**20


@dataclass(frozen=True)
class Holding:
    """One look at a process.

    Attributes:
        rss, pss, uss, anonymous: bytes: resident; resident with shared pages divided by who shares them; resident
            and shared with nobody; resident and of no file or segment (heap, stacks).
        threads, files: running threads; open file descriptors, sockets included.
        segments: files of /dev/shm that are mapped.
    """

    rss: int
    pss: int
    uss: int
    anonymous: int
    threads: int
    files: int
    segments: int

    def as_row(self) -> dict[str, float]:
        """Mebibytes and counts."""
        values = asdict(self)
        return {k: round(v / MIB, 2) if k in ("rss", "pss", "uss", "anonymous") else v for k, v in values.items()}


def look(pid: int) -> Holding:
    """Read /proc (Linux). Raises OSError if the process is gone."""
    folder = Path("/proc") / str(pid)
    rollup = _kilobytes(folder / "smaps_rollup")
    mapped = {line.split(maxsplit=5)[5] for line in (folder / "maps").read_text().splitlines() if "/dev/shm/" in line}
    return Holding(
        rss=1024 * rollup["Rss"],
        pss=1024 * rollup["Pss"],
        uss=1024 * (rollup["Private_Clean"] + rollup["Private_Dirty"]),
        anonymous=1024 * rollup["Anonymous"],
        threads=len(list((folder / "task").iterdir())),
        files=len(list((folder / "fd").iterdir())),
        segments=len(mapped),
    )


def growth(values: list[float]) -> float:
    """By which share the median of the last third of a series is above that of the first third."""
    third = max(1, len(values) // 3)
    return float(np.median(values[-third:]) / np.median(values[:third]) - 1.0)


def growth_of_floor(values: list[float]) -> float:
    """The same of the smallest values: an allocator that keeps freed pages adds for a while, a leak adds for good."""
    third = max(1, len(values) // 3)
    return min(values[-third:]) / min(values[:third]) - 1.0


def _kilobytes(path: Path) -> dict[str, int]:
    found = {}
    for line in path.read_text().splitlines():
        name, _, value = line.partition(":")
        if value.strip().endswith("kB"):
            found[name] = int(value.split()[0])
    return found
