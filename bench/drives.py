# SPDX-License-Identifier: Apache-2.0
"""Drives through a place followed with their odometry, wake-ups along them, and their single frames, by session.

    python -m bench.drives models/house --data recordings/house --json out/drives.json
    python -m bench.drives models/house --data recordings/house --sequences seq-03 --wake-ups 20

    python -m bench.drives models/learned --data recordings/house --posed models/learned.learn/posed

For a bundle with a scene map and the test sequences of a folder, each of which may have its odometry beside its images
(odometry.tum: pose of the base, TUM format, at the frames' stamps; the camera's place on the base is taken from the
first true pose, with the base upright below the camera). For each session: the share of frames that are right (5 cm and
5 degrees), accepted, both; of the accepted ones those beyond 0.2 m or 10 degrees and the 99th percentile; the same for
single frames, without tracker and odometry (with `--posed` the true poses are brought into the map that `mvloc pose`
made, by one rigid alignment of the training frames' positions); wake-ups as in `mvloc replay --wake-ups`; and
the time of a frame.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from bench.posing import aligned, true_poses
from bench.timing import print_table
from mvloc_ros.backends.backend_choice import create_backend
from mvloc_ros.errors import MvlocError
from mvloc_ros.evaluation.pose_errors import PoseErrors
from mvloc_ros.evaluation.wake_ups import evaluate_wake_ups, plan_wake_ups
from mvloc_ros.geometry import se3
from mvloc_ros.geometry.trajectory import Trajectory, read_tum
from mvloc_ros.localization.gate import GateLimits
from mvloc_ros.localization.localizer import Localizer
from mvloc_ros.localization.options import RefinementOptions
from mvloc_ros.localization.tracker import Tracker
from mvloc_ros.mapping.build import Cameras, depth_image
from mvloc_ros.model.bundle import read_bundle
from mvloc_ros.model.frame import ColorImage, Frame, FrameError
from mvloc_ros.recordings import FrameRecord, open_folder, read_color

Array = NDArray[np.float64]

_NONE = np.full((4, 4), np.nan)


class BenchError(MvlocError):
    """What was asked for cannot be measured."""


@dataclass(frozen=True, eq=False)
class Drive:
    """One session: its frames, and the camera's pose in the odometry's frame at each, `[N, 4, 4]` or None."""

    name: str
    records: list[FrameRecord]
    odometry: Array | None

    @property
    def truth(self) -> Array:
        """T_map_camera `[N, 4, 4]`."""
        return np.array([record.T_map_camera for record in self.records], dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Answer:
    """One frame: the pose (4x4, NaN without), its verdict, and milliseconds."""

    T: Array
    accepted: bool
    milliseconds: float
    start: str = ""
    reason: str = ""


def drives_of(data: Path, names: Sequence[str]) -> tuple[list[Drive], Cameras]:
    """The test sequences of a folder."""
    folder = open_folder(data)
    complete = [r for r in folder.test if r.color is not None and r.depth is not None and r.T_map_camera is not None]
    found = []
    for name in sorted({record.sequence for record in complete}):
        if names and name not in names:
            continue
        records = [record for record in complete if record.sequence == name]
        found.append(Drive(name, records, _odometry(data / name / "odometry.tum", records)))
    if not found:
        raise BenchError(f"{data} has none of the test sequences {', '.join(names)} with images and poses.")
    return found, Cameras.of(folder)


def _odometry(path: Path, records: Sequence[FrameRecord]) -> Array | None:
    if not path.exists():
        return None
    base = read_tum(path)
    at = {int(stamp): T for stamp, T in zip(base.stamps_ns, base.poses, strict=True)}
    first = records[0].stamp_ns
    try:
        poses = np.array([at[record.stamp_ns - first + int(base.stamps_ns[0])] for record in records])
    except KeyError as missing:
        raise BenchError(f"{path} has no pose at {missing} ns, at which there is a frame.") from missing
    T_map_camera = np.asarray(records[0].T_map_camera, dtype=np.float64)
    ahead = T_map_camera[:3, 2]
    heading = float(np.arctan2(ahead[1], ahead[0]))
    T_map_base = np.eye(4)
    T_map_base[:2, :2] = [[np.cos(heading), -np.sin(heading)], [np.sin(heading), np.cos(heading)]]
    T_map_base[:2, 3] = T_map_camera[:2, 3]
    return np.asarray(poses @ (se3.inverse(T_map_base) @ T_map_camera))


def in_map_of(posed: Path, data: Path, drives: Sequence[Drive]) -> list[Drive]:
    """Drives with their true poses in the map of a folder that `mvloc pose` wrote of sequences of the same data."""
    true = true_poses([data])
    frames = [frame for frame in open_folder(posed).frames() if (frame.sequence, frame.index) in true]
    found = np.array([frame.T_map_camera for frame in frames], dtype=np.float64)
    wanted = np.array([true[frame.sequence, frame.index] for frame in frames])
    T = se3.inverse(aligned(found, wanted))
    apart = np.linalg.norm((T @ wanted)[:, :3, 3] - found[:, :3, 3], axis=1)
    print(f"true poses aligned to {len(frames)} posed frames, which differ by {np.sqrt(np.mean(apart**2)):.3f} m (RMS)")
    moved = []
    for drive in drives:
        poses = T @ drive.truth
        records = [replace(record, T_map_camera=pose) for record, pose in zip(drive.records, poses, strict=True)]
        moved.append(replace(drive, records=records))
    return moved


def frame_of(record: FrameRecord, cameras: Cameras) -> Frame:
    """The images as a driver would send them."""
    assert record.color is not None
    return Frame(record.stamp_ns, "camera", ColorImage(read_color(record.color), "rgb"), depth_image(record, cameras))


def follow(
    localizer: Localizer, drive: Drive, cameras: Cameras, begin: int = 0, end_ns: int | None = None
) -> list[Answer]:
    """From a frame on, as the node does; until a stamp."""
    tracker, answers, localizer = Tracker(GateLimits()), [], localizer.for_another_stream()
    for number in range(begin, len(drive.records)):
        record = drive.records[number]
        if end_ns is not None and record.stamp_ns > end_ns:
            break
        frame = frame_of(record, cameras)
        odometry = None if drive.odometry is None else drive.odometry[number]
        began = time.perf_counter()
        try:
            estimate, verdict = localizer.follow(frame, tracker, partial(_given, odometry))
        except FrameError as error:
            answers.append(Answer(_NONE, False, 1e3 * (time.perf_counter() - began), reason=str(error)))
            continue
        start = "" if estimate.details is None else estimate.details.start
        T = _NONE if verdict.T_map_camera is None else verdict.T_map_camera
        T = estimate.pose.T if verdict.accepted else T
        milliseconds = 1e3 * (time.perf_counter() - began)
        answers.append(Answer(T, verdict.accepted, milliseconds, start, verdict.reason))
    return answers


def _given(T_odom_camera: Array | None, _: Frame) -> Array | None:
    return T_odom_camera


def alone(localizer: Localizer, drive: Drive, cameras: Cameras, every: int) -> list[Answer]:
    """Each frame for itself."""
    answers = []
    for record in drive.records[::every]:
        frame = frame_of(record, cameras)
        began = time.perf_counter()
        try:
            found = localizer.for_another_stream().process(frame)
        except FrameError as error:
            answers.append(Answer(_NONE, False, 1e3 * (time.perf_counter() - began), reason=str(error)))
            continue
        start = "" if found.details is None else found.details.start
        accepted = found.refined and not found.rejection
        answers.append(Answer(found.pose.T, accepted, 1e3 * (time.perf_counter() - began), start, found.rejection))
    return answers


def is_right(errors: PoseErrors) -> NDArray[np.bool_]:
    """Which poses, `[N]`, lie within 5 cm and 5 degrees."""
    with np.errstate(invalid="ignore"):
        return np.asarray((errors.translation_m <= 0.05) & (errors.rotation_deg <= 5.0))


def is_far(errors: PoseErrors) -> NDArray[np.bool_]:
    """Which poses, `[N]`, do not lie within 0.2 m and 10 degrees; those that there are none of are far."""
    with np.errstate(invalid="ignore"):
        return ~np.asarray((errors.translation_m <= 0.2) & (errors.rotation_deg <= 10.0))


def figures(answers: Sequence[Answer], truth: Array) -> dict[str, Any]:
    """Shares and times; see the module."""
    errors = PoseErrors.of(np.stack([answer.T for answer in answers]), truth)
    accepted = np.array([answer.accepted for answer in answers])
    right, far = is_right(errors), is_far(errors)
    times = np.array([answer.milliseconds for answer in answers])
    taken = errors.translation_m[accepted]
    return {
        "frames": len(answers),
        "right": float(right.mean()),
        "accepted": float(accepted.mean()),
        "right_and_accepted": float((right & accepted).mean()),
        "accepted_far": int((far & accepted).sum()),
        "accepted_median_m": float(np.median(taken)) if len(taken) else None,
        "accepted_p99_m": float(np.percentile(taken, 99)) if len(taken) else None,
        "median_ms": float(np.median(times)),
        "p95_ms": float(np.percentile(times, 95)),
        "max_ms": float(times.max()),
    }


def wake_ups(localizer: Localizer, drive: Drive, cameras: Cameras, count: int) -> dict[str, Any]:
    """As `mvloc replay --wake-ups`."""
    stamps = np.array([record.stamp_ns for record in drive.records], dtype=np.int64)
    truth = Trajectory(stamps, drive.truth)
    planned = plan_wake_ups(truth, stamps, count)
    for wake_up in tqdm(planned, desc=f"{drive.name}, waking up", unit="start"):
        begin = int(np.searchsorted(stamps, wake_up.start_ns))
        answers = follow(localizer, drive, cameras, begin, wake_up.end_ns)
        wake_up.frames = len(answers)
        wake_up.with_odometry = 0 if drive.odometry is None else len(answers)
        for stamp, answer in zip(stamps[begin:], answers, strict=False):
            if answer.accepted:
                wake_up.poses[int(stamp)] = answer.T
    return evaluate_wake_ups(planned, truth).values()


def measure(localizer: Localizer, drives: Sequence[Drive], cameras: Cameras, count: int, every: int) -> dict[str, Any]:
    """All sessions."""
    result: dict[str, Any] = {}
    for drive in drives:
        told = "without odometry" if drive.odometry is None else "odometry of a base upright below the camera"
        print(f"{drive.name}: {len(drive.records)} frames, {told}")
        followed = follow(localizer, drive, cameras)
        single = figures(alone(localizer, drive, cameras, every), drive.truth[::every]) if every else None
        result[drive.name] = {
            "followed": figures(followed, drive.truth),
            "starts": dict(Counter(answer.start for answer in followed if answer.accepted).most_common()),
            "rejections": dict(Counter(_cause(answer) for answer in followed if not answer.accepted).most_common(8)),
            "single": single,
            "wake_ups": wake_ups(localizer, drive, cameras, count) if count else None,
        }
    return result


def _cause(answer: Answer) -> str:
    return re.split(r" [(;]|; ", answer.reason)[0]


def _rows(result: dict[str, Any]) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for name, found in result.items():
        for way in ("followed", "single"):
            if (one := found[way]) is None:
                continue
            shares = [f"{one[key]:.1%}" for key in ("right", "accepted", "right_and_accepted")]
            error = "" if one["accepted_median_m"] is None else f"{one['accepted_median_m']:.3f} m"
            times = [f"{one[key]:.0f}" for key in ("median_ms", "p95_ms", "max_ms")]
            rows.append((name, way, one["frames"], *shares, one["accepted_far"], error, *times))
    return rows


def _print(result: dict[str, Any]) -> None:
    header = ("session", "", "frames", "right", "accepted", "both", "far", "median", "ms", "p95", "max")
    print_table(header, _rows(result))
    for name, found in result.items():
        if (woken := found["wake_ups"]) is not None:
            time_s = woken["time_s"] or {"median": float("nan"), "p90": float("nan")}
            print(
                f"{name}: {woken['right']} of {woken['count']} wake-ups right after {time_s['median']:.1f} s (p90 "
                f"{time_s['p90']:.1f} s), {woken['without_pose']} without a pose; {woken['false_accepts']} of "
                f"{woken['accepted_poses']} accepted poses far off"
            )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and write JSON if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="bundle with a scene map (`mvloc map`)")
    parser.add_argument("--data", type=Path, required=True, help="folder whose test sequences are driven")
    parser.add_argument("--posed", type=Path, metavar="FOLDER", help="what `mvloc pose` made of the training sequences")
    parser.add_argument("--sequences", nargs="+", default=[], metavar="NAME", help="which of them (default: all)")
    parser.add_argument("--wake-ups", type=int, default=50, metavar="N", help="of each session (default: 50; 0: none)")
    parser.add_argument("--every", type=int, default=4, metavar="N",
                        help="single frames: every N-th (default: 4; 0: none)")  # fmt: skip
    parser.add_argument("--budget-ms", type=float, default=RefinementOptions().budget_ms, metavar="MS",
                        help="as the node's refine_budget_ms (default: %(default)g)")  # fmt: skip
    parser.add_argument("--threads", type=int, default=1, help="of network and registration (default: 1)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to it")
    args = parser.parse_args(arguments)
    bundle = read_bundle(args.model)
    drives, cameras = drives_of(args.data, args.sequences)
    if args.posed is not None:
        drives = in_map_of(args.posed, args.data, drives)
    backend = create_backend("auto", bundle, args.threads)
    try:
        options = RefinementOptions(mode="required", budget_ms=args.budget_ms, threads=args.threads)
        localizer = Localizer(bundle, backend, options)
        localizer.warm_up()
        result = measure(localizer, drives, cameras, args.wake_ups, args.every)
    finally:
        backend.close()
    _print(result)
    if args.json is not None:
        args.json.write_text(json.dumps({"model": bundle.name, "sessions": result}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
