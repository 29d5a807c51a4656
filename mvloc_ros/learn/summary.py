# SPDX-License-Identifier: Apache-2.0
"""What the command says of its choice at the beginning, and of its files and the next commands at the end."""

from __future__ import annotations

import importlib
from shlex import quote

from mvloc_ros.learn.job import Job
from mvloc_ros.learn.options import LearnOptions
from mvloc_ros.learn.steps_result import REPORT, report_inputs, report_is_there


def choice_text(options: LearnOptions) -> str:
    """How the network is trained."""
    config = options.config()
    refit = options.effort.refit_epochs
    after = "no refit" if refit is None else f"{refit} epochs of refit on all training frames"
    kind = "as given" if options.preset is not None else "quick, to try" if options.quick else "default"
    return (
        f"network ({kind}): preset {config.preset}, images of {config.input.short_side} pixels, "
        f"{config.optimiser.epochs} epochs, {after}, seed {config.seed}"
    )


def next_text(job: Job) -> str:
    """The files, and the commands that use them."""
    places = job.places
    page, _ = places.report
    files = [
        (places.out, "the bundle, for the node"),
        (page, "the report"),
        (places.evaluation, "the evaluation: report.json, frames.csv, trajectory.png"),
        (places.test_bag, "the frames that it was evaluated on, as a recording"),
        (places.grid if job.options.grid else None, "the occupancy grid: map.yaml, map.pgm, grid.png"),
        (places.work, "all else; it may be deleted"),
    ]
    lines = [f"  {path}: {what}" for path, what in files if path is not None and path.exists()]
    return "\n".join(["made:", *lines, "next:", *(f"  {line}" for line in next_lines(job))])


def next_lines(job: Job) -> list[str]:
    """The commands that come next: launch, replay and Nav2; those of the report, where it is made."""
    if report_is_there():
        commands = importlib.import_module(f"{REPORT}.next_commands").next_commands(report_inputs(job))
        return [line for command in commands for line in (f"# {command.title}", *command.lines)]
    places = job.places
    out, name = quote(str(places.out)), quote(places.out.name)
    grid = quote(str(places.grid / "map.yaml"))
    return [
        f"ros2 launch mvloc_ros mvloc.launch.py model:={out} camera:=realsense   # your camera: docs/integration.md",
        f"mvloc replay {quote(str(places.test_bag))} --model {out} --out out/{name}",
        f"ros2 run nav2_map_server map_server --ros-args -p yaml_filename:={grid}   # docs/grid.md"
        if job.options.grid
        else f"mvloc grid {out} --out maps/{name}   # docs/grid.md",
    ]
