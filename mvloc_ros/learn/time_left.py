# SPDX-License-Identifier: Apache-2.0
"""How long the rest takes: by what each step takes per frame on two idle cores, and what this machine took so far."""

from __future__ import annotations

import time

from mvloc_ros.learn.job import Job
from mvloc_ros.learn.options import PRESET
from mvloc_ros.learn.step import Step
from mvloc_ros.recordings import open_folders

FRAME_EPOCH_S = {"small": 0.028, "robust": 0.006}
"""Of the presets on two idle cores; that of a file is not known before it has run."""
VIEW_S = 0.06
"""To render a view for `robust`; there are two of each frame, and as many again for the refit."""
FIXED_S = {
    "export": 15.0,
    "map": 20.0,
    "calibration": 5.0,
    "evaluation": 5.0,
    "whole map": 10.0,
    "grid": 10.0,
    "report": 20.0,
}
PER_FRAME_S = {
    "export": 0.01,
    "map": 0.23,
    "calibration": 0.05,
    "evaluation": 0.05,
    "whole map": 0.23,
    "grid": 0.01,
    "report": 0.01,
}
_LEAST_S = 20.0
"""Shorter steps say little of a machine."""


class TimeLeft:
    """Says how much time is left from a step on; to be called when the step begins."""

    def __init__(self, job: Job, names: list[str]) -> None:
        self._job, self._names = job, names
        self._frames = 0
        self._begun: tuple[str, float] | None = None
        self._took, self._expected = 0.0, 0.0

    def __call__(self, step: Step) -> str:
        """A clause for the line of the step; empty where nothing is known yet."""
        self._note()
        self._begun = step.name, time.monotonic()
        if step.name not in self._names[2:]:
            return ""
        self._frames = self._frames or len(open_folders(self._job.folders, self._job.options.test_fraction).train)
        rest = [self._cost(name) for name in self._names[self._names.index(step.name) :]]
        known = [seconds for seconds in rest if seconds is not None]
        if len(known) < len(rest) or not known:
            return ""
        if not self._expected:
            return f" (all that is left takes about {duration(sum(known))} on two idle cores)"
        return f" (about {duration(sum(known) * self._took / self._expected)} left for all steps)"

    def _note(self) -> None:
        """Compare the step that has just ended with what was expected of it."""
        if self._begun is None or not self._frames:
            return
        name, since = self._begun
        expected, took = self._cost(name), time.monotonic() - since
        if expected is not None and expected >= _LEAST_S:
            self._took += took
            self._expected += expected

    def _cost(self, name: str) -> float | None:
        """Seconds of a step on two idle cores; None where nobody knows."""
        if name == "whole map" and not self._job.holds_out:
            return 0.0
        if name != "network":
            return FIXED_S.get(name, 0.0) + PER_FRAME_S.get(name, 0.0) * self._frames
        options = self._job.options
        frame_epoch_s = FRAME_EPOCH_S.get(options.preset or PRESET)
        if frame_epoch_s is None:
            return None
        config, refit = options.config(), options.effort.refit_epochs
        views = 0 if config.augmentation.rendered == 0.0 else 2 if refit is None else 4
        return (frame_epoch_s * (config.optimiser.epochs + (refit or 0)) + VIEW_S * views) * self._frames


def duration(seconds: float) -> str:
    """Rounded, since it is an estimate."""
    if seconds < 90.0:
        return f"{max(10.0, round(seconds, -1)):.0f} s"
    return f"{seconds / 60.0:.0f} min"
