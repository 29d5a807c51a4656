# SPDX-License-Identifier: Apache-2.0
"""The machine-readable results of an experiment: `frames.csv`, `results.csv`, `experiment.json`."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from mvloc_ros import __version__
from mvloc_ros.experiments.evaluate_rows import EvaluatedRow
from mvloc_ros.experiments.missing_images import Protocol
from mvloc_ros.experiments.results import Results
from mvloc_ros.experiments.scenes import Part
from mvloc_ros.experiments.table_cells import STATISTICS, UNITS
from mvloc_ros.experiments.table_rows import Row
from mvloc_ros.geometry import se3

SCHEMA = 1
NAMES = tuple(f"{statistic}_{unit}" for statistic in STATISTICS for unit in UNITS)
AXES = ("x", "y", "z", "qx", "qy", "qz", "qw")


def frames_csv(evaluated: Iterable[EvaluatedRow]) -> str:
    """One line per frame, row, seed and protocol: errors, and the estimated pose in the map."""
    header = ["scene", "row", "seed", "protocol", "sequence", "stamp_ns", "translation_m", "rotation_deg", *AXES]
    lines = []
    for item in evaluated:
        poses = np.hstack(se3.to_parts(item.estimates))
        seed = "" if item.seed is None else item.seed
        for i, (sequence, stamp) in enumerate(zip(item.frames.sequences, item.frames.stamps_ns, strict=True)):
            numbers = [f"{x:.7g}" for x in (item.errors.translation_m[i], item.errors.rotation_deg[i], *poses[i])]
            line = [item.scene, item.row, seed, item.protocol.name, sequence, int(stamp), *numbers]
            lines.append(dict(zip(header, line, strict=True)))
    return _csv(header, lines)


def results_csv(results: Results, evaluated: Sequence[EvaluatedRow]) -> str:
    """One line for each seed of a cell, and one for all its seeds; values that were not computed are empty.

    The line of a seed has its run, that of all seeds (`seed` is "all") the standard deviation and the interval; a
    baseline has only the latter.
    """
    plan = results.plan
    header = ["scene", "row", "protocol", "seed", "frames", *NAMES]
    header += [f"{name}_{what}" for name in NAMES for what in ("spread", "low", "high")]
    header += [*(f"published_{name}" for name in NAMES), "epochs", "seconds", "ess", "run"]
    lines: list[Mapping[str, object]] = []
    for part, label, protocol in results.combinations():
        cell = results.cell(part, label, protocol)
        figures = cell.figures if cell else {}
        common = {"scene": part.label, "row": label, "protocol": protocol.name, "frames": cell.frames if cell else ""}
        for seed in range(plan.seeds) if label not in plan.baselines else ():
            line = {**common, "seed": seed}
            if cell is not None and seed in cell.seeds:
                place = cell.seeds.index(seed)
                line |= {name: f"{figure.of_seeds[place]:.7g}" for name, figure in figures.items()}
                line |= _run_values(evaluated, cell.scene, label, seed)
            lines.append(line)
        line = {**common, "seed": "all"}
        for name, figure in figures.items():
            values = {name: figure.value, f"{name}_low": figure.low, f"{name}_high": figure.high}
            values |= {} if figure.spread is None else {f"{name}_spread": figure.spread}
            line |= {key: f"{value:.7g}" for key, value in values.items()}
        published = zip(NAMES, _published(results, label, part, protocol), strict=True)
        lines.append(line | {f"published_{name}": f"{value:g}" for name, value in published if value is not None})
    return _csv(header, lines)


def experiment_json(results: Results) -> str:
    """The plan and all results; null if a cell was not run."""
    plan = results.plan
    cells = []
    for part, label, protocol in results.combinations():
        cell = results.cell(part, label, protocol)
        printed = dict(zip(NAMES, _published(results, label, part, protocol), strict=True))
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


def _published(results: Results, label: str, part: Part, protocol: Protocol) -> list[float | None]:
    """The published errors for a cell, in the order of NAMES."""
    found: list[float | None] = []
    for statistic in STATISTICS:
        cell = results.published_errors(label, part.paper, statistic, protocol)
        found += (None, None) if cell is None else (cell.metres, cell.degrees)
    return found


def _run_values(evaluated: Sequence[EvaluatedRow], scene: str, label: str, seed: int) -> dict[str, str]:
    """Epochs, seconds, effective sample size and folder of a run."""
    run = next(item.run for item in evaluated if (item.scene, item.row, item.seed) == (scene, label, seed))
    assert run is not None
    names = {"epochs": "epoch", "seconds": "seconds", "ess": "train/ess"}
    values = {column: f"{run.last[name]:.6g}" for column, name in names.items() if name in run.last}
    return {**values, "run": str(run.folder)}


def _csv(header: Sequence[str], lines: Iterable[Mapping[str, object]]) -> str:
    """A table with a header; missing values are empty."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, header, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return stream.getvalue()
