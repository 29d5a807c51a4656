# SPDX-License-Identifier: Apache-2.0
"""A followed camera is carried to another part of its drive, and its odometry does not notice.

    python -m bench.carried models/hospital --data recordings/hospital --sequences seq-03
    python -m bench.carried models/house --data recordings/house --times 12 --json out/carried.json

For a bundle with a scene map and the test sequences of a folder, as `bench.drives`. Each time the camera is followed
for a while, then the frames go on further along the drive (half of it, less the time after) as if it had been there a
moment ago, and odometry as before.
Told are the frames after that which are accepted although they are beyond 0.2 m or 10 degrees, and after how many
frames a pose within 5 cm and 5 degrees is accepted.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from bench.drives import BenchError, Drive, drives_of, follow, is_far, is_right
from bench.timing import print_table
from mvloc_ros.backends.backend_choice import create_backend
from mvloc_ros.evaluation.pose_errors import PoseErrors
from mvloc_ros.geometry import se3
from mvloc_ros.localization.localizer import Localizer
from mvloc_ros.localization.options import RefinementOptions
from mvloc_ros.mapping.build import Cameras
from mvloc_ros.model.bundle import read_bundle


@dataclass(frozen=True)
class Carried:
    """What happened one time.

    Attributes:
        sequence: of which drive.
        before: share of the frames before it that are accepted and right.
        wrong: frames after it that are accepted and far off.
        found_after: frames until one is accepted and right; None if none is.
    """

    sequence: str
    before: float
    wrong: int
    found_after: int | None


def carried_drives(drive: Drive, times: int, before_s: float, after_s: float) -> list[tuple[Drive, int]]:
    """Drives that jump further by half of this one less `after_s`, evenly spread, and how many frames come before.

    Args:
        drive: the drive that they are made of.
        times: how many.
        before_s: how long each is followed before the jump.
        after_s: how long after it.

    Raises:
        BenchError: the drive is too short, or has no odometry, which is what does not notice.
    """
    if drive.odometry is None:
        raise BenchError(f"{drive.name} has no odometry.tum beside its images.")
    stamps = np.array([record.stamp_ns for record in drive.records])
    period_ns = int(np.median(np.diff(stamps)))
    before, after = (max(2, round(1e9 * seconds / period_ns)) for seconds in (before_s, after_s))
    count = len(stamps)
    if count < 2 * (before + after):
        raise BenchError(f"{drive.name} has {count} frames, {2 * (before + after)} are needed.")
    found = []
    for first in np.linspace(0, count // 2 - before, times).round().astype(int).tolist():
        last = first + before - 1
        to = last + count // 2 - after
        numbers = [*range(first, last + 1), *range(to, to + after)]
        records = [
            replace(drive.records[number], stamp_ns=int(stamps[first]) + place * period_ns)
            for place, number in enumerate(numbers)
        ]
        stood = drive.odometry[last] @ se3.inverse(drive.odometry[to])
        odometry = np.concatenate([drive.odometry[first : last + 1], stood @ drive.odometry[to : to + after]])
        found.append((Drive(drive.name, records, odometry), before))
    return found


def carry(localizer: Localizer, drive: Drive, cameras: Cameras, before: int) -> Carried:
    """Follow a drive that jumps after its first frames."""
    answers = follow(localizer, drive, cameras)
    errors = PoseErrors.of(np.stack([answer.T for answer in answers]), drive.truth)
    accepted = np.array([answer.accepted for answer in answers])
    right, far = is_right(errors) & accepted, is_far(errors) & accepted
    after = np.flatnonzero(right[before:])
    found_after = int(after[0]) if len(after) else None
    return Carried(drive.name, float(right[:before].mean()), int(far[before:].sum()), found_after)


def _rows(found: Sequence[Carried]) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for name in sorted({one.sequence for one in found}):
        mine = [one for one in found if one.sequence == name]
        after = [one.found_after for one in mine if one.found_after is not None]
        median = f"{np.median(after):.0f}" if after else ""
        before, wrong = np.mean([one.before for one in mine]), sum(one.wrong for one in mine)
        rows.append((name, len(mine), f"{before:.0%}", wrong, len(after), median, max(after, default="")))
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and write JSON if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="bundle with a scene map (`mvloc map`)")
    parser.add_argument("--data", type=Path, required=True, help="folder whose test sequences are driven")
    parser.add_argument("--sequences", nargs="+", default=[], metavar="NAME", help="which of them (default: all)")
    parser.add_argument("--times", type=int, default=6, metavar="N", help="a drive (default: %(default)s)")
    parser.add_argument("--before", type=float, default=3.0, metavar="S", help="s before each (default: %(default)g)")
    parser.add_argument("--after", type=float, default=6.0, metavar="S", help="s after each (default: %(default)g)")
    parser.add_argument("--budget-ms", type=float, default=RefinementOptions().budget_ms, metavar="MS",
                        help="as the node's refine_budget_ms (default: %(default)g)")  # fmt: skip
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what happened each time to it")
    args = parser.parse_args(arguments)
    bundle = read_bundle(args.model)
    drives, cameras = drives_of(args.data, args.sequences)
    jumps = [jump for drive in drives for jump in carried_drives(drive, args.times, args.before, args.after)]
    backend = create_backend("auto", bundle, 1)
    try:
        localizer = Localizer(bundle, backend, RefinementOptions(mode="required", budget_ms=args.budget_ms, threads=1))
        localizer.warm_up()
        found = [carry(localizer, drive, cameras, before) for drive, before in tqdm(jumps, desc="carried", unit="time")]
    finally:
        backend.close()
    header = ("session", "times", "right before", "accepted far off", "found again", "median frames", "most")
    print_table(header, _rows(found))
    if args.json is not None:
        told = [vars(one) for one in found]
        args.json.write_text(json.dumps({"model": bundle.name, "times": told}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
