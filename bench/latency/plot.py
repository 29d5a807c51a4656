# SPDX-License-Identifier: Apache-2.0
"""Latency over time and its distribution, a row for each load, both nodes in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

matplotlib.use("Agg")
from matplotlib import pyplot

COLOURS = {"mvloc": "tab:blue", "ordinary": "tab:orange", "events": "tab:green"}


def plot(groups: dict[str, list[dict[str, Any]]], path: Path) -> None:
    """Draw the cases of each load: title -> cases (of several rounds, the last of each node)."""
    figure, axes = pyplot.subplots(len(groups), 2, figsize=(11, 2.4 * len(groups)), squeeze=False)
    for (over_time, distribution), (title, cases) in zip(axes, groups.items(), strict=True):
        for case in {case["node"]: case for case in cases}.values():
            series = np.array(case["series_s_ms"]).reshape(-1, 2)
            ages = np.sort(series[:, 1])
            colour, label = COLOURS[case["node"]], f"{case['node']}, {case['poses_hz']:.1f} poses/s"
            over_time.plot(*series.T, ".", markersize=3, color=colour)
            distribution.step(ages, 100 * (1 + np.arange(len(ages))) / len(ages), color=colour, label=label)
        over_time.set(title=title, ylabel="stamp to publication [ms]", yscale="log")
        distribution.set(ylabel="share of the poses [%]", xscale="log", ylim=(0, 101))
        distribution.legend(loc="lower right", fontsize="small")
        for axis in (over_time, distribution):
            axis.grid(True, which="both", alpha=0.3)
    axes[-1][0].set_xlabel("time [s]")
    axes[-1][1].set_xlabel("stamp to publication [ms]")
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
