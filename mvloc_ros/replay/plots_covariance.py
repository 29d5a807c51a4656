# SPDX-License-Identifier: Apache-2.0
"""The picture of a run's covariances: how often the truth lies inside, and whether large errors were announced."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mvloc_ros.evaluation.consistency import REMOVED, Consistency
from mvloc_ros.geometry import chi_square
from mvloc_ros.replay.plots import ESTIMATE, MISSING, TRUTH

_STYLES = {"position": (ESTIMATE, "-"), "rotation": (MISSING, "--"), "pose": (TRUTH, ":")}


def save_covariance_figure(evaluated: Consistency, recording: str, path: Path) -> None:
    """Write a PNG of 1500 x 600 pixels."""
    figure = Figure(figsize=(10, 4), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    reliability, sparsification = figure.subplots(1, 2)
    _reliability(reliability, evaluated)
    _sparsification(sparsification, evaluated)
    pose = evaluated.blocks["pose"]
    low, high = pose.bounds
    figure.suptitle(
        f"{recording}: covariances of {evaluated.frames} poses, ANEES {pose.anees:.2f} "
        f"({low:.2f} to {high:.2f} if right and frames independent)",
        fontsize=11,
    )
    figure.savefig(path, format="png")


def _reliability(axes: Axes, evaluated: Consistency) -> None:
    axes.plot([0, 1], [0, 1], "-", color="#B0B0B0", linewidth=1)
    for name, block in evaluated.blocks.items():
        color, style = _STYLES[name]
        probabilities = np.sort(chi_square.cdf(evaluated.nees[name], block.dof))
        shares = np.arange(1, len(probabilities) + 1) / len(probabilities)
        label = f"{name}, ANEES {block.anees:.2f}"
        axes.step([0, *probabilities, 1], [0, *shares, 1], style, where="post", color=color, label=label)
    axes.set_xlabel("probability of the ellipsoid")
    axes.set_ylabel("share of the frames inside")
    axes.legend(loc="upper left", fontsize=8)
    axes.grid(alpha=0.3)


def _sparsification(axes: Axes, evaluated: Consistency) -> None:
    for name, (stated, oracle) in evaluated.curves.items():
        color, style = _STYLES[name]
        ause = evaluated.blocks[name].ause
        axes.plot(REMOVED, stated, style, color=color, label=f"{name}, AUSE {ause:.3f}")
        axes.plot(REMOVED, oracle, style, color=color, alpha=0.35, label=f"{name}, oracle")
    axes.set_xlabel("share of the frames left out, most uncertain first")
    axes.set_ylabel("mean error of the rest / of all")
    axes.set_ylim(bottom=0)
    axes.legend(loc="lower left", fontsize=8)
    axes.grid(alpha=0.3)
