# SPDX-License-Identifier: Apache-2.0
"""Command line of this package: `mvloc map`."""

from __future__ import annotations

import argparse
from pathlib import Path

from mvloc_ros.recordings.train_test_split import TEST_FRACTION

MAP_EXAMPLES = """examples:
  mvloc map models/kitchen --data recordings/kitchen
  mvloc map models/hall --data recordings/hall --resolution 0.04 --max-range 8

The map is built from the folder's training frames and put into the bundle; test frames are never read. A map that the
bundle already has is replaced at the end. `mvloc export` writes a bundle without one, so run this after it. The
covariances are calibrated as well, where frames were held out of the training. Held-out training frames set the
score from which poses are accepted; where they do not suffice for it, the command ends with an error and the bundle
gets no map."""


def add_map_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `mvloc map`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = (
        "Fuse the depth images that a model was trained on into a scene map to refine its poses against."
    )
    parser.epilog = MAP_EXAMPLES
    parser.add_argument("model", type=Path, help="model bundle, as written by `mvloc export`; the map is put into it")
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="what the model was trained on")
    parser.add_argument("--resolution", type=float, default=0.02, metavar="M", help="default: %(default)s")
    parser.add_argument("--tile", type=float, default=4.0, metavar="M", help="edge of a tile (default: %(default)s)")
    parser.add_argument("--min-range", type=float, default=0.3, metavar="M", help="default: %(default)s")
    parser.add_argument(
        "--max-range", type=float, default=4.5, metavar="M", help="depth beyond it is not used (default: %(default)s)"
    )
    parser.add_argument(
        "--min-frames", type=int, default=3, help="frames that must have seen a place (default: %(default)s)"
    )
    parser.add_argument(
        "--no-depth-correction", action="store_true", help="take the depth camera's calibration to be right"
    )
    parser.add_argument(
        "--false-accept-rate",
        type=float,
        default=0.005,
        metavar="SHARE",
        help="of wrong poses that may be accepted, on held-out frames (default: %(default)s)",
    )
    parser.add_argument(
        "--without-threshold",
        action="store_true",
        help="keep a map for which no acceptance threshold is found; the node rejects all poses with it",
    )
    parser.add_argument(
        "--test-fraction",
        type=float,
        default=TEST_FRACTION,
        help="end of each recording kept for tests if the folder has no split (default: %(default)s)",
    )


def run_map(args: argparse.Namespace) -> int:
    """`mvloc map`."""
    from mvloc_ros.mapping.build import MapOptions
    from mvloc_ros.mapping.map import add_map

    options = MapOptions(
        resolution_m=args.resolution,
        tile_m=args.tile,
        min_frames=args.min_frames,
        near_m=args.min_range,
        far_m=args.max_range,
        correct_depth=not args.no_depth_correction,
    )
    bundle = add_map(
        args.model,
        args.data,
        options,
        args.test_fraction,
        args.false_accept_rate,
        without_threshold=args.without_threshold,
    )
    spec = bundle.manifest.scene_map
    assert spec is not None
    size = (bundle.path / spec.file).stat().st_size
    print(f"{bundle.path / spec.file}: {spec.points} points, {size / 1e6:.1f} MB; {bundle.digest_in_words}")
    if spec.acceptance is None:
        print("no acceptance threshold: all poses are rejected with this map")
    else:
        print(f"poses are accepted from a score of {spec.acceptance.threshold:.3f}; on held-out frames:")
        for kind, figures in spec.acceptance.summary.items():
            print(f"  {kind:10} {figures['trials']:5} trials, {figures['accepted']:7.2%} accepted")
    return 0
