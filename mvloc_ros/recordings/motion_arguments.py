# SPDX-License-Identifier: Apache-2.0
"""`--max-speed` and `--max-turn-rate`, for every command that interpolates poses."""

from __future__ import annotations

import argparse
import math

from mvloc_ros.arguments import positive
from mvloc_ros.geometry.motion_limits import MotionLimits


def add_motion_arguments(parser: argparse.ArgumentParser | argparse._ArgumentGroup, default: MotionLimits) -> None:
    """Both options, in m/s and degrees/s."""
    degrees = math.degrees(default.max_turn_rate)
    parser.add_argument(
        "--max-speed",
        type=positive,
        default=default.max_speed,
        metavar="M/S",
        help="no pose is interpolated between two that are further apart, as at a loop closure or a reset "
        f"(default: {default.max_speed:g})",
    )
    parser.add_argument(
        "--max-turn-rate",
        type=positive,
        default=degrees,
        metavar="DEG/S",
        help=f"the same for turning (default: {degrees:g})",
    )


def motion_limits(args: argparse.Namespace) -> MotionLimits:
    """What the options say."""
    return MotionLimits(args.max_speed, math.radians(args.max_turn_rate))
