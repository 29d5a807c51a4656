# SPDX-License-Identifier: Apache-2.0
"""Where refinement starts: the network, retrieved keyframes, or both; single frames, nothing known of those before.

    python -m bench.starts models/kitchen --data recordings/kitchen --every 2 --json out/starts.json

For a bundle with keyframes (`mvloc map`) and a folder's test frames (of a recording: `mvloc bag to-dataset`): errors of
each way, the share within 5 cm and 5 degrees of all frames, what is accepted and what of that is right, and the time a
frame takes. The ways take turns on each frame, so that what else the machine does hits all alike. The rows without
refinement and the two baselines say what refinement adds; "network, then draws" is a bundle without keyframes.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from bench.timing import print_table
from mvloc_ros.backends.backend import Backend
from mvloc_ros.backends.backend_choice import create_backend
from mvloc_ros.errors import MvlocError
from mvloc_ros.evaluation.baselines import constant_pose, nearest_training_poses
from mvloc_ros.evaluation.pose_errors import PoseErrors
from mvloc_ros.localization.bundle_map import refiner_of
from mvloc_ros.localization.judging import Refined
from mvloc_ros.localization.keyframes import read_keyframes
from mvloc_ros.localization.localizer import Localizer
from mvloc_ros.localization.options import RefinementOptions
from mvloc_ros.localization.retrieval import Retrieval
from mvloc_ros.localization.starts import NEAR_KEYFRAME, Start
from mvloc_ros.mapping.build import Cameras, depth_image
from mvloc_ros.model.bundle import Bundle, read_bundle
from mvloc_ros.model.frame import ColorImage, Frame, FrameError
from mvloc_ros.recordings import FrameRecord, open_folder, read_color

Array = NDArray[np.float64]

_NONE = np.full((4, 4), np.nan)


class BenchError(MvlocError):
    """What was asked for cannot be measured."""


@dataclass(frozen=True, eq=False)
class Answer:
    """What one way gives for one frame: a pose (4x4, NaN without), its verdict, where it started, and the time."""

    T: Array
    accepted: bool = False
    start: str = ""
    starts: int = 0
    milliseconds: float = 0.0


Way = Callable[[Frame], Answer]


def ways_of(bundle: Bundle, backend: Backend, options: RefinementOptions) -> dict[str, Way]:
    """The ways to localize a frame, by name."""
    keyframes = read_keyframes(bundle)
    if keyframes is None or bundle.manifest.scene_map is None:
        raise BenchError(f"The bundle {bundle.path} has no scene map with keyframes; add them with `mvloc map`.")
    without = replace(bundle, manifest=replace(bundle.manifest, keyframes=None))
    network = Localizer(bundle, backend)
    retrieval = Retrieval(keyframes)

    def refined(model: Bundle, starts: int) -> Way:
        localizer = Localizer(model, backend, replace(options, starts=starts))
        localizer.warm_up()
        return lambda frame: _refined(localizer, frame)

    def retrieved(frame: Frame) -> Answer:
        began = time.perf_counter()
        found = retrieval.nearest(network.described(frame), 1)
        return Answer(found[0] if found else _NONE, milliseconds=1e3 * (time.perf_counter() - began))

    return {
        "network": lambda frame: _timed(lambda: network.process(frame).pose.T),
        "retrieval": retrieved,
        "network, refined": refined(without, 1),
        "network, then draws, refined": refined(without, options.starts),
        "retrieval, refined": _retrieval_alone(bundle, network, retrieval, options),
        "both, refined": refined(bundle, options.starts),
    }


def _timed(run: Callable[[], Array]) -> Answer:
    began = time.perf_counter()
    return Answer(run(), milliseconds=1e3 * (time.perf_counter() - began))


def _refined(localizer: Localizer, frame: Frame) -> Answer:
    began = time.perf_counter()
    found = localizer.process(frame)
    elapsed, details = 1e3 * (time.perf_counter() - began), found.details
    if details is None:
        return Answer(found.pose.T, milliseconds=elapsed)
    return Answer(found.pose.T, found.refined and not found.rejection, details.start, details.starts, elapsed)


def _retrieval_alone(bundle: Bundle, network: Localizer, retrieval: Retrieval, options: RefinementOptions) -> Way:
    """Registered from retrieved poses only; the network's pose still takes part in the verdict.

    In a map without acceptance threshold all starts are tried, and what fits best is the answer.
    """
    refiner = refiner_of(bundle, options)[0]
    if refiner is None:
        raise BenchError(f"The scene map of {bundle.path} cannot be used; run `mvloc doctor`.")
    has_threshold = bundle.manifest.scene_map is not None and bundle.manifest.scene_map.acceptance is not None
    trained = bundle.training_trajectory()
    if trained is not None:
        refiner.warm_up(trained.poses[:, :3, 3])

    def answer(frame: Frame) -> Answer:
        began, best, start, tried = time.perf_counter(), None, "", 0
        color = None if frame.color is None else network.prepared(frame.color.pixels)
        pose = network.process(frame).pose
        assert frame.depth is not None
        for rank, T in enumerate(retrieval.nearest(network.described(frame), options.starts), 1):
            found = refiner.attempt(Start(f"retrieval {rank}", T, NEAR_KEYFRAME), pose, frame.depth, color)
            tried += 1
            if found is not None and (best is None or _quality(found) > _quality(best)):
                best, start = found, f"retrieval {rank}"
            spent = 1e3 * (time.perf_counter() - began)
            if (best is not None and has_threshold and not best.rejection) or spent * (
                tried + 1
            ) / tried > options.budget_ms:
                break
        elapsed = 1e3 * (time.perf_counter() - began)
        if best is None:
            return Answer(_NONE, milliseconds=elapsed)
        return Answer(best.pose.T, has_threshold and not best.rejection, start, tried, elapsed)

    return answer


def _quality(found: Refined) -> float:
    evidence = found.evidence
    return evidence.support * evidence.free_space * evidence.in_view if np.isnan(found.score) else found.score


def read_frame(record: FrameRecord, cameras: Cameras, number: int) -> Frame:
    """A frame that no other one is near in time."""
    assert record.color is not None
    color = ColorImage(read_color(record.color), "rgb")
    return Frame(number * 10_000_000_000, "camera", color, depth_image(record, cameras))


def figures_of(answers: Sequence[Answer], truth: Array) -> dict[str, Any]:
    """Errors, verdicts and times of one way."""
    errors = PoseErrors.of(np.stack([answer.T for answer in answers]), truth)
    known = np.isfinite(errors.translation_m)
    accepted = np.array([answer.accepted for answer in answers])
    right = (errors.translation_m <= 0.10) & (errors.rotation_deg <= 10.0)
    near = (errors.translation_m <= 0.5) & (errors.rotation_deg <= 20.0)
    times = np.array([answer.milliseconds for answer in answers])
    return {
        "frames": len(answers),
        "median_m": float(np.median(errors.translation_m[known])) if known.any() else None,
        "median_deg": float(np.median(errors.rotation_deg[known])) if known.any() else None,
        "within_5cm_5deg": float(np.mean((errors.translation_m <= 0.05) & (errors.rotation_deg <= 5.0))),
        "within_50cm_20deg": float(np.mean(near)),
        "accepted": float(np.mean(accepted)),
        "accepted_wrong": int(np.sum(accepted & ~right)),
        "median_ms": float(np.median(times)),
        "p95_ms": float(np.percentile(times, 95)),
    }


@dataclass(frozen=True)
class StartShare:
    """Of the refined frames of one way: how many results came from a start, how many were accepted, starts and time."""

    start: str
    frames: int
    accepted: int
    median_starts: float
    median_ms: float


def start_shares(answers: Sequence[Answer]) -> list[StartShare]:
    """By start, the one that brought most first."""
    shares = []
    for name in {answer.start for answer in answers if answer.start}:
        mine = [answer for answer in answers if answer.start == name]
        tried = float(np.median([answer.starts for answer in mine]))
        milliseconds = float(np.median([answer.milliseconds for answer in mine]))
        shares.append(StartShare(name, len(mine), sum(one.accepted for one in mine), tried, milliseconds))
    return sorted(shares, key=lambda one: (-one.accepted, -one.frames, one.start))


def measure(
    bundle: Bundle, backend: Backend, data: Path, test_fraction: float, every: int, options: RefinementOptions
) -> dict[str, Any]:
    """All ways on all test frames that have both images and a pose."""
    folder = open_folder(data, test_fraction)
    cameras = Cameras.of(folder)
    complete = [r for r in folder.test if r.color is not None and r.depth is not None and r.T_map_camera is not None]
    records = complete[::every]
    if not records:
        raise BenchError(f"{data} has no test frame with both images and a pose; name another folder with --data.")
    ways = ways_of(bundle, backend, options)
    answers: dict[str, list[Answer]] = {name: [] for name in ways}
    for number, record in enumerate(tqdm(records, desc="localizing", unit="frame")):
        frame = read_frame(record, cameras, number)
        for name, way in ways.items():
            try:
                answers[name].append(way(frame))
            except FrameError:
                answers[name].append(Answer(_NONE))
    truth = np.array([record.T_map_camera for record in records], dtype=np.float64)
    by_sequence = {
        name: {way: figures_of([a for a, r in zip(found, records, strict=True) if r.sequence == name],
                               truth[[r.sequence == name for r in records]]) for way, found in answers.items()}
        for name in sorted({record.sequence for record in records})
    }  # fmt: skip
    trained = np.array([r.T_map_camera for r in folder.train if r.T_map_camera is not None], dtype=np.float64)
    fixed = {
        "constant pose": [Answer(constant_pose(trained))] * len(records),
        "nearest training pose (oracle)": [Answer(T) for T in nearest_training_poses(trained, truth)],
    }
    return {
        "model": bundle.name,
        "frames": len(records),
        "budget_ms": options.budget_ms,
        "starts": options.starts,
        "has_threshold": bundle.manifest.scene_map is not None and bundle.manifest.scene_map.acceptance is not None,
        "ways": {name: figures_of(found, truth) for name, found in {**fixed, **answers}.items()},
        "sequences": by_sequence,
        "start_shares": {
            name: [asdict(share) for share in start_shares(found)] for name, found in answers.items() if found[0].start
        },
    }


def print_ways(ways: dict[str, dict[str, Any]]) -> None:
    """One row a way."""
    head = ("start", "median", "", "5cm/5deg", "50cm/20deg", "accepted", "wrong", "ms", "p95")
    rows: list[tuple[object, ...]] = []
    for name, f in ways.items():
        errors = ("-", "-") if f["median_m"] is None else (f"{f['median_m']:.3f} m", f"{f['median_deg']:.2f} deg")
        shares = (f"{f['within_5cm_5deg']:.1%}", f"{f['within_50cm_20deg']:.1%}", f"{f['accepted']:.1%}")
        rows.append((name, *errors, *shares, f["accepted_wrong"], f"{f['median_ms']:.1f}", f"{f['p95_ms']:.1f}"))
    print_table(head, rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and write JSON if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="bundle with a scene map and keyframes (`mvloc map`)")
    parser.add_argument("--data", type=Path, required=True, help="folder whose test frames are used")
    parser.add_argument(
        "--every", type=int, default=1, metavar="N", help="use each N-th of them (default: %(default)s)"
    )
    parser.add_argument("--starts", type=int, default=4, help="starting poses, at most (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="of the network (default: %(default)s)")
    parser.add_argument("--budget-ms", type=float, default=60.0, help="of the refinement (default: %(default)s)")
    parser.add_argument(
        "--test-fraction",
        type=float,
        default=0.2,
        help="end of each recording that is test if the folder has no split (default: %(default)s)",
    )
    parser.add_argument("--json", type=Path, help="file to write all figures to")
    args = parser.parse_args(arguments)
    bundle = read_bundle(args.model)
    backend = create_backend("auto", bundle, args.threads)
    options = RefinementOptions(budget_ms=args.budget_ms, starts=args.starts)
    try:
        result = measure(bundle, backend, args.data, args.test_fraction, max(1, args.every), options)
    finally:
        backend.close()
    print(f"{result['frames']} test frames of {args.data}, budget {args.budget_ms:g} ms, at most {args.starts} starts")
    print("wrong: accepted and more than 10 cm or 10 degrees off; ms: of all of a frame, network included")
    if not result["has_threshold"]:
        print(
            "the scene map has no acceptance threshold: nothing is accepted, and refinement ends with the first start"
        )
    print_ways(result["ways"])
    for name, ways in result["sequences"].items() if len(result["sequences"]) > 1 else ():
        print(f"{name}, {next(iter(ways.values()))['frames']} frames:")
        print_ways(ways)
    head = ("result from", "frames", "accepted", "starts", "ms")
    for name, shares in result["start_shares"].items():
        print(f"{name}:")
        print_table(head, [(s["start"], s["frames"], s["accepted"], s["median_starts"], f"{s['median_ms']:.1f}") for s in shares])  # fmt: skip  # noqa: E501
    if args.json is not None:
        args.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except MvlocError as problem:
        raise SystemExit(f"bench.starts: {problem}") from None
