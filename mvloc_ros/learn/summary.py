# SPDX-License-Identifier: Apache-2.0
"""What the command says of its choice at the beginning, and of its files and the next commands at the end."""

from __future__ import annotations

from mvloc_ros.learn.job import Job
from mvloc_ros.learn.options import LearnOptions
from mvloc_ros.learn.report.next_commands import next_commands
from mvloc_ros.learn.steps_result import report_inputs
from mvloc_ros.training.config import TrainingConfig


def choice_text(options: LearnOptions) -> str:
    """How the network is trained."""
    config = options.config()
    refit = options.effort.refit_epochs
    after = "no refit" if refit is None else f"{refit} epochs of refit on all training frames"
    kind = "as given" if options.preset is not None else "quick, to try" if options.quick else "default"
    return (
        f"network ({kind}): preset {config.preset}, images of {config.input.short_side} pixels, "
        f"{config.optimiser.epochs} epochs{_views(config)}, {after}, seed {config.seed}"
    )


def _views(config: TrainingConfig) -> str:
    share = config.augmentation.rendered
    return f" with {share:.0%} rendered views where the recordings allow it" if share > 0.0 else ""


def next_text(job: Job) -> str:
    """The files, and the commands that use them."""
    places = job.places
    page, _ = places.report
    files = [
        (places.out, "the bundle, for the node"),
        (page, "the report"),
        (places.evaluation, "the evaluation: report.json, frames.csv, trajectory.png"),
        (places.test_bag, "the frames that it was evaluated on and those before them, as a recording"),
        (places.grid if job.options.grid else None, "the occupancy grid: map.yaml, map.pgm, grid.png"),
        (places.work, "all else; it may be deleted"),
    ]
    lines = [f"  {path}: {what}" for path, what in files if path is not None and path.exists()]
    commands = [
        line for command in next_commands(report_inputs(job)) for line in (f"# {command.title}", *command.lines)
    ]
    return "\n".join(["made:", *lines, "next:", *(f"  {line}" for line in commands)])
