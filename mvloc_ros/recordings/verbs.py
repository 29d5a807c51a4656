# SPDX-License-Identifier: Apache-2.0
"""Command line of this package: `mvloc bag from-folder` and `mvloc bag info`."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from mvloc_ros.arguments import positive
from mvloc_ros.recordings.damage import add_allow_damage_argument
from mvloc_ros.recordings.train_test_split import TEST_FRACTION

_log = logging.getLogger(__name__)


def add_from_folder_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `mvloc bag from-folder`."""
    parser.description = "Write a 7-Scenes or TUM RGB-D folder as a rosbag2 recording (mcap)."
    parser.epilog = (
        "examples:\n"
        "  mvloc bag from-folder redkitchen --split test --out bags/redkitchen_test\n"
        "  mvloc bag from-folder redkitchen --sequence seq-02 --rate 10 --out bags/seq02_slow\n"
        "  mvloc bag from-folder my_place --split test --lead-in 5 --out bags/my_place_test\n"
        "It has colour, depth, camera_info, /tf_static and /ground_truth/pose; `ros2 bag play` plays it too.\n"
        "Where camera.json states T_base_camera and sequences have odometry.tum, /tf has odom to base_link."
    )
    parser.add_argument("folder", type=Path, help="folder in the 7-Scenes or TUM RGB-D layout")
    parser.add_argument("--out", type=Path, required=True, help="recording to write (a new folder)")
    parser.add_argument("--split", choices=("train", "test", "all"), default="all", help="frames (default: all)")
    parser.add_argument("--sequence", help="only this sequence, e.g. seq-02")
    parser.add_argument("--rate", type=positive, help="frames per second (default: as recorded)")
    parser.add_argument(
        "--lead-in",
        type=positive,
        default=0.0,
        metavar="S",
        help="with --split or --sequence: also the frames of so many seconds before, without a true pose, so that "
        "who follows the camera comes to the chosen frames with a pose (default: none)",
    )
    parser.add_argument(
        "--keep-pauses", action="store_true", help="keep the time between sequences (default: cut it to one second)"
    )
    parser.add_argument(
        "--test-fraction",
        type=float,
        default=TEST_FRACTION,
        help="test share at the end of each sequence, where the folder names none (default: %(default)s)",
    )
    parser.add_argument("--force", action="store_true", help="overwrite an existing recording")


def run_from_folder(args: argparse.Namespace) -> int:
    """`mvloc bag from-folder`."""
    from mvloc_ros.recordings.contents import contents_text
    from mvloc_ros.recordings.depth_summary import depth_summary
    from mvloc_ros.recordings.folder import open_folder
    from mvloc_ros.recordings.from_folder import odometry_text, select_frames, with_lead_in, write_bag

    folder = open_folder(args.folder, args.test_fraction)
    print(f"{contents_text(folder)}.")
    frames = select_frames(folder, args.split, args.sequence)
    if args.lead_in:
        frames = with_lead_in(folder, frames, args.lead_in)
    if any(frame.depth is not None for frame in folder.train):
        depth = depth_summary(folder, 0.0005, 65.5, "a recording, in millimetres of 16 bits,")
        print(f"{depth.text}.")
        if depth.problem:
            _log.warning("%s.", depth.problem)
    print(f"{odometry_text(folder)}.")
    count = write_bag(folder, frames, args.out, rate_hz=args.rate, keep_pauses=args.keep_pauses, force=args.force)
    print(f"{args.out}: {len(frames)} frames, {count} messages")
    return 0


def add_info_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `mvloc bag info`."""
    parser.description = "Show the topics, counts, rates and gaps of a recording (rosbag2 or a ROS 1 .bag)."
    parser.epilog = "example:\n  mvloc bag info bags/redkitchen_test"
    parser.add_argument("bag", type=Path, help="recording (folder, .mcap, .db3 or ROS 1 .bag file)")
    add_allow_damage_argument(parser)


def run_info(args: argparse.Namespace) -> int:
    """`mvloc bag info`: the topics, and how far depth images measure."""
    from mvloc_ros.recordings.bag_info import summarise
    from mvloc_ros.recordings.bag_reader import open_bag
    from mvloc_ros.recordings.depth_topics import depth_lines
    from mvloc_ros.recordings.errors import RecordingError

    summary = summarise(args.bag, allow_damage=args.allow_damage)
    print(summary.text(), flush=True)
    if summary.refusal and not args.allow_damage:
        raise RecordingError(summary.refusal)
    with open_bag(args.bag, allow_damage=args.allow_damage) as reader:
        if lines := depth_lines(reader):
            print("\n" + "\n".join(lines))
    return 0
