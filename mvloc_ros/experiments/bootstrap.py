# SPDX-License-Identifier: Apache-2.0
"""Confidence intervals of statistics over the frames of a video, whose errors are correlated.

The circular block bootstrap (Politis and Romano, 1992): blocks of consecutive frames are drawn with replacement until
there are as many frames as before, and the statistic is computed for them, many times. Intervals from single frames
would be far too narrow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.experiments.errors import ExperimentError

Statistic = Callable[..., NDArray[np.float64]]

CHUNK = 100  # resamples at a time, to limit memory


@dataclass(frozen=True)
class Blocks:
    """How frames are drawn: blocks of `seconds`, or of `frames` if that is given; `seed` of the random numbers."""

    seconds: float = 1.0
    frames: int | None = None
    resamples: int = 1000
    coverage: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.seconds > 0.0 or (self.frames is not None and self.frames < 1) or self.resamples < 1:
            raise ExperimentError("--block-seconds, --block-frames and --resamples must be greater than 0.")

    def length(self, stamps_ns: NDArray[np.int64]) -> int:
        """Frames per block in a sequence with these stamps: from one to all."""
        count = len(stamps_ns)
        if self.frames is not None:
            return min(self.frames, count)
        period = float(np.median(np.diff(stamps_ns))) / 1e9 if count > 1 else 0.0
        return count if period <= 0.0 else int(np.clip(round(self.seconds / period), 1, count))


def interval(
    values: NDArray[np.float64],
    statistic: Statistic,
    groups: Sequence[NDArray[np.int64]],
    lengths: Sequence[int],
    blocks: Blocks,
) -> tuple[float, float]:
    """The percentile interval of the mean of a statistic over seeds.

    Args:
        values: `[S, N]`, of each of N frames with each of S seeds. The same frames are drawn for all
            seeds: the interval covers the choice of frames, not of seeds.
        statistic: `np.median`, `np.mean` or the like, with the argument `axis`.
        groups: the frames of each sequence, in the order of time; together all N.
        lengths: frames per block in each of them.
        blocks: number of resamples, and coverage of the interval.
    """
    generator = np.random.default_rng(blocks.seed)
    found = []
    for start in range(0, blocks.resamples, CHUNK):
        drawn = draw(groups, lengths, min(CHUNK, blocks.resamples - start), generator)
        found.append(statistic(values[:, drawn], axis=2).mean(axis=0))
    tail = 50.0 * (1.0 - blocks.coverage)
    low, high = np.percentile(np.concatenate(found), [tail, 100.0 - tail])
    return float(low), float(high)


def draw(
    groups: Sequence[NDArray[np.int64]], lengths: Sequence[int], count: int, generator: np.random.Generator
) -> NDArray[np.int64]:
    """`count` resamples `[count, N]`: from every sequence as many frames as it has, in blocks.

    A block at the end of its sequence continues at the beginning, so that all frames have equal probability.
    """
    parts = []
    for members, length in zip(groups, lengths, strict=True):
        size = len(members)
        starts = generator.integers(0, size, (count, -(-size // length)))
        positions = (starts[:, :, None] + np.arange(length)) % size
        parts.append(members[positions.reshape(count, -1)[:, :size]])
    return np.concatenate(parts, axis=1)
