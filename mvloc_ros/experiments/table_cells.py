# SPDX-License-Identifier: Apache-2.0
"""The cells of a table: median and mean over frames, their mean and standard deviation over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.experiments.bootstrap import Blocks, Statistic, interval
from mvloc_ros.experiments.evaluate_rows import EvaluatedRow
from mvloc_ros.experiments.scenes import Part, members

STATISTICS: dict[str, Statistic] = {"median": np.median, "mean": np.mean}
UNITS = {"m": "translation_m", "deg": "rotation_deg"}


@dataclass(frozen=True)
class Figure:
    """A statistic: mean and standard deviation over seeds (None for one seed), and confidence interval over frames."""

    value: float
    spread: float | None
    low: float
    high: float
    of_seeds: tuple[float, ...]


@dataclass(frozen=True)
class Cell:
    """The statistics of one row on one part of the test frames in one protocol.

    `figures` have the names median_m, median_deg, mean_m, mean_deg. `seeds` is empty for a baseline.
    """

    scene: str
    part: Part
    row: str
    protocol: str
    frames: int
    blocks: float
    figures: Mapping[str, Figure]
    seeds: tuple[int, ...] = ()
    note: str = ""


def make_cell(part: Part, evaluated: Sequence[EvaluatedRow], blocks: Blocks) -> Cell | None:
    """The cell of one row in one protocol, with all its seeds; None if it has no frame of the part."""
    first = evaluated[0]
    picked = members(first.frames, part)
    if not len(picked):
        return None
    groups, lengths = _sequences(first.frames.stamps_ns[picked], np.array(first.frames.sequences)[picked], blocks)
    figures = {}
    for unit, attribute in UNITS.items():
        errors = np.stack([getattr(item.errors, attribute)[picked] for item in evaluated])
        for name, statistic in STATISTICS.items():
            of_seeds = statistic(errors, axis=1)
            low, high = interval(errors, statistic, groups, lengths, blocks)
            spread = float(np.std(of_seeds, ddof=1)) if len(of_seeds) > 1 else None
            values = tuple(float(value) for value in of_seeds)
            figures[f"{name}_{unit}"] = Figure(float(np.mean(of_seeds)), spread, low, high, values)
    return Cell(
        scene=first.scene,
        part=part,
        row=first.row,
        protocol=first.protocol.name,
        frames=len(picked),
        blocks=sum(len(group) / length for group, length in zip(groups, lengths, strict=True)),
        figures=figures,
        seeds=tuple(item.seed for item in evaluated if item.seed is not None),
        note=first.note,
    )


def _sequences(
    stamps_ns: NDArray[np.int64], names: NDArray[np.str_], blocks: Blocks
) -> tuple[list[NDArray[np.int64]], list[int]]:
    """The frame indices of each sequence, and the length of its blocks."""
    groups = [np.flatnonzero(names == name) for name in np.unique(names)]
    return groups, [blocks.length(stamps_ns[group]) for group in groups]
