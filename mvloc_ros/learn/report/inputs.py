# SPDX-License-Identifier: Apache-2.0
"""What a report is made of, and the error where that cannot be read."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from mvloc_ros.errors import MvlocError
from mvloc_ros.recordings.to_dataset.dataset_options import DatasetOptions


class ReportError(MvlocError):
    """A file that the report is made of is damaged, or does not belong to the others."""


@dataclass(frozen=True)
class ReportInputs:
    """The files that a report is made of; it is a pure function of them.

    Attributes:
        name: of the place, for the headings.
        recordings: what it was learned from, as given.
        posed: folder of posed frames (`recordings.open_folder` reads it).
        bundle: the model bundle with its scene map.
        evaluation: what `mvloc replay` wrote on held-out parts (report.json, frames.csv); None: there was none.
        posing: `posing.json`, or the folder that holds it; None: the one of `posed`, if that has one.
        grid: folder of `mvloc grid`; None: none was made.
        out_html, out_json: where the report goes.
        notes: further remarks, each a sentence, from the steps before.
        topics: what was said of the topics of recordings.
    """

    name: str
    recordings: tuple[str, ...]
    posed: Path
    bundle: Path
    evaluation: Path | None
    posing: Path | None
    grid: Path | None
    out_html: Path
    out_json: Path
    notes: tuple[str, ...] = ()
    topics: DatasetOptions = field(default_factory=DatasetOptions)
