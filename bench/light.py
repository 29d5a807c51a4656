# SPDX-License-Identifier: Apache-2.0
"""What a bundle with a scene map accepts in another light than that of its training, on a folder's test frames.

    python -m bench.light models/kitchen --data recordings/kitchen --json out/light.json
    python -m bench.light models/kitchen --data recordings/kitchen --lights recorded evening "moving spot" --wrong
    python -m bench.light models/kitchen --data recordings/kitchen --network

Only the colour images are changed, by gains, casts, gamma curves and noise (`mvloc_ros.mapping.lighting`); depth stays
as recorded. For each light: the share of frames whose pose is right before the verdict (5 cm and 5 degrees), the share
of those that is accepted, the share of all that is accepted, and of the accepted ones the share within 10 cm and 10
degrees. With --wrong also the share that is accepted of frames with depth of another moment (see bench.refinement).
Noise is drawn from the seed and the frame's number, so that a run can be repeated.

With --network the network alone, which needs no scene map: for each light, and with one image dark, blurred, noisy,
blank, out of range or lost (`bench.degradations`), the mean shares of the experts and the median errors, also as
multiples of those with both images as recorded.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bench import degradations
from bench.degradations import degraded, network_figures
from bench.refinement import Bench, is_accepted
from bench.timing import print_table
from mvloc_ros.backends.backend_choice import create_backend
from mvloc_ros.errors import MvlocError
from mvloc_ros.evaluation.pose_errors import PoseErrors
from mvloc_ros.localization.estimate import PoseEstimate
from mvloc_ros.localization.options import RefinementOptions
from mvloc_ros.mapping.lighting import EVENING, RECORDED, Light, Shadow, Spot
from mvloc_ros.model.bundle import read_bundle
from mvloc_ros.model.frame import ColorImage, Frame
from mvloc_ros.recordings import open_folder

# Of a frame by its place in the run, 0 to 1.
LightAt = Callable[[float], Light]


def _always(light: Light) -> LightAt:
    return lambda _: light


def _moving_spot(at: float) -> Light:
    return Light(spot=Spot(column=0.5 + 0.4 * np.sin(6.0 * np.pi * at), row=0.5 + 0.3 * np.cos(4.0 * np.pi * at)))


def _moving_shadows(at: float) -> Light:
    turn = 2.0 * np.pi * at
    return Light(shadows=(Shadow(0.35 + 0.3 * at, 0.5, turn, 0.5), Shadow(0.6, 0.4, 2.0 - turn, 0.6)))


LIGHTS: dict[str, LightAt] = {
    "recorded": _always(RECORDED),
    **{f"gamma {value:g}": _always(Light(gamma=value)) for value in (0.5, 0.7, 1.5, 2.0, 2.5)},
    **{f"brightness {value:g}": _always(Light(gain=value)) for value in (0.15, 0.3, 0.6, 1.5, 2.0, 2.5)},
    "brightness 0.15, noise": _always(Light(gain=0.15, noise=3.0)),
    "lamp from the right": _always(Light(across=0.75)),
    "lamp from the left": _always(Light(across=-0.75)),
    "moving spot": _moving_spot,
    "moving shadows": _moving_shadows,
    "warm": _always(Light(cast=(1.25, 1.0, 0.6))),
    "cold": _always(Light(cast=(0.7, 0.95, 1.25))),
    "evening": _always(EVENING),
}


def lit(frames: Sequence[Frame], light_at: LightAt, seed: int) -> list[Frame]:
    """The frames in a light; those without colour as they are."""
    result = []
    for i, frame in enumerate(frames):
        if frame.color is None:
            result.append(frame)
            continue
        rng = np.random.default_rng((seed, i))
        pixels = light_at(i / max(1, len(frames) - 1)).on(frame.color.pixels, rng)
        result.append(replace(frame, color=ColorImage(pixels, "rgb")))
    return result


def figures(estimates: Sequence[PoseEstimate | None], truth: np.ndarray) -> dict[str, float]:
    """Shares as the module says, for poses `[N, 4, 4]`; NaN where nothing was there to take a share of."""
    accepted = is_accepted(estimates)
    poses = np.array([np.full((4, 4), np.inf) if e is None else e.pose.T for e in estimates])
    known = np.array([e is not None for e in estimates], dtype=bool)
    right, near = np.zeros(len(poses), dtype=bool), np.zeros(len(poses), dtype=bool)
    if known.any():
        errors = PoseErrors.of(poses[known], truth[known])
        right[known] = (errors.translation_m <= 0.05) & (errors.rotation_deg <= 5.0)
        near[known] = (errors.translation_m <= 0.10) & (errors.rotation_deg <= 10.0)
    return {
        "right": float(right.mean()),
        "accepted_of_right": float(accepted[right].mean()) if right.any() else float("nan"),
        "accepted": float(accepted.mean()),
        "accepted_within_10cm_10deg": float(near[accepted].mean()) if accepted.any() else float("nan"),
    }


def measure(bench: Bench, lights: Sequence[str], seed: int, *, wrong: bool) -> dict[str, dict[str, float]]:
    """Figures by light."""
    result: dict[str, dict[str, float]] = {}
    for name in lights:
        light = LIGHTS[name]
        result[name] = figures(bench.run(lit(bench.frames, light, seed), name), bench.poses)
        if wrong:
            for kind, frames in (("shuffled", bench.shuffled(seed)), ("late", bench.late())):
                estimates = bench.run_each(lit(frames, light, seed), f"{name}, {kind} depth")
                result[name][f"{kind}_accepted"] = float(is_accepted(estimates).mean())
    return result


def measure_network(bench: Bench, lights: Sequence[str], seed: int) -> dict[str, dict[str, float]]:
    """Figures of the network alone by degradation, then by light; `bench` does not refine."""
    changed = {name: partial(degraded, bench.frames, name, seed) for name in degradations.NAMES}
    changed |= {
        f"light: {name}": partial(lit, bench.frames, LIGHTS[name], seed) for name in lights if name != "recorded"
    }
    found: dict[str, dict[str, float]] = {}
    for name, frames in changed.items():
        found[name] = network_figures(bench.run_each(frames(), name), bench.poses)
    both = found[degradations.BOTH]
    for row in found.values():
        row |= {f"times_{unit}": row[f"median_{unit}"] / both[f"median_{unit}"] for unit in ("m", "deg")}
    return found


def print_network(found: dict[str, dict[str, float]]) -> None:
    """The table of `measure_network`."""
    header = ("image", "with a pose", "prior", "color", "depth", "median", "times both")
    rows: list[tuple[object, ...]] = [
        (
            name,
            *(f"{f[key]:.0%}" for key in ("posed", "prior_share", "color_share", "depth_share")),
            f"{f['median_m']:.3f} m, {f['median_deg']:.2f} deg",
            f"{f['times_m']:.2f}, {f['times_deg']:.2f}",
        )
        for name, f in found.items()
    ]
    print_table(header, rows)


def print_accepted(found: dict[str, dict[str, float]]) -> None:
    """The table of `measure`."""
    names = list(next(iter(found.values())))
    rows: list[tuple[object, ...]] = [
        (light, *(f"{shares[name]:.1%}" for name in names)) for light, shares in found.items()
    ]
    print_table(("light", *names), rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and write JSON if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="bundle with a scene map (`mvloc map`)")
    parser.add_argument("--data", type=Path, required=True, help="folder whose test frames are used")
    parser.add_argument("--lights", nargs="+", choices=list(LIGHTS), default=list(LIGHTS), metavar="LIGHT",
                        help=f"which (default: all): {', '.join(LIGHTS)}")  # fmt: skip
    parser.add_argument("--wrong", action="store_true", help="also frames with depth of another moment")
    parser.add_argument(
        "--network", action="store_true", help="the network alone, also with one image degraded or lost"
    )
    parser.add_argument("--seed", type=int, default=0, help="of noise and of what is shuffled (default: %(default)s)")
    parser.add_argument("--budget-ms", type=float, default=60.0, help="default: %(default)s")
    parser.add_argument("--threads", type=int, default=2, help="of the network (default: %(default)s)")
    parser.add_argument("--test-fraction", type=float, default=0.2,
                        help="end of each recording that is test without a split (default: %(default)s)")  # fmt: skip
    parser.add_argument("--json", type=Path, help="file to write all figures to")
    args = parser.parse_args(arguments)
    if args.network and args.wrong:
        parser.error("--wrong is of what is accepted, which --network does not look at")
    bundle = read_bundle(args.model)
    backend = create_backend("auto", bundle, args.threads)
    options = RefinementOptions(mode="off" if args.network else "required", budget_ms=args.budget_ms)
    try:
        bench = Bench(bundle, backend, open_folder(args.data, args.test_fraction), options)
        if args.network:
            found = measure_network(bench, args.lights, args.seed)
            print_network(found)
        else:
            found = measure(bench, args.lights, args.seed, wrong=args.wrong)
            print_accepted(found)
    finally:
        backend.close()
    if args.json is not None:
        result: dict[str, Any] = {"frames": len(bench.frames), "seed": args.seed, "lights": found}
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except MvlocError as problem:
        raise SystemExit(f"bench.light: {problem}") from None
