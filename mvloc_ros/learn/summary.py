# SPDX-License-Identifier: Apache-2.0
"""What the command says of its choice at the beginning, and of its files and the next commands at the end."""

from __future__ import annotations

from shlex import quote

from mvloc_ros.learn.job import Job
from mvloc_ros.learn.options import LearnOptions


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
    out = quote(str(places.out.resolve()))
    replay = f"mvloc replay {quote(str(places.test_bag))} --model {quote(str(places.out))} --out out/{places.out.name}"
    grid = quote(str(places.grid / "map.yaml")) if job.options.grid else ""
    nav2 = (
        f"ros2 run nav2_map_server map_server --ros-args -p yaml_filename:={grid}"
        if grid
        else f"mvloc grid {quote(str(places.out))} --out maps/{quote(places.out.name)}"
    )
    commands = [
        (f"ros2 launch mvloc_ros mvloc.launch.py model:={out} camera:=realsense", "your camera: docs/integration.md"),
        (replay, "the evaluation again, also with other parameters"),
        (nav2, "the map for Nav2: docs/grid.md, docs/integration.md"),
    ]
    return "\n".join(["made:", *lines, "next:", *(f"  {command}   # {why}" for command, why in commands)])
