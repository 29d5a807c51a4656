# SPDX-License-Identifier: Apache-2.0
"""Command line of this package: `mvloc view`."""

from __future__ import annotations

import argparse
from pathlib import Path

from mvloc_ros.arguments import count, positive_count

DEFAULT_POINTS = 100_000
EXAMPLES = """examples:
  mvloc view models/kitchen
  mvloc view models/kitchen --out out/kitchen --views 8 --color brightness
  mvloc view models/kitchen --html

No display is needed. above.png: the map from above with training path, keyframes, scale bar and origin. view_1.png and
so on: what the training camera would see of the map from poses along the path; dark blue where nothing is. map.html
(--html): the map in 3D, to turn, move and zoom in a browser, one file that needs no network; made with Plotly (pip
install plotly)."""


def add_view_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `mvloc view`."""
    parser.description = "Draw the scene map of a model: pictures from above and from the training path, and a 3D page."
    parser.epilog = EXAMPLES
    parser.add_argument("model", type=Path, help="model bundle with a scene map; it is not changed")
    parser.add_argument(
        "--out", type=Path, metavar="FOLDER", help="new folder, or one with earlier pictures (default: MODEL_view here)"
    )
    parser.add_argument(
        "--views", type=count, default=4, metavar="N", help="pictures along the training path (default: %(default)s)"
    )
    parser.add_argument(
        "--color",
        choices=("height", "brightness"),
        default="",
        help="colors of the points (default: height from above and in the page, brightness along the path)",
    )
    parser.add_argument("--html", action="store_true", help="write the interactive page too")
    parser.add_argument(
        "--points",
        type=positive_count,
        default=DEFAULT_POINTS,
        metavar="N",
        help="points in the page, at most; the default gives about 7.5 MB, 5 of them Plotly (default: %(default)s)",
    )


def run_view(args: argparse.Namespace) -> int:
    """`mvloc view`."""
    from mvloc_ros.view.view import ViewOptions, view

    _, lines = view(args.model, args.out, ViewOptions(args.views, args.color, args.html, args.points))
    print("\n".join(lines))
    return 0
