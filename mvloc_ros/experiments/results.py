# SPDX-License-Identifier: Apache-2.0
"""Plan and results of an experiment: cells by part, row and protocol."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product

from mvloc_ros.experiments import published
from mvloc_ros.experiments.bootstrap import Blocks
from mvloc_ros.experiments.evaluate_rows import EvaluatedRow
from mvloc_ros.experiments.missing_images import BLANK_DEPTH, Protocol
from mvloc_ros.experiments.scenes import Part, Scene
from mvloc_ros.experiments.table_cells import Cell, make_cell
from mvloc_ros.experiments.table_rows import Row


@dataclass(frozen=True)
class Plan:
    """What to evaluate."""

    name: str
    command: str
    preset: str
    scenes: tuple[Scene, ...]
    rows: tuple[Row, ...]
    baselines: tuple[str, ...]
    protocols: tuple[Protocol, ...]
    seeds: int
    blocks: Blocks

    @property
    def labels(self) -> tuple[str, ...]:
        """All rows: learned systems, then baselines."""
        return tuple(row.label for row in self.rows) + self.baselines

    def published_as(self, label: str) -> str | None:
        """The system whose published errors are shown beside a row."""
        return next((row.published for row in self.rows if row.label == label), None)


@dataclass
class Results:
    """The cells of all runs."""

    plan: Plan
    cells: dict[tuple[str, str, str], Cell] = field(default_factory=dict)

    def add(self, scene: Scene, evaluated: Sequence[EvaluatedRow]) -> None:
        """Compute the cells of a scene."""
        for part in scene.parts:
            for label in self.plan.labels:
                for protocol in self.plan.protocols:
                    of_cell = [item for item in evaluated if item.row == label and item.protocol.name == protocol.name]
                    if of_cell and (cell := make_cell(part, of_cell, self.plan.blocks)):
                        self.cells[part.label, label, protocol.name] = cell

    def cell(self, part: Part, label: str, protocol: Protocol) -> Cell | None:
        """One cell, None if nothing was run."""
        return self.cells.get((part.label, label, protocol.name))

    def combinations(self) -> Iterator[tuple[Part, str, Protocol]]:
        """Every part, row and protocol of the plan, whether it was run or not."""
        return product(self.parts(), self.plan.labels, self.plan.protocols)

    def parts(self) -> list[Part]:
        """The rows of the tables: all scenes of the groups of the paper with a scene here, then the other scenes."""
        ours = [part for scene in self.plan.scenes for part in scene.parts]
        rows: list[Part] = []
        for group in published.GROUPS:
            mine = {part.paper: part for part in ours if part.paper in group.scenes}
            if mine:
                rows += [mine.get(scene, Part(scene, (), scene)) for scene in group.scenes]
        return rows + [part for part in ours if part.paper is None]

    def published_errors(
        self, label: str, scene: str | None, statistic: str, protocol: Protocol
    ) -> published.PublishedErrors | None:
        """The published errors for a row; Table 4 of the paper has a blank depth map."""
        system = self.plan.published_as(label)
        blank = protocol.name == BLANK_DEPTH.name
        if system is None or scene is None or (protocol.missing is not None and not blank):
            return None
        return published.figure(system, scene, statistic, blank)

    def average(self, group: published.Group, label: str, name: str, protocol: Protocol) -> float | None:
        """The mean of a statistic over the scenes of a group, None unless all of them were run."""
        cells = [self.cell(part, label, protocol) for part in self.parts() if part.paper in group.scenes]
        values = [cell.figures[name].value for cell in cells if cell is not None]
        return sum(values) / len(values) if len(values) == len(group.scenes) else None
