# SPDX-License-Identifier: Apache-2.0
"""The picture of an evaluation: truth and estimate in two views, errors over time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mvloc_ros.evaluation.pose_errors import ErrorSummary
from mvloc_ros.replay.evaluation import EvaluationResult
from mvloc_ros.replay.run import Floats

# Okabe and Ito's colours, which stay apart for colour-blind readers; markers and line styles differ as well.
TRUTH, ESTIMATE, MISSING, TRAINING, NETWORK = "#000000", "#0072B2", "#D55E00", "#B0B0B0", "#E69F00"
AXES = "xyz"
BREAK_S = 0.5
"""A line is interrupted where frames are further apart: between sequences nothing moved there."""


def save_trajectory_figure(result: EvaluationResult, path: Path) -> None:
    """Write a PNG of 1500 x 1050 pixels."""
    figure = Figure(figsize=(10, 7), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    views = figure.subplot_mosaic(
        [["top", "side"], ["translation", "translation"], ["rotation", "rotation"]],
        gridspec_kw={"height_ratios": [2.4, 1, 1]},
    )
    widest, second, third = _axes_by_extent(result)
    breaks = breaks_of(result.stamps_ns)
    _view(views["top"], result, breaks, widest, second)
    _view(views["side"], result, breaks, widest, third)
    views["top"].legend(loc="best", fontsize=8)
    seconds = (result.stamps_ns - result.stamps_ns[0]) / 1e9
    accuracy = result.accuracy
    _errors(
        views["translation"],
        seconds,
        result.translation_m,
        result.network.translation_m if result.network else None,
        result,
        breaks,
        "position error, m",
        accuracy.translation_m if accuracy else None,
    )
    _errors(
        views["rotation"],
        seconds,
        result.rotation_deg,
        result.network.rotation_deg if result.network else None,
        result,
        breaks,
        "rotation error, deg",
        accuracy.rotation_deg if accuracy else None,
    )
    views["rotation"].set_xlabel("time, s")
    figure.suptitle(_title(result), fontsize=11)
    figure.savefig(path, format="png")


def _title(result: EvaluationResult) -> str:
    name = f"{result.run.recording}, {result.run.source}"
    if result.run.model:
        name += f", model {result.run.model}"
    figures = f"{result.poses} poses of {result.frames} frames"
    accuracy = result.accuracy
    if accuracy and accuracy.translation_m and accuracy.rotation_deg:
        t, r = accuracy.translation_m, accuracy.rotation_deg
        figures += f", median {t.median:.3f} m / {r.median:.2f} deg, p95 {t.p95:.3f} m / {r.p95:.2f} deg"
    return f"{name}\n{figures}"


def _axes_by_extent(result: EvaluationResult) -> tuple[int, int, int]:
    """What 'top' means in any map: the two widest axes and the third."""
    poses = result.truth if np.isfinite(result.truth).any() else result.estimates
    return axes_by_extent(poses[np.isfinite(poses[:, 0, 0]), :3, 3])


def axes_by_extent(positions: Floats) -> tuple[int, int, int]:
    """The two widest axes of positions `[N, 3]` in the order of their names, and the third."""
    extent = np.ptp(positions, axis=0) if len(positions) else np.zeros(3)
    order = np.argsort(-extent, kind="stable")
    widest, second = sorted((int(order[0]), int(order[1])))
    return widest, second, int(order[2])


def breaks_of(stamps_ns: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Indices before which a line is interrupted."""
    return np.flatnonzero(np.diff(stamps_ns) > BREAK_S * 1e9) + 1


def broken(values: Floats, breaks: npt.NDArray[np.int64]) -> Floats:
    """Values `[N]` with a gap before each break, for drawing a line."""
    return np.insert(values, breaks, np.nan)


def _view(axes: Axes, result: EvaluationResult, breaks: npt.NDArray[np.int64], across: int, up: int) -> None:
    training = result.run.training_poses
    if training is not None:
        axes.plot(training[:, across, 3], training[:, up, 3], ".", color=TRAINING, markersize=2, label="training")
    network = [] if result.network is None else [(result.network.poses, NETWORK, "+", result.network.label)]
    for poses, color, style, label in (
        *network,
        (result.truth, TRUTH, "-", "ground truth"),
        (result.estimates, ESTIMATE, ".", "refined" if network else "estimate"),
    ):
        if np.isfinite(poses).any():
            axes.plot(
                broken(poses[:, across, 3], breaks),
                broken(poses[:, up, 3], breaks),
                style,
                color=color,
                linewidth=1.5,
                markersize=4,
                label=label,
            )
    missing = ~result.has_pose & np.isfinite(result.truth[:, 0, 0])
    if missing.any():
        axes.plot(
            result.truth[missing, across, 3],
            result.truth[missing, up, 3],
            "x",
            color=MISSING,
            markersize=5,
            label="no pose",
        )
    axes.set_xlabel(f"{AXES[across]}, m")
    axes.set_ylabel(f"{AXES[up]}, m")
    axes.set_aspect("equal", adjustable="datalim")
    axes.grid(alpha=0.3)


def _errors(
    axes: Axes,
    seconds: Floats,
    errors: Floats,
    of_network: Floats | None,
    result: EvaluationResult,
    breaks: npt.NDArray[np.int64],
    label: str,
    summary: ErrorSummary | None,
) -> None:
    if of_network is not None:
        name = "" if result.network is None else result.network.label
        alone = f"{name}, median {np.nanmedian(of_network):.3g}"
        axes.plot(broken(seconds, breaks), broken(of_network, breaks), "-", color=NETWORK, linewidth=1, label=alone)
    axes.plot(broken(seconds, breaks), broken(errors, breaks), "-", color=ESTIMATE, linewidth=1)
    if summary is not None:
        which = "" if of_network is None else "refined, "
        label_median = f"{which}median {summary.median:.3g}"
        axes.axhline(summary.median, color=TRUTH, linestyle="--", linewidth=1, label=label_median)
        axes.legend(loc="upper right", fontsize=8)
    missing = ~result.has_pose
    axes.plot(seconds[missing], np.zeros(int(missing.sum())), "x", color=MISSING, markersize=5)
    axes.set_ylabel(label, fontsize=9)
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
