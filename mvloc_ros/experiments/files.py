# SPDX-License-Identifier: Apache-2.0
"""What an experiment writes beside its tables: `frames.csv`, `results.csv`, `experiment.json`."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from mvloc_ros import __version__
from mvloc_ros.experiments.cells import STATISTICS, UNITS
from mvloc_ros.experiments.judging import Judged
from mvloc_ros.experiments.results import Results
from mvloc_ros.experiments.scenes import Part
from mvloc_ros.experiments.table_rows import Row
from mvloc_ros.geometry import se3

SCHEMA = 1
NAMES = tuple(f"{statistic}_{unit}" for statistic in STATISTICS for unit in UNITS)
AXES = ("x", "y", "z", "qx", "qy", "qz", "qw")


def frames_csv(judged: Iterable[Judged]) -> str:
    """One line a frame, row, seed and protocol: errors, and the estimated pose in the map."""
    header = ["scene", "row", "seed", "protocol", "sequence", "stamp_ns", "translation_m", "rotation_deg", *AXES]
    lines = []
    for item in judged:
        positions, orientations = se3.to_parts(item.estimates)
        seed = "" if item.seed is None else item.seed
        for i, (sequence, stamp) in enumerate(zip(item.frames.sequences, item.frames.stamps_ns, strict=True)):
            numbers = [item.errors.translation_m[i], item.errors.rotation_deg[i], *positions[i], *orientations[i]]
            cells = [f"{value:.7g}" for value in numbers]
            lines.append([item.scene, item.row, seed, item.protocol.name, sequence, int(stamp), *cells])
    return _csv(header, lines)


def results_csv(results: Results, judged: Sequence[Judged]) -> str:
    """One line a seed of each cell and one for all its seeds; the figures of what was not run are empty.

    A line of a seed has its run and how it ended, one of all seeds (`seed` is "all") the spread and the
    interval; a baseline has only the latter.
    """
    plan = results.plan
    header = ["scene", "row", "protocol", "seed", "frames", *NAMES]
    header += [f"{name}_{what}" for name in NAMES for what in ("spread", "low", "high")]
    header += [f"published_{name}" for name in NAMES] + ["epochs", "seconds", "ess", "run"]
    lines = []
    for part, label, protocol in ((p, r, q) for p in results.parts() for r in plan.labels for q in plan.protocols):
        cell = results.cell(part, label, protocol)
        learned = label not in plan.baselines
        for seed in range(plan.seeds) if learned else ():
            values, ending = [""] * len(NAMES), [""] * 4
            if cell is not None and seed in cell.seeds:
                place = cell.seeds.index(seed)
                values = [f"{cell.figures[name].of_seeds[place]:.7g}" for name in NAMES]
                ending = _ending(judged, cell.scene, label, seed)
            empty = [""] * (4 * len(NAMES))
            lines.append(
                [part.label, label, protocol.name, seed, cell.frames if cell else "", *values, *empty, *ending]
            )
        figures = [cell.figures[name] for name in NAMES] if cell else []
        values = [f"{figure.value:.7g}" for figure in figures] or [""] * len(NAMES)
        spreads = [
            "" if number is None else f"{number:.7g}"
            for figure in figures
            for number in (figure.spread, figure.low, figure.high)
        ] or [""] * (3 * len(NAMES))
        printed = ["" if value is None else f"{value:g}" for value in _printed(results, label, part, protocol.name)]
        count = cell.frames if cell else ""
        lines.append([part.label, label, protocol.name, "all", count, *values, *spreads, *printed, "", "", "", ""])
    return _csv(header, lines)


def experiment_json(results: Results) -> str:
    """Everything asked for and found; null where nothing was run."""
    plan = results.plan
    cells = []
    for part, label, protocol in ((p, r, q) for p in results.parts() for r in plan.labels for q in plan.protocols):
        cell = results.cell(part, label, protocol)
        printed = dict(zip(NAMES, _printed(results, label, part, protocol.name), strict=True))
        cells.append(
            {
                "scene": part.label,
                "row": label,
                "protocol": protocol.name,
                "frames": cell.frames if cell else None,
                "seeds": list(cell.seeds) if cell else [],
                "figures": {name: asdict(figure) for name, figure in cell.figures.items()} if cell else None,
                "published": printed if any(value is not None for value in printed.values()) else None,
                "note": cell.note if cell else "",
            }
        )
    values: dict[str, Any] = {
        "schema": SCHEMA,
        "experiment": plan.name,
        "version": __version__,
        "command": plan.command,
        "seeds": plan.seeds,
        "bootstrap": asdict(plan.blocks),
        "rows": [_row(row) for row in plan.rows],
        "baselines": list(plan.baselines),
        "scenes": [asdict(part) for part in results.parts()],
        "cells": cells,
    }
    return json.dumps(values, indent=2) + "\n"


def _row(row: Row) -> dict[str, Any]:
    return {"label": row.label, "system": row.system, "published": row.published, "config": row.config.to_dict()}


def _printed(results: Results, label: str, part: Part, protocol_name: str) -> list[float | None]:
    """What the paper prints for a cell, in the order of NAMES."""
    protocol = next(protocol for protocol in results.plan.protocols if protocol.name == protocol_name)
    found: list[float | None] = []
    for statistic in STATISTICS:
        cell = results.printed(label, part.paper, statistic, protocol)
        found += (None, None) if cell is None else (cell.metres, cell.degrees)
    return found


def _ending(judged: Sequence[Judged], scene: str, label: str, seed: int) -> list[str]:
    """Epochs, seconds, effective sample size and folder of a run."""
    run = next(item.run for item in judged if (item.scene, item.row, item.seed) == (scene, label, seed))
    assert run is not None
    numbers = [f"{run.last[name]:.6g}" if name in run.last else "" for name in ("epoch", "seconds", "train/ess")]
    return [*numbers, str(run.folder)]


def _csv(header: Sequence[str], lines: Iterable[Sequence[object]]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(lines)
    return stream.getvalue()
