# SPDX-License-Identifier: Apache-2.0
"""From how far a training view finds a robot that wakes up: single frames, by the nearest view that looks the same way.

    python -m bench.coverage models/house --data house --every 8

For a bundle with keyframes (`mvloc map`) and a folder's test frames: the share that is accepted, and the share that is
right too (5 cm, 5 degrees), by the distance of the nearest training view within `REACH_DEG` of the frame's heading, by
the turn of the nearest within `REACH_M`, and by what the report of `mvloc learn` calls covered.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from bench.starts import Answer, read_frame, ways_of
from bench.timing import print_table
from mvloc_ros.backends.backend_choice import create_backend
from mvloc_ros.errors import MvlocError
from mvloc_ros.evaluation.pose_errors import PoseErrors
from mvloc_ros.learn.report.accuracy import RIGHT_DEG, RIGHT_M
from mvloc_ros.learn.report.coverage import Coverage, coverage_of
from mvloc_ros.learn.report.inputs import ReportInputs
from mvloc_ros.learn.report.place import Place, read_place
from mvloc_ros.localization.options import RefinementOptions
from mvloc_ros.mapping.build import Cameras
from mvloc_ros.recordings.held_out_blocks import REACH_DEG, REACH_M

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

_DISTANCES_M = (0.0, 0.25, 0.5, 0.75, 1.0, 2.0, np.inf)
_TURNS_DEG = (0.0, 10.0, 20.0, 30.0, 45.0, np.inf)


def localized(place: Place, every: int, budget_ms: float) -> tuple[Array, Mask, Mask]:
    """True poses `[N, 4, 4]` of test frames, whether each was accepted, and whether it was right too."""
    cameras = Cameras.of(place.folder)
    records = [r for r in place.folder.test if r.color and r.depth and r.T_map_camera is not None][::every]
    backend = create_backend("auto", place.bundle, 1)
    way = ways_of(place.bundle, backend, RefinementOptions(budget_ms=budget_ms))["both, refined"]
    answers: list[Answer] = []
    for number, record in enumerate(tqdm(records, desc="localizing", unit="frame")):
        answers.append(way(read_frame(record, cameras, number)))
    backend.close()
    truth = np.array([record.T_map_camera for record in records], dtype=np.float64)
    errors = PoseErrors.of(np.array([answer.T for answer in answers]), truth)
    accepted = np.array([answer.accepted for answer in answers])
    return truth, accepted, accepted & (errors.translation_m <= RIGHT_M) & (errors.rotation_deg <= RIGHT_DEG)


def nearest(coverage: Coverage, truth: Array) -> tuple[Array, Array]:
    """`[N]` each: metres to the nearest view in reach by heading, degrees to the nearest in reach by distance."""
    views = coverage.views
    apart = np.linalg.norm(views.places[None] - truth[:, None, :2, 3], axis=2)
    headings = np.arctan2(truth[:, 1, 2], truth[:, 0, 2])
    turns = np.degrees(np.abs(np.angle(np.exp(1j * (views.headings[None] - headings[:, None])))))
    metres = np.where(turns <= REACH_DEG, apart, np.inf).min(axis=1)
    return metres, np.where(apart <= REACH_M, turns, np.inf).min(axis=1)


def rows_of(values: Array, edges: Sequence[float], unit: str, accepted: Mask, right: Mask) -> list[tuple[str, ...]]:
    """One row for each interval in which there are frames."""
    rows = []
    for low, high in pairwise(edges):
        chosen = (values >= low) & ((values < high) | np.isinf(high))
        if chosen.any():
            name = f"{low:g} to {high:g} {unit}" if np.isfinite(high) else f"{low:g} {unit} or more"
            rows.append(_row(name, chosen, accepted, right))
    return rows


def _row(name: str, chosen: Mask, accepted: Mask, right: Mask) -> tuple[str, ...]:
    shares = (f"{of[chosen].mean():.1%}" if chosen.any() else "-" for of in (accepted, right))
    return name, str(int(chosen.sum())), *shares


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="bundle with a scene map and keyframes (`mvloc map`)")
    parser.add_argument("--data", type=Path, required=True, help="folder whose test frames are used")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="each N-th of them (default: %(default)s)")
    parser.add_argument("--budget-ms", type=float, default=1500.0, help="of the refinement (default: %(default)s)")
    args = parser.parse_args(arguments)
    out = Path("report")
    place = read_place(ReportInputs("", (), args.data, args.model, None, None, None, out, out))
    coverage = coverage_of(place)
    truth, accepted, right = localized(place, max(1, args.every), args.budget_ms)
    turned = place.turned_poses(truth)
    metres, degrees = nearest(coverage, turned)
    covered = coverage.of_poses(turned)
    head = ("nearest training view", "frames", "accepted", "accepted and right")
    print_table(head, rows_of(metres, _DISTANCES_M, "m", accepted, right))
    print_table(head, rows_of(degrees, _TURNS_DEG, "deg", accepted, right))
    print_table(head, [_row("covered", covered, accepted, right), _row("not covered", ~covered, accepted, right)])
    return 0


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except MvlocError as problem:
        raise SystemExit(f"bench.coverage: {problem}") from None
