# SPDX-License-Identifier: Apache-2.0
"""The plots of an experiment: errors with their intervals, and trajectories."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from mvloc_ros.experiments.evaluate_rows import EvaluatedRow
from mvloc_ros.experiments.results import Results
from mvloc_ros.experiments.scenes import Part, members
from mvloc_ros.experiments.table_cells import UNITS
from mvloc_ros.replay.plots import AXES, ESTIMATE, TRUTH, axes_by_extent, breaks_of, broken

# Colors of Okabe and Ito, one per protocol, with a marker each.
COLORS = ("#0072B2", "#D55E00", "#E69F00", "#009E73", "#CC79A7")
MARKERS = ("o", "s", "^", "D", "v")
PUBLISHED = "published (hollow: other split)"
QUANTITIES = {"m": "position error, m", "deg": "rotation error, deg"}


def save_figures(results: Results, path: Path) -> None:
    """Median errors of every row with 95 % intervals, the single seeds, and the published values."""
    parts = [part for part in results.parts() if any(key[0] == part.label for key in results.cells)]
    labels, protocols = results.plan.labels, results.plan.protocols
    height = 0.8 + max(1, len(parts)) * (0.6 + 0.22 * len(labels) * max(1.5, len(protocols)))
    figure = Figure(figsize=(10, height), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(max(1, len(parts)), 2, squeeze=False)
    for line, part in zip(axes, parts, strict=False):
        for (unit, quantity), view in zip(QUANTITIES.items(), line, strict=True):
            _figures(view, results, part, unit)
            view.set_xlabel(f"median {quantity}", fontsize=9)
        line[0].set_title(part.label, fontsize=10, loc="left")
    handles = [
        Line2D([], [], color=COLORS[i], marker=MARKERS[i], label=protocol.label) for i, protocol in enumerate(protocols)
    ]
    handles.append(Line2D([], [], color=TRUTH, marker="*", linestyle="", markersize=9, label=PUBLISHED))
    figure.legend(handles=handles, loc="outside upper center", ncols=3, fontsize=8)
    figure.savefig(path, format="png")


def _figures(view: Axes, results: Results, part: Part, unit: str) -> None:
    labels, protocols = results.plan.labels, results.plan.protocols
    for y, label in enumerate(labels):
        for i, protocol in enumerate(protocols):
            cell = results.cell(part, label, protocol)
            place = y + 0.7 * ((i + 0.5) / len(protocols) - 0.5)
            if cell is not None:
                found = cell.figures[f"median_{unit}"]
                view.plot([found.low, found.high], [place, place], "-", color=COLORS[i], linewidth=2, alpha=0.5)
                view.plot(found.of_seeds, [place] * len(found.of_seeds), ".", color=COLORS[i], markersize=4)
                view.plot(found.value, place, MARKERS[i], color=COLORS[i], markersize=6)
            printed = results.published_errors(label, part.paper, "median", protocol)
            value = None if printed is None else dict(zip(UNITS, printed[:2], strict=True))[unit]
            if value is not None:
                view.plot(value, place, "*", color=TRUTH, markersize=9, fillstyle="full" if part.official else "none")
    view.set_yticks(range(len(labels)), labels, fontsize=8)
    view.set_ylim(len(labels) - 0.5, -0.5)
    view.set_xlim(left=0)
    view.grid(alpha=0.3)


def save_trajectories(results: Results, part: Part, evaluated: Sequence[EvaluatedRow], path: Path) -> None:
    """Poses of every system for one part, from above and beside the truth, and errors over time.

    Args:
        results: of the experiment; rows without poses are empty.
        part: the test frames to show.
        evaluated: at most one seed of each row, of the scene of the part.
        path: the PNG.
    """
    labels = results.plan.labels
    figure = Figure(figsize=(13, 0.8 + 3.2 * len(labels)), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(labels), 3, squeeze=False, width_ratios=[1.2, 1, 1])
    for label, line in zip(labels, grid, strict=True):
        item = next((item for item in evaluated if item.row == label), None)
        line[0].set_title(label, fontsize=10, loc="left")
        if item is None:
            for view in line:
                view.set_axis_off()
            line[0].text(0.5, 0.5, "not run", ha="center", transform=line[0].transAxes)
            continue
        picked = members(item.frames, part)
        picked = picked[np.argsort(item.frames.stamps_ns[picked], kind="stable")]
        _trajectory(line, item, picked)
    handles = [
        Line2D([], [], color=TRUTH, label="ground truth"),
        Line2D([], [], color=ESTIMATE, marker=".", linestyle="", label="estimate"),
        Line2D([], [], color="#E69F00", marker="*", linestyle="", markersize=10, label="start"),
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=3, fontsize=9, title=part.label)
    figure.savefig(path, format="png")


def _trajectory(line: Sequence[Axes], item: EvaluatedRow, picked: NDArray[np.int64]) -> None:
    stamps, truth, estimates = item.frames.stamps_ns[picked], item.frames.poses[picked], item.estimates[picked]
    breaks = breaks_of(stamps)
    across, up, _ = axes_by_extent(truth[:, :3, 3])
    top = line[0]
    top.plot(broken(truth[:, across, 3], breaks), broken(truth[:, up, 3], breaks), "-", color=TRUTH, linewidth=1.5)
    top.plot(estimates[:, across, 3], estimates[:, up, 3], ".", color=ESTIMATE, markersize=4)
    top.plot(truth[0, across, 3], truth[0, up, 3], "*", color="#E69F00", markersize=12)
    top.set_xlabel(f"{AXES[across]}, m", fontsize=9)
    top.set_ylabel(f"{AXES[up]}, m", fontsize=9)
    top.set_aspect("equal", adjustable="datalim")
    seconds = (stamps - stamps[0]) / 1e9
    for view, (unit, attribute) in zip(line[1:], UNITS.items(), strict=True):
        errors = getattr(item.errors, attribute)[picked]
        view.plot(broken(seconds, breaks), broken(errors, breaks), "-", color=ESTIMATE, linewidth=1)
        view.axhline(float(np.median(errors)), color=TRUTH, linestyle="--", linewidth=1)
        view.set_title(f"median {np.median(errors):.3g} {unit}", fontsize=9)
        view.set_ylabel(QUANTITIES[unit], fontsize=9)
        view.set_xlabel("time, s", fontsize=9)
        view.set_ylim(bottom=0)
    for view in line:
        view.grid(alpha=0.3)
