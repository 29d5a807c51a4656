# SPDX-License-Identifier: Apache-2.0
"""A robot with further sensors: what is gained by all together, and what is left where some are lost.

    python -m bench.rig models/house_rig --data recordings/house_rig --budget-ms 1500 --json out/rig.json
    python -m bench.rig models/house_rig --data recordings/house_rig --sequences seq-06 --every 10

For a bundle with a scene map and further sensors, and the test sequences of a folder (with `odometry.tum`, see
`bench.drives`). Four robots: the pair alone, the further sensors alone, all, and all with the pair covered (a black
image and no depth). Of each: single frames whose start is drawn about the true pose (0.1 m and 4 degrees per axis, one
standard deviation, in the network's place), and drives that start from a person's hint of the first pose and follow
odometry, with the bundle's own network. Shares of frames that are right (5 cm and 5 degrees), accepted, both; of the
accepted ones those beyond 0.2 m or 10 degrees; the time of a frame.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from bench.drives import Answer, BenchError, Drive, drives_of, figures
from bench.timing import print_table
from mvloc_ros.backends.backend_choice import create_backend
from mvloc_ros.errors import MvlocError
from mvloc_ros.localization.estimate import PoseEstimate
from mvloc_ros.localization.gate import GateLimits
from mvloc_ros.localization.localizer import Localizer
from mvloc_ros.localization.motion import moved
from mvloc_ros.localization.options import RefinementOptions
from mvloc_ros.localization.pose import Pose
from mvloc_ros.localization.tracker import Tracker
from mvloc_ros.mapping.build import Cameras, depth_image, further_images
from mvloc_ros.mapping.bundle_sensors import folder_sensors
from mvloc_ros.mapping.refined_trials import DrawnPoseBackend
from mvloc_ros.model.bundle import read_bundle
from mvloc_ros.model.frame import ColorImage, Frame
from mvloc_ros.recordings import FrameRecord, open_folder, read_color

Array = NDArray[np.float64]

_NONE = np.full((4, 4), np.nan)
_DRAWN = np.array([0.1] * 3 + [float(np.radians(4.0))] * 3)
_HINT = np.diag([0.05**2] * 3 + [0.03**2] * 3)


def _pair(frame: Frame) -> Frame:
    return replace(frame, further={})


def _further(frame: Frame) -> Frame:
    return replace(frame, color=None, depth=None)


def _all(frame: Frame) -> Frame:
    return frame


def _covered(frame: Frame) -> Frame:
    assert frame.color is not None
    return replace(frame, color=ColorImage(np.zeros_like(frame.color.pixels), frame.color.order), depth=None)


ROBOTS: dict[str, Callable[[Frame], Frame]] = {
    "pair alone": _pair,
    "further alone": _further,
    "all": _all,
    "pair covered": _covered,
}


def frame_of(record: FrameRecord, cameras: Cameras) -> Frame:
    """The images of all sensors, as drivers would send them."""
    assert record.color is not None
    color, depth = ColorImage(read_color(record.color), "rgb"), depth_image(record, cameras)
    return Frame(record.stamp_ns, "camera", color, depth, further=further_images(record, cameras.sensors))


def single(
    localizer: Localizer, network: DrawnPoseBackend, drive: Drive, cameras: Cameras, robot: str, every: int
) -> tuple[list[Answer], Array]:
    """Each N-th frame for itself from a drawn start, and the true poses."""
    rng, answers, records = np.random.default_rng(0), [], drive.records[::every]
    for record in tqdm(records, desc=f"{drive.name}, {robot}, single", unit="frame"):
        frame = ROBOTS[robot](frame_of(record, cameras))
        network.T_map_camera = moved(np.asarray(record.T_map_camera), _DRAWN * rng.standard_normal(6))
        began = time.perf_counter()
        try:
            found = localizer.for_another_stream().process(frame)
        except MvlocError as error:
            answers.append(Answer(_NONE, False, 1e3 * (time.perf_counter() - began), reason=str(error)))
            continue
        answers.append(_answer(found, found.refined and not found.rejection, found.pose.T, began))
    return answers, drive.truth[::every]


def follow(localizer: Localizer, drive: Drive, cameras: Cameras, robot: str) -> tuple[list[Answer], list[str]]:
    """A whole drive from a hint of its first pose, with odometry, and what was remarked."""
    tracker, answers, remarks, localizer = Tracker(GateLimits()), [], [], localizer.for_another_stream()
    for number, record in enumerate(tqdm(drive.records, desc=f"{drive.name}, {robot}, followed", unit="frame")):
        odometry = None if drive.odometry is None else drive.odometry[number]
        if number == 0:
            tracker.hint(Pose(record.stamp_ns, drive.truth[0], _HINT), odometry)
        frame = ROBOTS[robot](frame_of(record, cameras))
        began = time.perf_counter()
        try:
            found, verdict = localizer.follow(frame, tracker, partial(_given, odometry))
        except MvlocError as error:
            answers.append(Answer(_NONE, False, 1e3 * (time.perf_counter() - began), reason=str(error)))
            continue
        T = _NONE if verdict.T_map_camera is None else verdict.T_map_camera
        answers.append(_answer(found, verdict.accepted, found.pose.T if verdict.accepted else T, began))
        remarks.append("" if found.details is None else found.details.remark)
    return answers, remarks


def _given(T_odom_camera: Array | None, _: Frame) -> Array | None:
    return T_odom_camera


def _answer(found: PoseEstimate, accepted: bool, T: Array, began: float) -> Answer:
    start = "" if found.details is None else found.details.start
    return Answer(T, accepted, 1e3 * (time.perf_counter() - began), start, found.rejection)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and write JSON if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="bundle with a scene map and further sensors")
    parser.add_argument("--data", type=Path, required=True, help="folder whose test sequences are driven")
    parser.add_argument("--sequences", nargs="+", default=[], metavar="NAME", help="which of them (default: all)")
    parser.add_argument("--robots", nargs="+", default=list(ROBOTS), choices=ROBOTS, metavar="NAME",
                        help=f"of {', '.join(ROBOTS)} (default: all)")  # fmt: skip
    parser.add_argument("--every", type=int, default=4, metavar="N",
                        help="single frames: every N-th (default: 4; 0: none)")  # fmt: skip
    parser.add_argument("--budget-ms", type=float, default=RefinementOptions().budget_ms, metavar="MS",
                        help="as the node's refine_budget_ms (default: %(default)g)")  # fmt: skip
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to it")
    args = parser.parse_args(arguments)
    bundle = read_bundle(args.model)
    if not bundle.manifest.sensors:
        raise BenchError(f"{args.model} has no sensors besides color and depth.")
    drives, _ = drives_of(args.data, args.sequences)
    folder = open_folder(args.data)
    cameras = Cameras.of(folder, folder_sensors(bundle, folder))
    options = RefinementOptions(mode="auto", budget_ms=args.budget_ms, threads=1)
    network, backend = DrawnPoseBackend(bundle), create_backend("auto", bundle, 1)
    result: dict[str, Any] = {}
    rows: list[tuple[object, ...]] = []
    try:
        drawn, localizer = Localizer(bundle, network, options), Localizer(bundle, backend, options)
        localizer.warm_up()
        for drive in drives:
            for robot in args.robots:
                followed, remarks = follow(localizer, drive, cameras, robot)
                found: dict[str, Any] = {"followed": figures(followed, drive.truth)}
                found["contradictions"] = sum("contradict" in remark for remark in remarks)
                found["left_out"] = sum("left out" in remark for remark in remarks)
                if args.every:
                    found["single"] = figures(*single(drawn, network, drive, cameras, robot, args.every))
                result.setdefault(drive.name, {})[robot] = found
                rows += [_row(drive.name, robot, way, found[way]) for way in ("single", "followed") if way in found]
    finally:
        backend.close()
    print_table(("session", "robot", "", "frames", "right", "accepted", "both", "far", "median", "ms", "p95"), rows)
    if args.json is not None:
        args.json.write_text(json.dumps({"model": bundle.name, "sessions": result}, indent=1) + "\n")
    return 0


def _row(session: str, robot: str, way: str, one: dict[str, Any]) -> tuple[object, ...]:
    shares = [f"{one[key]:.1%}" for key in ("right", "accepted", "right_and_accepted")]
    error = "" if one["accepted_median_m"] is None else f"{1e3 * one['accepted_median_m']:.1f} mm"
    times = [f"{one[key]:.0f}" for key in ("median_ms", "p95_ms")]
    return (session, robot, way, one["frames"], *shares, one["accepted_far"], error, *times)


if __name__ == "__main__":
    raise SystemExit(main())
