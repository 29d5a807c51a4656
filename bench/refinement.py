# SPDX-License-Identifier: Apache-2.0
"""Refinement and verification of a bundle with a scene map, on a folder's test frames: errors, times, what is accepted.

    python -m bench.refinement models/kitchen --data recordings/kitchen --other recordings/desk --threads 2
    python -m bench.refinement models/kitchen --data recordings/kitchen --true-frames --busy 2

Wrong frames are made of the test frames: depth of another moment (when the camera was more than 10 cm or 10 degrees
away), depth that hangs while colour goes on, a covered lens, somebody close in front of the camera, and, with
`--other`, the frames of another place.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from bench.load import busy
from bench.timing import print_table
from mvloc_ros.backends.backend import Backend
from mvloc_ros.backends.backend_choice import create_backend
from mvloc_ros.errors import MvlocError
from mvloc_ros.evaluation.pose_errors import PoseErrors
from mvloc_ros.geometry import se3
from mvloc_ros.localization.estimate import PoseEstimate
from mvloc_ros.localization.gate import GateLimits
from mvloc_ros.localization.localizer import Localizer
from mvloc_ros.localization.options import RefinementOptions
from mvloc_ros.localization.tracker import Tracker
from mvloc_ros.mapping.build import Cameras, depth_image
from mvloc_ros.model.bundle import Bundle, read_bundle
from mvloc_ros.model.frame import ColorImage, DepthImage, Frame, FrameError
from mvloc_ros.recordings import FrameRecord, PosedFolder, open_folder, read_color

Array = NDArray[np.float64]

_OTHER_FRAMES = 300
_PERSON_M = 0.6


class Bench:
    """One bundle and its test frames."""

    def __init__(self, bundle: Bundle, backend: Backend, folder: PosedFolder, options: RefinementOptions) -> None:
        self._bundle, self._backend, self._options = bundle, backend, options
        self.budget_ms = options.budget_ms
        self._cameras = Cameras.of(folder)
        self._records = [r for r in folder.test if r.color is not None and r.depth is not None]
        self.poses = np.array([r.T_map_camera for r in self._records])
        self.sequences = [r.sequence for r in self._records]
        self.frames = [self._frame(r, self._cameras) for r in tqdm(self._records, desc="reading", unit="frame")]

    def localizer(self) -> Localizer:
        """A fresh one, which remembers no frame."""
        localizer = Localizer(self._bundle, self._backend, self._options)
        localizer.warm_up()
        return localizer

    def run(self, frames: Sequence[Frame], label: str) -> list[PoseEstimate | None]:
        """Localize frames one after the other; None where there is no pose."""
        localizer, found = self.localizer(), list[PoseEstimate | None]()
        tracker = Tracker(GateLimits(enabled=False), self._options.unverified_after_s)
        for frame in tqdm(frames, desc=label, unit="frame"):
            try:
                estimate, verdict = localizer.follow(frame, tracker)
                found.append(replace(estimate, rejection=verdict.reason))
            except FrameError:
                found.append(None)
        return found

    def run_each(self, frames: Sequence[Frame], label: str) -> list[PoseEstimate | None]:
        """As `run`, without what one frame tells of the next."""
        apart_ns = 10_000_000_000
        return self.run([replace(frame, stamp_ns=i * apart_ns) for i, frame in enumerate(frames)], label)

    def shuffled(self, seed: int = 0) -> list[Frame]:
        """Each frame with the depth of another one, taken elsewhere."""
        rng = np.random.default_rng(seed)
        frames = []
        for i, frame in enumerate(self.frames):
            away = [j for j in range(len(self.frames)) if self._apart(i, j)]
            if away:
                frames.append(replace(frame, depth=self.frames[away[rng.integers(len(away))]].depth))
        return frames

    def late(self) -> list[Frame]:
        """Each frame with the latest depth of its sequence from which the camera had moved away, seen for once."""
        frames = []
        for i, frame in enumerate(self.frames):
            earlier = [j for j in range(i) if self._records[j].sequence == self._records[i].sequence]
            away = [j for j in earlier if self._apart(i, j)]
            if away:
                frames.append(replace(frame, depth=self.frames[away[-1]].depth))
        return frames

    def hanging(self) -> Iterator[list[Frame]]:
        """The sequences, with depth that hangs from the third frame on."""
        for _, group in groupby(range(len(self.frames)), key=lambda i: self._records[i].sequence):
            sequence = [self.frames[i] for i in group]
            yield sequence[:3] + [replace(frame, depth=sequence[2].depth) for frame in sequence[3:]]

    def covered(self) -> list[Frame]:
        """Each frame with a colour image that shows nothing."""
        return [replace(f, color=ColorImage(np.full_like(f.color.pixels, 15), "rgb")) for f in self.frames if f.color]

    def blocked(self) -> list[Frame]:
        """Each frame with a person close in front of four fifths of both images."""
        return [self._blocked(frame) for frame in self.frames]

    def others(self, folder: PosedFolder) -> list[Frame]:
        """Frames of another place, spread over all of its recordings."""
        records = [r for r in folder.frames() if r.color is not None and r.depth is not None]
        cameras = Cameras.of(folder)
        return [self._frame(r, cameras) for r in records[:: max(1, len(records) // _OTHER_FRAMES)]]

    def _frame(self, record: FrameRecord, cameras: Cameras) -> Frame:
        assert record.color is not None
        return Frame(
            record.stamp_ns, "camera", ColorImage(read_color(record.color), "rgb"), depth_image(record, cameras)
        )

    def _apart(self, i: int, j: int) -> bool:
        metres, radians = (
            float(error(self.poses[i], self.poses[j])) for error in (se3.translation_error, se3.rotation_error)
        )
        return metres > 0.10 or radians > np.radians(10.0)

    @staticmethod
    def _blocked(frame: Frame) -> Frame:
        assert frame.color is not None
        assert frame.depth is not None
        color, depth = frame.color.pixels.copy(), frame.depth.values.copy()
        color[:, : color.shape[1] * 4 // 5] = (90, 70, 60)
        depth[:, : depth.shape[1] * 4 // 5] = round(_PERSON_M / frame.depth.metres_per_unit)
        return replace(frame, color=ColorImage(color, "rgb"), depth=DepthImage(depth, frame.depth.metres_per_unit))


def accuracy(estimates: Array, truth: Array) -> dict[str, float]:
    """Errors of poses `[N, 4, 4]`."""
    errors = PoseErrors.of(estimates, truth)
    figures = errors.figures()
    return {
        **{name: figures[name] for name in ("median_m", "median_deg")},
        "p95_m": float(np.percentile(errors.translation_m, 95)),
        "max_m": float(errors.translation_m.max()),
        "within_5cm_5deg": errors.within(0.05, 5.0),
        "within_10cm_10deg": errors.within(0.10, 10.0),
    }


def is_accepted(estimates: Sequence[PoseEstimate | None]) -> NDArray[np.bool_]:
    """Which frames gave a refined pose that is accepted."""
    return np.array([e is not None and e.refined and not e.rejection for e in estimates], dtype=bool)


def times(estimates: Sequence[PoseEstimate | None], budget_ms: float) -> dict[str, float]:
    """Wall times in milliseconds, and the share of frames that took more than the budget and a fifth of it."""
    steps = [e.times for e in estimates if e is not None]
    both = np.array([t.refinement_ms + t.verification_ms for t in steps])
    network = np.array([t.inference_ms for t in steps])
    return {
        "refinement_and_verification_ms": float(np.median(both)),
        "refinement_and_verification_p95_ms": float(np.percentile(both, 95)),
        "refinement_and_verification_max_ms": float(both.max()),
        "share_beyond_120_percent_of_the_budget": float(np.mean(both > 1.2 * budget_ms)),
        "verification_ms": float(np.median([t.verification_ms for t in steps])),
        "network_ms": float(np.median(network)),
        "ratio_to_network": float(np.median(both) / np.median(network)),
    }


def measure_true(bench: Bench) -> dict[str, Any]:
    """What becomes of the test frames as they are."""
    plain = bench.run(bench.frames, "test frames")
    known = [i for i, e in enumerate(plain) if e is not None]
    found = [e for e in plain if e is not None]
    truth, accepted = bench.poses[known], is_accepted(plain)
    result: dict[str, Any] = {
        "frames": len(plain),
        "network": accuracy(np.array([e.network.T for e in found]), truth),
        "refined": accuracy(np.array([e.pose.T for e in found]), truth),
        "times": times(plain, bench.budget_ms),
        "accepted": {"true frames": float(np.mean(accepted))},
    }
    result["sequences"] = of_sequences(bench, plain, accepted)
    if accepted.any():
        result["accepted_within_10cm_10deg"] = accuracy(
            np.array([e.pose.T for e, yes in zip(plain, accepted, strict=True) if yes and e is not None]),
            bench.poses[accepted],
        )["within_10cm_10deg"]
    return result


def of_sequences(
    bench: Bench, estimates: Sequence[PoseEstimate | None], accepted: NDArray[np.bool_]
) -> dict[str, dict[str, Any]]:
    """Median errors of the final poses of each sequence, None without any pose, and the share of frames accepted."""
    names, found = np.array(bench.sequences), dict[str, dict[str, Any]]()
    for name in dict.fromkeys(bench.sequences):
        own = [i for i in np.flatnonzero(names == name) if estimates[i] is not None]
        found[name] = {"median_m": None, "median_deg": None}
        if own:
            poses = np.array([estimate.pose.T for i in own if (estimate := estimates[i]) is not None])
            figures = PoseErrors.of(poses, bench.poses[own]).figures()
            found[name] = {key: figures[key] for key in found[name]}
        found[name] |= {"frames": int(np.sum(names == name)), "accepted": float(np.mean(accepted[names == name]))}
    return found


def _medians(figures: dict[str, Any]) -> tuple[str, str]:
    if figures["median_m"] is None:
        return "no pose", ""
    return f"{figures['median_m']:.4f} m", f"{figures['median_deg']:.2f} deg"


def measure_wrong(bench: Bench, other: PosedFolder | None, result: dict[str, Any]) -> None:
    """Add how many frames of each kind that must not be accepted are, and with which words the others are rejected."""
    wrong = {
        "shuffled depth": bench.run_each(bench.shuffled(), "shuffled depth"),
        "late depth, single frames": bench.run_each(bench.late(), "late depth"),
        "hanging depth, after its first repetition": [
            estimate for sequence in bench.hanging() for estimate in bench.run(sequence, "hanging depth")[4:]
        ],
        "covered lens": bench.run(bench.covered(), "covered lens"),
        "blocked view": bench.run(bench.blocked(), "blocked view"),
    }
    if other is not None:
        wrong["another place"] = bench.run(bench.others(other), "another place")
    for name, estimates in wrong.items():
        result["accepted"][name] = float(np.mean(is_accepted(estimates)))
        result.setdefault("reasons", {})[name] = reasons(estimates)


def reasons(estimates: Sequence[PoseEstimate | None]) -> dict[str, int]:
    """How often each reason was given, without its figures."""
    words = [(e.rejection or ("accepted" if e.refined else e.remark)) if e else "no pose" for e in estimates]
    short = ["".join(c for c in word.split(";")[0] if not c.isdigit()) for word in words]
    return {word: short.count(word) for word in sorted(set(short), key=short.count, reverse=True)}


def main() -> int:
    """Measure, print, and write JSON if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="bundle with a scene map (`mvloc map`)")
    parser.add_argument("--data", type=Path, required=True, help="folder whose test frames are used")
    parser.add_argument("--other", type=Path, help="folder of another place")
    parser.add_argument("--threads", type=int, default=2, help="of the network (default: %(default)s)")
    parser.add_argument("--registration-threads", type=int, default=1, help="default: %(default)s")
    parser.add_argument("--budget-ms", type=float, default=60.0, help="default: %(default)s")
    parser.add_argument("--true-frames", action="store_true", help="leave the wrong ones out")
    parser.add_argument("--busy", type=int, default=0, metavar="N", help="processes that load the cores beside")
    parser.add_argument(
        "--test-fraction",
        type=float,
        default=0.2,
        help="end of each recording that is test if the folder has no split (default: %(default)s)",
    )
    parser.add_argument("--json", type=Path, help="file to write all figures to")
    args = parser.parse_args()
    bundle = read_bundle(args.model)
    backend = create_backend("auto", bundle, args.threads)
    options = RefinementOptions(mode="required", budget_ms=args.budget_ms, threads=args.registration_threads)
    try:
        bench = Bench(bundle, backend, open_folder(args.data, args.test_fraction), options)
        with busy(args.busy):
            result = measure_true(bench)
            if not args.true_frames:
                measure_wrong(bench, None if args.other is None else open_folder(args.other), result)
    finally:
        backend.close()
    head = ("", "median", "", "p95", "max", "5cm/5deg")
    rows: list[tuple[object, ...]] = []
    for name in ("network", "refined"):
        f = result[name]
        cells = (f"{f['median_m']:.4f} m", f"{f['median_deg']:.2f} deg", f"{f['p95_m']:.4f} m", f"{f['max_m']:.3f} m")
        rows.append((name, *cells, f"{f['within_5cm_5deg']:.1%}"))
    print_table(head, rows)
    if len(result["sequences"]) > 1:
        head = ("sequence", "median", "", "frames", "accepted")
        print_table(
            head,
            [(name, *_medians(f), f["frames"], f"{f['accepted']:.2%}") for name, f in result["sequences"].items()],
        )
    over = result["times"].pop("share_beyond_120_percent_of_the_budget")
    print_table(("time", "ms"), [(name, f"{value:.2f}") for name, value in result["times"].items()])
    print(f"frames that took more than {1.2 * args.budget_ms:g} ms, the budget and a fifth: {over:.2%}")
    result["times"]["share_beyond_120_percent_of_the_budget"] = over
    print_table(("frames", "accepted"), [(name, f"{value:.2%}") for name, value in result["accepted"].items()])
    print(f"of the accepted true frames within 10 cm and 10 degrees: {result.get('accepted_within_10cm_10deg', 0):.2%}")
    for name, counts in result.get("reasons", {}).items():
        print(f"{name}:", *(f"\n  {count:4}  {word}" for word, count in counts.items()))
    if args.json is not None:
        args.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except MvlocError as problem:
        raise SystemExit(f"bench.refinement: {problem}") from None
