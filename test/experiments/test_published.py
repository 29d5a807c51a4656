# SPDX-License-Identifier: Apache-2.0
"""The published figures, against lines of the paper's tables."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mvloc_ros.experiments.published import FIGURES, GROUPS, OFFICIAL_SPLITS, figure, official_frames, paper_name
from mvloc_ros.recordings.robotcar.splits import SPLITS

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


RESULTS = Path(__file__).parents[2] / "docs" / "results.md"


def table_below(text: str, first_cell: str) -> list[list[str]]:
    """The body of the table whose head starts with these words."""
    lines = text[text.index(f"| {first_cell}") :].splitlines()
    rows = [line for line in lines[: lines.index("")] if line.startswith("| ")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[1:]]


def test_the_results_page_has_the_papers_figures_beside_ours() -> None:
    text = RESULTS.read_text()
    beside = {row[0].split(" ")[0]: row[1:] for row in table_below(text, "system | here | paper, Red Kitchen")}
    assert beside.keys() == {"mvloc", "mvloc-p", "mvloc-c", "mvloc-v", "posenet", "atloc", "mapnet"}
    ours = {row[0]: row[1] for row in table_below(text, "system | median")}
    names = {"mvloc": "mvloc, stage 2 (k = 20, dreg)", "mvloc-p": "mvloc-p (stage 2, one sample)"}
    for system, (here, scene, average) in beside.items():
        printed = [figure(system, name, "median") for name in ("Red Kitchen", "7-Scenes Average")]
        assert [scene, average] == [cell.text for cell in printed if cell is not None]
        assert here == ours[names.get(system, system)]


def test_the_order_of_the_paper_is_not_claimed_for_ours() -> None:
    """In the paper every fusion is before color only; here concatenation is behind it."""
    average = {s: figure(s, "7-Scenes Average", "median") for s in ("mvloc", "mvloc-c", "mvloc-p", "mvloc-v")}
    metres = {system: cell.metres for system, cell in average.items() if cell is not None}
    assert metres == {"mvloc": 0.19, "mvloc-c": 0.20, "mvloc-p": 0.20, "mvloc-v": 0.21}
    text = " ".join(RESULTS.read_text().split())
    assert "order is that of the paper" not in text
    assert "The order is not that of the paper. There every fusion is better than color only" in text


@pytest.mark.parametrize(
    ("scene", "train", "test"),
    [
        ("Chess", "1 2 4 6", "3 5"),
        ("Fire", "1 2", "3 4"),
        ("Heads", "2", "1"),
        ("Office", "1 3 4 5 8 10", "2 6 7 9"),
        ("Pumpkin", "2 3 6 8", "1 7"),
        ("Red Kitchen", "1 2 5 7 8 11 13", "3 4 6 12 14"),
        ("Stairs", "2 3 5 6", "1 4"),
    ],
)
def test_the_official_splits(scene: str, train: str, test: str) -> None:
    expected = tuple(tuple(f"seq-{int(n):02d}" for n in part.split()) for part in (train, test))
    assert OFFICIAL_SPLITS[scene] == expected
    each = 500 if scene == "Stairs" else 1000
    assert official_frames(scene) == (each * len(expected[0]), each * len(expected[1]))
    assert official_frames("LOOP1") is None


def test_the_traversals_of_the_paper_are_those_of_the_dataset_verb() -> None:
    for name, (train, tests) in SPLITS.items():
        rows = [OFFICIAL_SPLITS[f"{name}{number}"] for number in (1, 2)]
        assert [row.train for row in rows] == [tuple(f"seq-{one}" for one in train)] * 2
        assert {row.test[0] for row in rows} == {f"seq-{one}" for one in tests}
