# SPDX-License-Identifier: Apache-2.0
"""Command line of this package: `mvloc learn`."""

from __future__ import annotations

import argparse
from pathlib import Path

from mvloc_ros import interrupts
from mvloc_ros.arguments import add_test_fraction
from mvloc_ros.posing.verbs import add_posing_arguments, posing_options
from mvloc_ros.recordings.agreement import add_force_argument
from mvloc_ros.recordings.damage import add_allow_damage_argument
from mvloc_ros.recordings.to_dataset.verbs import add_conversion_arguments, dataset_options
from mvloc_ros.recordings.train_test_split import TEST_FRACTION
from mvloc_ros.recordings.trajectory_file import trajectories_options
from mvloc_ros.training.cache import default_cache_folder

EXAMPLES = """examples:
  mvloc learn bags/office --out models/office
  mvloc learn bags/office --out models/office --quick                  (to try: about ten minutes)
  mvloc learn bags/rig --out models/rig --color /front/image_raw --sensor rear:=/rear/image_raw
  mvloc learn bags/monday bags/evening --out models/office --grid      (one map of both)
  mvloc learn office.bag --out models/office --poses tf --map-frame world
  mvloc learn bags/walk --out models/walk --trajectory CameraTrajectory.txt --trajectory-frame optical
  mvloc learn recordings/kitchen --out models/kitchen --device cuda    (7-Scenes or TUM RGB-D folder)

A recording is a rosbag2 or ROS 1 bag with color, depth and camera_info, or a folder in the 7-Scenes or TUM layout.
Where it has no poses they are made from the images. The last part of each recording is held out and tells how well the
bundle localizes. Everything but the bundle is in OUT.learn. After Ctrl-C, or anything else that ends it, the same
command goes on; with other options or recordings it repeats the steps that depend on them. The steps are the verbs
bag to-dataset, pose, train, export, map, calibrate, replay and grid, which can be used one by one as well."""


def add_learn_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `mvloc learn`."""
    parser.description = "Learn a place from recordings: a bundle for the node, its evaluation, and a report."
    parser.epilog = EXAMPLES
    parser.add_argument("recordings", type=Path, nargs="+", metavar="RECORDING", help="recordings of one place")
    parser.add_argument("--out", type=Path, required=True, metavar="BUNDLE", help="bundle, made or replaced at the end")
    parser.add_argument("--quick", action="store_true", help="train less, for a bundle to try")
    parser.add_argument("--device", default="auto", help="of the training: auto, cpu, cuda or cuda:N (default: auto)")
    parser.add_argument("--grid", action="store_true", help="also make an occupancy grid, as `mvloc grid` does")
    parser.add_argument("--seed", type=int, default=0, help="of all random numbers (default: %(default)s)")
    parser.add_argument(
        "--preset",
        metavar="NAME|FILE.yaml",
        help="train by this preset, as `mvloc train --preset` does",
    )
    add_test_fraction(parser, TEST_FRACTION)
    parser.add_argument("--cache", type=Path, metavar="FOLDER", help="of decoded frames, as for `mvloc train`")
    parser.add_argument("--no-cache", action="store_true", help="decode all frames again and keep them in memory only")
    parser.add_argument("--licence", default="", help="licence of recordings, kept in camera.json and the bundle")
    add_conversion_arguments(parser, several=True)
    add_posing_arguments(parser.add_argument_group("poses that are made here"))
    add_allow_damage_argument(parser)
    add_force_argument(parser)


def run_learn(args: argparse.Namespace) -> int:
    """`mvloc learn`: 0 when all is made, 130 when interrupted (the same command goes on).

    Raises:
        MvlocError: a recording or an option cannot be used, or a step failed.
    """
    from mvloc_ros.learn.learn import learn
    from mvloc_ros.learn.options import LearnOptions

    options = LearnOptions(
        recordings=tuple(args.recordings),
        out=args.out,
        conversion=dataset_options(args, None),
        trajectories=trajectories_options(args, len(args.recordings)),
        quick=args.quick,
        preset=args.preset,
        device=args.device,
        seed=args.seed,
        test_fraction=args.test_fraction,
        force=args.force,
        allow_damage=args.allow_damage,
        cache=None if args.no_cache else args.cache or default_cache_folder(),
        grid=args.grid,
        posing=posing_options(args),
    )
    try:
        learn(options)
    except KeyboardInterrupt:
        print("\nInterrupted; the same command goes on where it was.")
        return interrupts.EXIT_CODE
    return 0
