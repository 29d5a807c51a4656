# SPDX-License-Identifier: Apache-2.0
"""Command line: `mvloc dataset robotcar`."""

from __future__ import annotations

import argparse
from pathlib import Path

from mvloc_ros.arguments import options_of
from mvloc_ros.recordings.motion_arguments import add_motion_arguments, motion_limits
from mvloc_ros.recordings.robotcar.layout import CAMERAS, CAR_LIMITS, LIDARS


def add_robotcar_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `mvloc dataset robotcar`."""
    parser.description = (
        "Write Oxford RobotCar traversals as one folder that `mvloc train` reads: undistorted colour, depth from\n"
        "LIDAR scans brought together by visual odometry, poses of the camera in UTM (north, east, down). The\n"
        "traversals of the published LOOP and FULL splits are known by their names. An interrupted run continues when\n"
        "it is started again."
    )
    parser.epilog = (
        "examples:\n"
        "  mvloc dataset robotcar 2014-06-26-08-53-56 2014-06-26-09-24-58 2014-06-23-15-41-25 2014-06-23-15-36-04 "
        "--window-after 10 --out data/loop\n"
        "  mvloc dataset robotcar 2014-11-28-12-07-13 2014-12-02-15-30-08 2014-12-09-13-21-02 2014-12-12-10-45-15 "
        "--window-after 10 --out data/full\n"
        "  mvloc dataset robotcar drive1 drive2 --test drive2 --lidar ldmrs --window 1 --out data/own\n"
        "The folders `models` and `extrinsics` of the data set's kit are searched for next to the first traversal.\n"
        "Scans until the image only (the default) is what a live system could have; --window-after 10 adds the later\n"
        "ones, as the data set's own tools do."
    )
    parser.add_argument("traversals", type=Path, nargs="+", metavar="TRAVERSAL", help="folder of one drive")
    parser.add_argument("--out", type=Path, required=True, help="folder to write (a new one)")
    parser.add_argument(
        "--test",
        action="append",
        metavar="NAME",
        help="this traversal is a test traversal (repeatable; default: the published split)",
    )
    parser.add_argument("--models", type=Path, help="camera models (default: models next to the first traversal)")
    parser.add_argument("--extrinsics", type=Path, help="extrinsics (default: extrinsics next to the first traversal)")
    parser.add_argument(
        "--camera", choices=sorted(CAMERAS), default="stereo/centre", help="camera (default: stereo/centre)"
    )
    parser.add_argument("--poses", choices=("ins", "rtk"), default="ins", help="source of poses (default: ins)")
    parser.add_argument("--good-only", action="store_true", help="only poses of the status INS_SOLUTION_GOOD")
    add_motion_arguments(parser, CAR_LIMITS)
    parser.add_argument("--short-side", type=int, default=256, help="pixels of the shorter side (default: 256)")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="take each N-th image only (default: 1)")
    _add_depth(parser)


def _add_depth(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("depth")
    group.add_argument(
        "--lidar",
        action="append",
        choices=(*LIDARS, "none"),
        help="LIDAR (repeatable; default: lms_front and lms_rear; none: colour alone)",
    )
    group.add_argument(
        "--window", type=float, default=10.0, metavar="S", help="seconds of scans before the image (default: 10)"
    )
    group.add_argument(
        "--window-after",
        type=float,
        default=0.0,
        metavar="S",
        help="seconds of scans after the image, which a live system does not have (default: 0)",
    )
    group.add_argument("--splat", type=float, default=1.0, help="pixels that a point covers (default: 1)")
    group.add_argument(
        "--projection",
        choices=("pinhole", "cylindrical"),
        default="pinhole",
        help="into the colour image, or onto a panorama around it (default: pinhole)",
    )
    group.add_argument(
        "--azimuth",
        type=float,
        nargs=2,
        default=(-180.0, 180.0),
        metavar=("LEFT", "RIGHT"),
        help="edges of the panorama in degrees, right positive (default: -180 180)",
    )
    group.add_argument(
        "--elevation",
        type=float,
        nargs=2,
        default=(-25.0, 15.0),
        metavar=("BOTTOM", "TOP"),
        help="edges of the panorama in degrees, up positive (default: -25 15)",
    )


def run_robotcar(args: argparse.Namespace) -> int:
    """`mvloc dataset robotcar`."""
    from mvloc_ros.recordings.robotcar.robotcar_folder import convert
    from mvloc_ros.recordings.robotcar.robotcar_options import RobotCarOptions, panorama
    from mvloc_ros.recordings.robotcar.scan_depth import Window

    lidars = tuple(args.lidar or ("lms_front", "lms_rear"))
    options = options_of(
        RobotCarOptions,
        args,
        test=None if args.test is None else tuple(args.test),
        lidars=() if "none" in lidars else lidars,
        window=Window(round(args.window * 1e9), round(args.window_after * 1e9)),
        panorama=panorama(args.azimuth, args.elevation) if args.projection == "cylindrical" else None,
        limits=motion_limits(args),
    )
    print(convert(args.traversals, args.out, options).text())
    return 0
