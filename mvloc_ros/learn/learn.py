# SPDX-License-Identifier: Apache-2.0
"""Learn a place: all steps in order, in one folder of work that only one process uses."""

from __future__ import annotations

import shutil

from mvloc_ros.learn.errors import LearnError
from mvloc_ros.learn.given import given_recordings, require_use_of
from mvloc_ros.learn.job import Job
from mvloc_ros.learn.options import LearnOptions, Places
from mvloc_ros.learn.state import State
from mvloc_ros.learn.step import Step, run_steps
from mvloc_ros.learn.steps_bundle import (
    calibration_step,
    export_step,
    map_step,
    network_step,
    require_bundle_or_nothing,
    whole_map_step,
)
from mvloc_ros.learn.steps_data import poses_step, read_step
from mvloc_ros.learn.steps_result import evaluation_step, grid_step, report_step
from mvloc_ros.learn.summary import choice_text, next_text
from mvloc_ros.learn.time_left import TimeLeft
from mvloc_ros.storage import StorageError, exclusive
from mvloc_ros.training.verbs import require_torch


def learn(options: LearnOptions) -> Places:
    """Do all that is not done, and say what was made.

    Raises:
        LearnError: a recording or an option cannot be used, or a step failed; the same command goes on there.
        InUseError: another process learns into the same bundle.
    """
    out = options.out.expanduser()
    if not out.name:
        raise LearnError(f"--out {options.out} is no name for a bundle: give a folder like models/my_place.")
    places = Places(out)
    require_bundle_or_nothing(out)
    options.config()  # a preset that cannot be used, or torch that is missing, is said before anything is read
    require_torch("mvloc learn")
    given = given_recordings(options.recordings, options.trajectories, places.frames)
    require_use_of(options.conversion, given)
    try:
        places.frames.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(places.work, error) from error
    with exclusive(places.work):
        job = Job(options, places, tuple(given))
        steps = steps_of(job)
        print(choice_text(options), flush=True)
        state = State(places.state)
        try:
            run_steps(steps, state, TimeLeft(job, [step.name for step in steps]))
        except LearnError:
            if not state.has_results and not any(places.frames.iterdir()):
                shutil.rmtree(places.work, ignore_errors=True)  # recordings that cannot be used leave nothing
            raise
        print(next_text(job), flush=True)
    return places


def steps_of(job: Job) -> list[Step]:
    """The steps in order."""
    steps = [read_step(job), poses_step(job), network_step(job), export_step(job), map_step(job)]
    steps += [calibration_step(job), evaluation_step(job), whole_map_step(job)]
    steps += [grid_step(job)] if job.options.grid else []
    return [*steps, report_step(job)]
