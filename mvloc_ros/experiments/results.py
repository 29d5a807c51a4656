# SPDX-License-Identifier: Apache-2.0
"""Everything that an experiment has found, before it is written: cells by part, row and protocol."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from mvloc_ros.experiments import published
from mvloc_ros.experiments.bootstrap import Blocks
from mvloc_ros.experiments.cells import Cell, make_cell
from mvloc_ros.experiments.judging import Judged
from mvloc_ros.experiments.missing_images import BLANK_DEPTH, Protocol
from mvloc_ros.experiments.scenes import Part, Scene
from mvloc_ros.experiments.table_rows import Row


@dataclass(frozen=True)
class Plan:
    """What was asked for."""

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
        """All rows: what was learned, then what was not."""
        return tuple(row.label for row in self.rows) + self.baselines

    def published_as(self, label: str) -> str | None:
        """The system whose printed figures are beside a row."""
        return next((row.published for row in self.rows if row.label == label), None)


@dataclass
class Results:
    """Cells; what is not there was not run."""

    plan: Plan
    cells: dict[tuple[str, str, str], Cell] = field(default_factory=dict)

    def add(self, scene: Scene, judged: Sequence[Judged]) -> None:
        """Compute the cells of a scene."""
        for part in scene.parts:
            for label in self.plan.labels:
                for protocol in self.plan.protocols:
                    of_cell = [item for item in judged if item.row == label and item.protocol.name == protocol.name]
                    if of_cell and (cell := make_cell(part, of_cell, self.plan.blocks)):
                        self.cells[part.label, label, protocol.name] = cell

    def cell(self, part: Part, label: str, protocol: Protocol) -> Cell | None:
        """One cell, None where nothing was run."""
        return self.cells.get((part.label, label, protocol.name))

    def parts(self) -> list[Part]:
        """The tables' rows: all scenes of the paper's groups that have one here, in its order, then our own."""
        ours = [part for scene in self.plan.scenes for part in scene.parts]
        rows: list[Part] = []
        for group in published.GROUPS:
            mine = {part.paper: part for part in ours if part.paper in group.scenes}
            if mine:
                rows += [mine.get(scene, Part(scene, (), scene)) for scene in group.scenes]
        return rows + [part for part in ours if part.paper is None]

    def printed(self, label: str, scene: str | None, statistic: str, protocol: Protocol) -> published.Cell | None:
        """What the paper prints for a row; its Table 4 is of the blank depth map."""
        system = self.plan.published_as(label)
        blank = protocol.name == BLANK_DEPTH.name
        if system is None or scene is None or (protocol.missing is not None and not blank):
            return None
        return published.figure(system, scene, statistic, blank)

    def average(self, group: published.Group, label: str, name: str, protocol: Protocol) -> float | None:
        """The mean of a figure over a group's scenes, None unless all of them were run."""
        cells = [self.cell(part, label, protocol) for part in self.parts() if part.paper in group.scenes]
        values = [cell.figures[name].value for cell in cells if cell is not None]
        return sum(values) / len(values) if len(values) == len(group.scenes) else None
