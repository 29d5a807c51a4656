# SPDX-License-Identifier: Apache-2.0
"""The values published in the paper, and the splits that they are of.

Tables 2, 3 and 4 of Zhou et al. 2020. The averages are the published ones, although some are not the mean of their
column: 0.23 m of VidLoc is 0.224 m, 21.7 m of MVLoc in Table 4 is 22.8 m. The FULL1 and FULL2 rotations of MVLoc in
Table 4, 9.05 and 4.66 degrees, are probably swapped: otherwise FULL2 would be better without LIDAR than with it in
Table 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from mvloc_ros.recordings.robotcar.splits import SPLITS

AVERAGE = "Average"


class PublishedErrors(NamedTuple):
    """Meters and degrees (None if the paper has NA), and both as text with the published digits."""

    metres: float
    degrees: float | None
    text: str


@dataclass(frozen=True)
class Group:
    """Scenes that the paper averages over; `statistic` is that of its values.

    The paper calls all of them medians. Those of RobotCar are means: the row of MapNet for LOOP2 is the mean published
    by the authors of MapNet.
    """

    name: str
    statistic: str
    scenes: tuple[str, ...]


GROUPS = (
    Group("7-Scenes", "median", ("Chess", "Fire", "Heads", "Office", "Pumpkin", "Red Kitchen", "Stairs")),
    Group("RobotCar", "mean", ("LOOP1", "LOOP2", "FULL1", "FULL2")),
)


class Split(NamedTuple):
    """Names of the training and of the test sequences, sorted."""

    train: tuple[str, ...]
    test: tuple[str, ...]


def _numbered(train: Sequence[int], test: Sequence[int]) -> Split:
    return Split(*(tuple(f"seq-{number:02d}" for number in part) for part in (train, test)))


def _traversals(split: str, test: str) -> Split:
    return Split(tuple(f"seq-{name}" for name in SPLITS[split][0]), (f"seq-{test}",))


# The official split of 7-Scenes (TrainSplit.txt and TestSplit.txt), and the traversals of RobotCar in Table 1.
OFFICIAL_SPLITS: dict[str, Split] = {
    "Chess": _numbered((1, 2, 4, 6), (3, 5)),
    "Fire": _numbered((1, 2), (3, 4)),
    "Heads": _numbered((2,), (1,)),
    "Office": _numbered((1, 3, 4, 5, 8, 10), (2, 6, 7, 9)),
    "Pumpkin": _numbered((2, 3, 6, 8), (1, 7)),
    "Red Kitchen": _numbered((1, 2, 5, 7, 8, 11, 13), (3, 4, 6, 12, 14)),
    "Stairs": _numbered((2, 3, 5, 6), (1, 4)),
    "LOOP1": _traversals("LOOP", "2014-06-23-15-41-25"),
    "LOOP2": _traversals("LOOP", "2014-06-23-15-36-04"),
    "FULL1": _traversals("FULL", "2014-12-09-13-21-02"),
    "FULL2": _traversals("FULL", "2014-12-12-10-45-15"),
}


def official_frames(scene: str) -> tuple[int, int] | None:
    """Numbers of training and test frames of the official split; None for RobotCar, whose numbers are not published."""
    if scene not in GROUPS[0].scenes:
        return None
    each = 500 if scene == "Stairs" else 1000  # frames of a sequence of 7-Scenes
    train, test = (each * len(part) for part in OFFICIAL_SPLITS[scene])
    return train, test


# Table -> system -> its column; (group, cells in the order of its scenes, then the average).
_SEVEN = {
    "posenet": ".32 6.60|.47 14.0|.30 12.2|.48 7.24|.49 8.12|.58 8.34|.48 13.1|.45 9.94",
    "vidloc": ".16 NA|.19 NA|.13 NA|.24 NA|.33 NA|.28 NA|.24 NA|.23 NA",
    "mapnet": ".08 3.25|.27 11.7|.18 13.2|.17 5.15|.22 4.02|.23 4.93|.30 12.1|.21 7.77",
    "atloc": ".10 4.07|.25 11.4|.16 11.8|.17 5.34|.21 4.37|.23 5.42|.26 10.5|.20 7.56",
    "mvloc": ".10 3.70|.25 10.5|.15 10.8|.16 5.08|.20 4.01|.21 5.01|.24 10.0|.19 7.01",
    "mvloc-v": ".12 4.09|.26 11.3|.17 12.8|.18 5.44|.21 5.47|.25 6.02|.26 10.3|.21 7.92",
    "mvloc-c": ".10 3.85|.25 11.0|.16 11.0|.17 5.24|.21 4.15|.23 5.25|.26 10.3|.20 7.26",
    "mvloc-p": ".11 4.03|.25 11.8|.17 10.8|.19 5.34|.21 3.94|.24 5.35|.26 12.0|.20 7.61",
}
_ROBOTCAR = {
    "mapnet": "8.76 3.46|9.84 3.96|41.4 12.5|59.3 14.8|29.8 8.68",
    "atloc": "8.61 4.58|8.86 4.67|29.6 12.4|48.2 11.1|23.8 8.19",
    "mvloc": "7.70 3.23|7.76 3.16|24.5 4.29|42.6 8.71|20.6 4.85",
    "mvloc-v": "8.61 4.58|8.86 4.67|29.6 12.4|48.2 11.1|23.8 8.19",
    "mvloc-c": "8.46 3.88|8.29 3.58|26.2 10.8|46.5 10.1|22.3 7.09",
    "mvloc-p": "8.52 4.06|8.27 3.75|26.1 11.5|45.9 10.5|22.2 7.45",
}
_WITHOUT_LIDAR = {
    "mvloc-c": "9.78 5.68|9.60 5.89|31.9 13.5|51.4 13.4|25.7 9.62",
    "mvloc-p": "9.9 5.81|10.3 5.97|31.8 15.6|52.3 15.9|26.1 10.8",
    "mvloc": "8.89 4.63|8.91 4.94|28.1 9.05|45.1 4.66|21.7 5.82",
}


def _columns(text: dict[str, str], group: Group) -> dict[str, dict[str, PublishedErrors]]:
    columns = {}
    for system, cells in text.items():
        values = [_cell(*cell.split()) for cell in cells.split("|")]
        columns[system] = dict(zip((*group.scenes, AVERAGE), values, strict=True))
    return columns


def _cell(metres: str, degrees: str) -> PublishedErrors:
    position = f"{'0' if metres.startswith('.') else ''}{metres} m"
    if degrees == "NA":
        return PublishedErrors(float(metres), None, f"{position}, NA")
    return PublishedErrors(float(metres), float(degrees), f"{position}, {degrees}°")


# (group, whether LIDAR is replaced by a blank image) -> system -> scene -> errors.
FIGURES: dict[tuple[str, bool], dict[str, dict[str, PublishedErrors]]] = {
    ("7-Scenes", False): _columns(_SEVEN, GROUPS[0]),
    ("RobotCar", False): _columns(_ROBOTCAR, GROUPS[1]),
    ("RobotCar", True): _columns(_WITHOUT_LIDAR, GROUPS[1]),
}


def group_of(scene: str) -> Group | None:
    """The group of a scene of the paper, None if the paper has no such scene."""
    return next((group for group in GROUPS if scene in group.scenes), None)


def figure(system: str, scene: str, statistic: str, blank_depth: bool = False) -> PublishedErrors | None:
    """The published errors, None if there are none.

    Args:
        system: its name here.
        scene: the paper's name, or `Average` with the name of a group, as in "7-Scenes Average".
        statistic: "median" or "mean".
        blank_depth: the depth map replaced by a blank image (Table 4).
    """
    group = next((g for g in GROUPS if scene in g.scenes or scene == f"{g.name} {AVERAGE}"), None)
    if group is None or group.statistic != statistic:
        return None
    row = AVERAGE if scene not in group.scenes else scene
    return FIGURES.get((group.name, blank_depth), {}).get(system, {}).get(row)


def paper_name(folder: str) -> str | None:
    """The name in the paper of a scene folder: `redkitchen`, `red_kitchen`, `Red Kitchen` -> "Red Kitchen"."""
    plain = _plain(folder)
    return next((scene for scene in GROUPS[0].scenes if _plain(scene) == plain), None)


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())
