# SPDX-License-Identifier: Apache-2.0
"""Command line of this package: `mvloc demo render` and `mvloc demo run`."""

from __future__ import annotations

import argparse
from pathlib import Path

from mvloc_ros import interrupts
from mvloc_ros.arguments import positive_count
from mvloc_ros.demo.sequence_plans import SPLITS, TEST_FRAMES, TRAIN_FRAMES

RENDER_EXAMPLES = """examples:
  mvloc demo render --out recordings/demo
  mvloc demo render --out recordings/demo_test --split test --frames 300
  mvloc demo render --out recordings/other --seed 5 --workers 1
  mvloc demo render --out recordings/rig --sensors rear,infrared

The folder has the 7-Scenes layout: `mvloc train`, `mvloc bag from-folder` and your own tools can read it. Run the same
command again to resume an interrupted recording."""


def add_render_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `mvloc demo render`."""
    parser.description = "Render RGB-D recordings of a synthetic room, with exact poses."
    parser.epilog = RENDER_EXAMPLES
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="folder, created or resumed")
    parser.add_argument("--split", choices=SPLITS, default="both", help="what to render (default: %(default)s)")
    parser.add_argument(
        "--frames", type=int, help=f"frames per split (default: {TRAIN_FRAMES} for training, {TEST_FRAMES} for test)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of camera paths and noise (default: %(default)s)")
    parser.add_argument(
        "--sensors",
        default="",
        metavar="NAME,...",
        help="further sensors besides the color and the depth camera: rear (a color camera that looks back), infrared "
        "(a gray camera with its own lamp); see docs/sensors.md (default: none)",
    )
    parser.add_argument("--workers", type=positive_count, help="number of processes (default: one per core, at most 2)")


def run_render(args: argparse.Namespace) -> int:
    """`mvloc demo render`; 130 when interrupted (the same command resumes)."""
    from mvloc_ros.demo.write_folder import write_folder

    try:
        written = write_folder(
            args.out,
            split=args.split,
            frames=args.frames,
            seed=args.seed,
            sensors=args.sensors,
            workers=args.workers,
        )
    except KeyboardInterrupt:
        print(f"\nInterrupted; run the same command again to resume the recording in {args.out}.")
        return interrupts.EXIT_CODE
    print(f"{args.out}: {written} frames rendered")
    return 0


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `mvloc demo run`."""
    parser.description = (
        "Render a 20 s recording of a synthetic room, play it over DDS to the node in a separate process, record the "
        "poses in a third process, and evaluate them."
    )
    parser.epilog = "example:\n  mvloc demo run --out out/demo        (what `make demo` does)"
    parser.add_argument("--out", type=Path, default=Path("out/demo"), help="result folder (default: %(default)s)")
    parser.add_argument("--model", type=Path, help="model bundle (default: the one of mvloc_ros)")


def run_run(args: argparse.Namespace) -> int:
    """`mvloc demo run`."""
    from mvloc_ros.demo.demo_run import run_demo
    from mvloc_ros.replay.verbs import show

    return show(*run_demo(args.out, args.model))
