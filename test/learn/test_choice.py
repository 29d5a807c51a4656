# SPDX-License-Identifier: Apache-2.0
"""How the network is trained when nobody says it, and how long that is said to take."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mvloc_ros.learn.given import given_recordings
from mvloc_ros.learn.job import Job
from mvloc_ros.learn.options import LearnOptions, Places
from mvloc_ros.learn.steps_bundle import network_step
from mvloc_ros.learn.summary import choice_text
from mvloc_ros.learn.time_left import TimeLeft
from mvloc_ros.training.presets import preset

STEPS = ["read", "poses", "network"]


def options_of(walk: Path, out: Path, *, quick: bool = False, name: str | None = None) -> LearnOptions:
    return LearnOptions((walk,), out, quick=quick, preset=name)


def seconds(options: LearnOptions) -> float | None:
    """What is said to be left when the training begins, of which nothing was measured yet."""
    places = Places(options.out)
    job = Job(options, places, tuple(given_recordings(options.recordings, options.trajectories, places.frames)))
    said = TimeLeft(job, STEPS)(network_step(job))
    found = re.fullmatch(r" \(all that is left takes about (\d+) (s|min) on two idle cores\)", said)
    return None if found is None else float(found[1]) * (1.0 if found[2] == "s" else 60.0)


def test_a_network_for_robots_is_trained(walk: Path, tmp_path: Path) -> None:
    options = options_of(walk, tmp_path / "model")
    assert options.config() == preset("mvloc", "robust")
    assert re.fullmatch(
        r"network \(default\): preset robust, images of \d+ pixels, \d+ epochs with 50% rendered views where the "
        r"recordings allow it, \d+ epochs of refit on all training frames, seed 0",
        choice_text(options),
    )


def test_to_try_renders_nothing(walk: Path, tmp_path: Path) -> None:
    options = options_of(walk, tmp_path / "model", quick=True)
    config = options.config()
    assert config.augmentation.rendered == 0.0
    assert config.optimiser.epochs < preset("mvloc", "robust").optimiser.epochs
    assert "rendered" not in choice_text(options)
    assert choice_text(options).endswith("no refit, seed 0")


def test_the_time_is_that_of_the_preset(walk: Path, tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "model"
    to_try, usual, small = (
        seconds(options_of(walk, out, quick=quick, name=name))
        for quick, name in ((True, None), (False, None), (False, "small"))
    )
    assert to_try is not None
    assert usual is not None
    assert small is not None
    assert to_try < usual
    assert small == pytest.approx(0.028 * (50 + 12) * 80, abs=30.0)  # 80 training frames, rounded to minutes
    assert seconds(options_of(walk, out, name=str(tiny))) is None
