# SPDX-License-Identifier: Apache-2.0
"""Writes the report of a learned place: report.html and report.json, a pure function of files."""

from __future__ import annotations

import json

from mvloc_ros.learn.report.figures import figures_of
from mvloc_ros.learn.report.findings import Findings, find
from mvloc_ros.learn.report.inputs import ReportError, ReportInputs
from mvloc_ros.learn.report.page import COVERAGE, EXPECTED, HELD_OUT, PLAN, page_of
from mvloc_ros.learn.report.pictures import (
    Backdrop,
    draw_coverage,
    draw_expected_error,
    draw_held_out,
    draw_plan,
)
from mvloc_ros.learn.report.verdict import verdict_of
from mvloc_ros.storage import write_file

__all__ = ["ReportError", "ReportInputs", "make_report"]


def make_report(inputs: ReportInputs) -> None:
    """Write the page and the figures.

    Raises:
        MvlocError: a file that the report is made of is missing or damaged (ReportError, RecordingError, BundleError),
            or the report cannot be written (StorageError).
    """
    findings = find(inputs)
    verdict = verdict_of(findings)
    page = page_of(findings, verdict, draw(findings))
    write_file(inputs.out_html, page)
    figures = figures_of(findings, verdict)
    # Last: where the figures are, the page is too.
    write_file(inputs.out_json, json.dumps(figures, indent=2, allow_nan=False) + "\n")


def draw(findings: Findings) -> dict[str, bytes]:
    """The pictures that the findings allow, by their names in the page."""
    backdrop = Backdrop.of(findings.place)
    pictures = {PLAN: draw_plan(findings, backdrop)}
    if findings.expected is not None and len(findings.expected.sigma_m):
        pictures[EXPECTED] = draw_expected_error(findings.expected, backdrop)
    if findings.coverage is not None:
        pictures[COVERAGE] = draw_coverage(findings.coverage, backdrop)
    held_out = draw_held_out(findings, backdrop)
    return pictures if held_out is None else {**pictures, HELD_OUT: held_out}
