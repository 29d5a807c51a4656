# SPDX-License-Identifier: Apache-2.0
"""Command line of this package: `mvloc pose`."""

from __future__ import annotations

import argparse
from pathlib import Path

from mvloc_ros import interrupts
from mvloc_ros.arguments import finite, positive_count
from mvloc_ros.posing.options import PosingOptions
from mvloc_ros.recordings.train_test_split import TEST_FRACTION

EXAMPLES = """examples:
  mvloc pose recordings/office --out recordings/office_posed
  mvloc pose recordings/monday recordings/tuesday --out recordings/office_posed
  mvloc bag to-dataset bags/office --out recordings/office --poses none && \\
      mvloc pose recordings/office --out recordings/office_posed

Give all recordings of one place at once: they become one map. Images are linked, not changed. What could not be posed
is left out and said with its time. After Ctrl-C the same command goes on. posing.json in the new folder has the loop
closures and all figures. Stretches of the drive that the rest of the recordings shows as well are held out for tests
(held_out.txt)."""


def add_pose_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `mvloc pose`."""
    parser.description = (
        "Find the poses of recordings that have none, by RGB-D odometry, loop closures and a pose graph, and write\n"
        "them as one folder that `mvloc train` reads."
    )
    parser.epilog = EXAMPLES
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER", help="7-Scenes or TUM RGB-D layout")
    parser.add_argument("--out", type=Path, required=True, help="folder to write; an earlier one is replaced")
    add_posing_arguments(parser)
    parser.add_argument(
        "--test-fraction",
        type=float,
        default=TEST_FRACTION,
        metavar="SHARE",
        help="share of the frames that is held out for tests (default: %(default)s)",
    )
    parser.add_argument("--threads", type=positive_count, default=2, help="threads (default: %(default)s)")


def add_posing_arguments(parser: argparse._ActionsContainer) -> None:
    """Arguments that say what may be assumed of the robot."""
    parser.add_argument(
        "--without-odometry", action="store_true", help="do not use odometry.tum beside the images of a sequence"
    )
    parser.add_argument(
        "--without-imu", action="store_true", help="do not use imu.csv or accelerometer.txt beside the images"
    )
    parser.add_argument(
        "--uneven-floor",
        action="store_true",
        help="the floor has ramps or steps; else the floor that a robot drives on is taken as level",
    )
    parser.add_argument(
        "--origin",
        type=finite,
        nargs=3,
        default=(0.0, 0.0, 0.0),
        metavar=("X", "Y", "DEG"),
        help="where the first camera is in the map, and its heading against x (default: 0 0 0)",
    )


def posing_options(args: argparse.Namespace, threads: int = 2) -> PosingOptions:
    """Of arguments that `add_posing_arguments` added."""
    return PosingOptions(
        use_odometry=not args.without_odometry,
        use_imu=not args.without_imu,
        level_floor=not args.uneven_floor,
        origin=tuple(args.origin),
        test_fraction=args.test_fraction,
        threads=threads,
    )


def run_pose(args: argparse.Namespace) -> int:
    """`mvloc pose`: 0 when all is written, 130 when interrupted (the same command goes on)."""
    from mvloc_ros.posing.pose import pose_folders

    try:
        summary = pose_folders(args.folders, args.out, posing_options(args, args.threads))
    except KeyboardInterrupt:
        print("\nInterrupted; the same command goes on where it was.")
        return interrupts.EXIT_CODE
    print(summary.text)
    return 0
