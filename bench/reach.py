# SPDX-License-Identifier: Apache-2.0
"""How often a start lies in reach of the true pose, by what tells it: keyframes, the depth of one frame, of some time.

    python -m bench.reach models/house --data recordings/house --every 8 --seconds 2

For a bundle whose training camera moved in a plane, and the test sequences of a folder with odometry (as `bench.drives`
takes them): shares of each `--every`-th frame for which one of the first N starts is within 0.5 m and 20 degrees of the
true pose. Nothing is registered. "depth of 2 s" puts together the frames of that time before, as a localizer does that
has searched since then.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from bench.drives import Drive, drives_of, frame_of
from bench.timing import print_table
from mvloc_ros.backends.backend_choice import create_backend
from mvloc_ros.errors import MvlocError
from mvloc_ros.geometry import se3
from mvloc_ros.localization.keyframes import read_keyframes
from mvloc_ros.localization.level_scan import LevelScan, ScanHistory
from mvloc_ros.localization.localizer import Localizer
from mvloc_ros.localization.options import RefinementOptions
from mvloc_ros.localization.retrieval import Retrieval
from mvloc_ros.localization.scan_map import ScanMap
from mvloc_ros.localization.scan_starts import depth_scans
from mvloc_ros.localization.scene_map import read_scene_map
from mvloc_ros.localization.starts import REACH_M, REACH_RAD
from mvloc_ros.mapping.build import Cameras
from mvloc_ros.model.bundle import Bundle, read_bundle

Array = NDArray[np.float64]
FIRST = 1, 5, 12, 40


class BenchError(MvlocError):
    """What was asked for cannot be measured."""


def scan_map_of(bundle: Bundle) -> ScanMap:
    """Raises BenchError where places are not looked for by depth alone."""
    trained = bundle.training_trajectory()
    found = None if trained is None else ScanMap.of(read_scene_map(bundle), trained.poses)
    if found is None:
        raise BenchError(f"The training camera of {bundle.path} did not move in a plane: no place is found by depth.")
    return found


def rank(starts: Sequence[Array], truth: Array) -> int:
    """How many starts come before the first in reach of a pose (4x4); a number beyond all where none is."""
    for number, T in enumerate(starts):
        if se3.translation_error(T, truth) <= REACH_M and se3.rotation_error(T, truth) <= REACH_RAD:
            return number
    return FIRST[-1]


class Reach:
    """Counts for one bundle."""

    def __init__(self, bundle: Bundle, localizer: Localizer, cameras: Cameras, seconds: float) -> None:
        """Take the model; `seconds` of depth are put together."""
        keyframes = read_keyframes(bundle)
        if keyframes is None:
            raise BenchError(f"The bundle {bundle.path} has no keyframes; add them with `mvloc map`.")
        self._localizer, self._cameras, self._seconds = localizer, cameras, seconds
        self._retrieval, self._scan_map = Retrieval(keyframes), scan_map_of(bundle)

    def ranks(self, drive: Drive, every: int) -> dict[str, list[int]]:
        """By what tells the starts: how many come before the first in reach, of each frame."""
        if drive.odometry is None:
            raise BenchError(f"{drive.name} has no odometry.tum, by which depth is put together.")
        found: dict[str, list[int]] = {"keyframes": [], "depth of one frame": [], f"depth of {self._seconds:g} s": []}
        by_keyframes, by_one, by_some = found.values()
        for number in tqdm(range(0, len(drive.records), every), desc=drive.name, unit="frame"):
            truth = drive.truth[number]
            frame = frame_of(drive.records[number], self._cameras)
            similar = self._retrieval.nearest(self._localizer.described(frame), FIRST[-1])
            by_keyframes.append(rank(similar, truth))
            by_one.append(rank(self._scan_map.find(self._scan(drive, [number]), FIRST[-1]), truth))
            by_some.append(rank(self._scan_map.find(self._scan(drive, self._before(drive, number)), FIRST[-1]), truth))
        return found

    def _before(self, drive: Drive, number: int) -> list[int]:
        begin_ns = drive.records[number].stamp_ns - round(1e9 * self._seconds)
        return [i for i in range(number + 1) if drive.records[i].stamp_ns >= begin_ns]

    def _scan(self, drive: Drive, numbers: Sequence[int]) -> LevelScan:
        assert drive.odometry is not None
        history = ScanHistory(self._scan_map.motion, self._scan_map.bottom_m)
        for number in numbers:
            frame = frame_of(drive.records[number], self._cameras)
            seen = depth_scans(self._localizer.rig, frame.depth, frame.further)
            scan = history.with_images(seen, frame.stamp_ns, drive.odometry[number])
        return scan


def main(arguments: Sequence[str] | None = None) -> int:
    """Count, print, and write JSON if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="bundle with a scene map and keyframes (`mvloc map`)")
    parser.add_argument("--data", type=Path, required=True, help="folder whose test sequences are driven")
    parser.add_argument("--sequences", nargs="+", default=[], metavar="NAME", help="which of them (default: all)")
    parser.add_argument("--every", type=int, default=8, metavar="N", help="frames: every N-th (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=2.0, metavar="S", help="of depth (default: %(default)g)")
    parser.add_argument("--threads", type=int, default=1, help="of the network (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the shares to it")
    args = parser.parse_args(arguments)
    bundle = read_bundle(args.model)
    drives, cameras = drives_of(args.data, args.sequences)
    backend = create_backend("auto", bundle, args.threads)
    try:
        localizer = Localizer(bundle, backend, RefinementOptions(mode="required"))
        reach = Reach(bundle, localizer, cameras, args.seconds)
        ranks = {drive.name: reach.ranks(drive, args.every) for drive in drives}
    finally:
        backend.close()
    shares = {
        name: {way: [float(np.mean(np.array(some) < first)) for first in FIRST] for way, some in found.items()}
        for name, found in ranks.items()
    }
    rows = [(name, way, *(f"{one:.0%}" for one in some)) for name, ways in shares.items() for way, some in ways.items()]
    print_table(("session", "starts by", *(f"first {first}" for first in FIRST)), rows)
    if args.json is not None:
        args.json.write_text(json.dumps({"model": bundle.name, "first": FIRST, "shares": shares}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except MvlocError as problem:
        raise SystemExit(f"bench.reach: {problem}") from None
