# SPDX-License-Identifier: Apache-2.0
"""Everything that the report says, computed from the files: the page and the JSON are two forms of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.errors import MvlocError
from mvloc_ros.learn.report.accuracy import AccuracyOnHeldOut, accuracy_of
from mvloc_ros.learn.report.coverage import Coverage, coverage_of
from mvloc_ros.learn.report.evaluation_files import REPORT_FILE, Evaluation, read_evaluation
from mvloc_ros.learn.report.expected_error import ExpectedError, expected_error
from mvloc_ros.learn.report.inputs import ReportError, ReportInputs
from mvloc_ros.learn.report.next_commands import NextCommand, next_commands
from mvloc_ros.learn.report.place import Place, read_place
from mvloc_ros.mapping.errors import MappingError


@dataclass(frozen=True)
class CoveredFrames:
    """How held-out frames fared by whether a training view covers their pose: a check of the coverage."""

    inside: int
    inside_accepted: int
    outside: int
    outside_accepted: int


@dataclass(frozen=True, eq=False)
class Findings:
    """What a report is written from.

    Attributes:
        evaluation, accuracy: None where there is no evaluation, or none with true poses.
        coverage: None where it could not be computed; `no_coverage` says why.
        covered_frames: None without evaluation or coverage.
        expected: None without map or training poses.
    """

    inputs: ReportInputs
    place: Place
    evaluation: Evaluation | None
    accuracy: AccuracyOnHeldOut | None
    coverage: Coverage | None
    no_coverage: str
    covered_frames: CoveredFrames | None
    expected: ExpectedError | None
    commands: tuple[NextCommand, ...]


def find(inputs: ReportInputs) -> Findings:
    """Read the files and compute.

    Raises:
        MvlocError: a file that must be there is missing, or one is damaged.
    """
    place = read_place(inputs)
    evaluation = None if inputs.evaluation is None else read_evaluation(inputs.evaluation)
    coverage, no_coverage = None, ""
    try:
        coverage = coverage_of(place)
    except MappingError as error:
        no_coverage = str(error)
    has_views = place.scene_map is not None and place.views is not None
    return Findings(
        inputs=inputs,
        place=place,
        evaluation=evaluation,
        accuracy=None if evaluation is None else _accuracy(evaluation, place, inputs.evaluation),
        coverage=coverage,
        no_coverage=no_coverage,
        covered_frames=_covered_frames(evaluation, coverage, place),
        expected=expected_error(place.scene_map, place.views, place.bundle.manifest)  # type: ignore[arg-type]
        if has_views
        else None,
        commands=next_commands(inputs),
    )


def _accuracy(evaluation: Evaluation, place: Place, folder: Path | None) -> AccuracyOnHeldOut | None:
    try:
        return accuracy_of(evaluation, place.training)
    except MvlocError as error:
        raise ReportError(f"{folder}/{REPORT_FILE} cannot be used: {error}; run `mvloc replay` again.") from error


def _covered_frames(evaluation: Evaluation | None, coverage: Coverage | None, place: Place) -> CoveredFrames | None:
    if evaluation is None or coverage is None or place.training is None or not evaluation.has_truth.any():
        return None
    known = evaluation.has_truth
    # Not by the map's other frames: the held-out ones may be among them.
    true = place.turned_poses(evaluation.truth[known])
    inside = coverage.of_poses(true, by=place.turned_poses(place.training.poses))
    accepted = evaluation.accepted[known]
    return CoveredFrames(*(_count(chosen) for chosen in (inside, inside & accepted, ~inside, ~inside & accepted)))


def _count(chosen: NDArray[np.bool_]) -> int:
    return int(np.count_nonzero(chosen))
