# SPDX-License-Identifier: Apache-2.0
"""The published figures, against lines of the paper's tables."""

from __future__ import annotations

import re

import pytest

from mvloc_ros.experiments.published import FIGURES, GROUPS, figure, paper_name

TABLE2 = ("posenet", "vidloc", "mapnet", "atloc", "mvloc")
TABLE3 = ("mvloc-v", "mvloc-c", "mvloc-p", "mvloc")
TABLE4 = ("mvloc-c", "mvloc-p", "mvloc")
# As printed, a table's columns and a line of it.
LINES = [
    (TABLE2, "Chess", "0.32m, 6.60°	0.16m, NA	0.08m, 3.25°	0.10m, 4.07°	0.10m, 3.70°"),
    (TABLE2, "Red Kitchen", "0.58m, 8.34°	0.28m, NA	0.23m, 4.93°	0.23m, 5.42°	0.21m, 5.01°"),
    (TABLE2, "7-Scenes Average", "0.45m, 9.94°	0.23m, NA	0.21m, 7.77°	0.20m, 7.56°	0.19m, 7.01°"),
    (TABLE2, "LOOP2", "-	-	9.84m, 3.96°	8.86m, 4.67°	7.76m, 3.16°"),
    (TABLE2, "RobotCar Average", "-	-	29.8m, 8.68°	23.8m, 8.19°	20.6m, 4.85°"),
    (TABLE3, "Heads", "0.17m, 12.8°	0.16m, 11.0°	0.17m, 10.8°	0.15m, 10.8°"),
    (TABLE3, "Stairs", "0.26m, 10.3°	0.26m, 10.3°	0.26m, 12.0°	0.24m, 10.0°"),
    (TABLE3, "FULL2", "48.2m, 11.1°	46.5m, 10.1°	45.9m, 10.5°	42.6m, 8.71°"),
    (TABLE4, "LOOP1", "9.78m, 5.68°	9.9m, 5.81°	8.89m, 4.63°"),
    (TABLE4, "FULL2", "51.4m, 13.4°	52.3m, 15.9°	45.1m, 4.66°"),
]


@pytest.mark.parametrize(("systems", "scene", "line"), LINES)
def test_lines_of_the_paper(systems: tuple[str, ...], scene: str, line: str) -> None:
    robotcar = scene.startswith(("LOOP", "FULL", "RobotCar"))
    for system, printed in zip(systems, line.split("	"), strict=True):
        found = figure(system, scene, "mean" if robotcar else "median", blank_depth=systems is TABLE4)
        if printed == "-":
            assert found is None
            continue
        assert found is not None
        assert found.text == printed.replace("m, ", " m, ")
        numbers = re.findall(r"[\d.]+", printed)
        assert found.metres == float(numbers[0])
        assert found.degrees == (float(numbers[1]) if len(numbers) > 1 else None)


def test_nothing_is_printed_of_what_the_paper_has_not() -> None:
    assert figure("mvloc", "Chess", "mean") is None
    assert figure("mvloc", "LOOP1", "median") is None
    assert figure("mvloc", "Chess", "median", blank_depth=True) is None
    assert figure("vidloc-causal", "Chess", "median") is None
    assert figure("mvloc", "kitchen", "median") is None
    assert sum(len(column) for table in FIGURES.values() for column in table.values()) == 8 * 8 + 6 * 5 + 3 * 5


def test_the_printed_averages_are_those_of_their_columns_but_for_the_known_ones() -> None:
    wrong = set()
    for (group_name, blank), systems in FIGURES.items():
        group = next(group for group in GROUPS if group.name == group_name)
        for system, column in systems.items():
            mean = sum(column[scene].metres for scene in group.scenes) / len(group.scenes)
            if abs(mean - column["Average"].metres) > 0.006 * max(1.0, mean):
                wrong.add((group_name, blank, system))
    assert wrong == {("RobotCar", True, "mvloc")}


@pytest.mark.parametrize("folder", ["redkitchen", "red_kitchen", "RedKitchen"])
def test_a_folder_is_known_by_its_name(folder: str) -> None:
    assert paper_name(folder) == "Red Kitchen"
    assert paper_name("kitchen") is None
