# SPDX-License-Identifier: Apache-2.0
"""Command line of this package: `mvloc map`, `mvloc calibrate` and `mvloc grid`."""

from __future__ import annotations

import argparse
import logging
from dataclasses import replace
from pathlib import Path

from mvloc_ros.arguments import add_folders, add_test_fraction, finite, not_negative, positive
from mvloc_ros.foreign_text import shown
from mvloc_ros.localization.local_features import MOST_OF_KEYFRAME
from mvloc_ros.mapping.summaries import calibration_lines, map_lines
from mvloc_ros.model.bundle import Bundle
from mvloc_ros.recordings import open_folders
from mvloc_ros.recordings.agreement import add_force_argument, require_agreement
from mvloc_ros.recordings.contents import contents_text
from mvloc_ros.recordings.train_test_split import TEST_FRACTION

_log = logging.getLogger(__name__)

MAP_EXAMPLES = """examples:
  mvloc map models/kitchen --data recordings/kitchen
  mvloc map models/hall --data recordings/hall --resolution 0.04 --max-range 8
  mvloc map models/both --data recordings/kitchen --data recordings/kitchen_evening
  mvloc map models/kitchen --data recordings/kitchen --all-frames
  mvloc map models/floor2 --data recordings/floor2 --name "second floor"

The map is built from the training frames of the folder and added to the bundle; test frames are never read
(without --all-frames). An existing
map of the bundle is replaced at the end. Surfaces that one training sequence saw and another one sees through are
left out, since most were moved. Keyframes are added with it: poses of training frames with descriptors of
their images, from which refinement may start. `mvloc export` writes a bundle without a map, so run this command after
it. Held-out training frames determine the acceptance threshold of the score; with too few of them the command ends with
an error and the bundle gets no map. The covariances are calibrated as well if validation frames were held out of the
training."""

CALIBRATE_EXAMPLES = """examples:
  mvloc calibrate models/kitchen --data recordings/kitchen
  mvloc calibrate models/both --data recordings/kitchen --data recordings/kitchen_evening

Run it after `mvloc export`; `mvloc map` includes it. Only frames that were held out of the training are used, never
test frames. The manifest is replaced at the end; a second run changes nothing."""


def add_map_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `mvloc map`."""
    parser.description = (
        "Fuse the depth images that a model was trained on into a scene map, against which the node refines its poses."
    )
    parser.epilog = MAP_EXAMPLES
    _add_model_and_data(parser, "model bundle, as written by `mvloc export`; the map is added to it")
    parser.add_argument(
        "--resolution", type=float, default=0.02, metavar="M", help="edge of a voxel (default: %(default)s)"
    )
    parser.add_argument("--tile", type=float, default=4.0, metavar="M", help="edge of a tile (default: %(default)s)")
    parser.add_argument(
        "--min-range", type=float, default=0.3, metavar="M", help="depth below it is ignored (default: %(default)s)"
    )
    parser.add_argument(
        "--max-range", type=float, default=4.5, metavar="M", help="depth beyond it is ignored (default: %(default)s)"
    )
    parser.add_argument(
        "--min-frames", type=int, default=3, help="frames that must have observed a voxel (default: %(default)s)"
    )
    parser.add_argument(
        "--keyframe-features",
        type=int,
        default=MOST_OF_KEYFRAME,
        metavar="N",
        help="local features looked for in each keyframe, of about 100 bytes each: fewer make a smaller bundle, from "
        "whose features poses are found less often (default: %(default)s, the most)",
    )
    parser.add_argument(
        "--no-depth-correction", action="store_true", help="do not estimate the distortion of the depth camera"
    )
    parser.add_argument(
        "--false-accept-rate",
        type=float,
        default=0.005,
        metavar="SHARE",
        help="share of wrong poses that may be accepted, on held-out frames (default: %(default)s)",
    )
    parser.add_argument(
        "--without-threshold",
        action="store_true",
        help="keep the map even if no acceptance threshold is found; the node then rejects all poses",
    )
    parser.add_argument(
        "--all-frames",
        action="store_true",
        help="replace the map of the model by one of all frames, test frames too, with the covariances, resolution and "
        "range of the present one: for the robot, when all evaluations are done",
    )
    parser.add_argument(
        "--name",
        type=_map_name,
        help="name of the map, by which a node finds it in its models_folder (default: the one that the bundle has, or "
        "else its folder's)",
    )
    parser.add_argument(
        "--no-calibration", action="store_true", help="do not calibrate the covariances (`mvloc calibrate` does)"
    )


def _map_name(text: str) -> str:
    """An argument that is a map's name."""
    from mvloc_ros.model.manifest_checks import ManifestError, require_map_name

    try:
        require_map_name("the name of the map", text)
    except ManifestError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def add_calibrate_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `mvloc calibrate`."""
    parser.description = (
        "Calibrate the covariances of a model, of network poses and of refined poses, with the errors on its "
        "validation frames."
    )
    parser.epilog = CALIBRATE_EXAMPLES
    _add_model_and_data(parser, "model bundle, as written by `mvloc export`; its manifest is replaced")
    parser.add_argument(
        "--min-frames", type=int, default=3, help="as for `mvloc map`, if the bundle has a map (default: %(default)s)"
    )


def _add_model_and_data(parser: argparse.ArgumentParser, model: str) -> None:
    parser.add_argument("model", type=Path, help=model)
    add_folders(parser, "training data of the model", required=True)
    add_test_fraction(parser, TEST_FRACTION)
    add_force_argument(parser)


def run_map(args: argparse.Namespace) -> int:
    """`mvloc map`: network covariance, which the trials of the map use; map; covariance of refined poses; name."""
    from mvloc_ros.mapping.calibrate import calibrate, can_be_calibrated
    from mvloc_ros.mapping.map_size import size_of_map
    from mvloc_ros.model.bundle import read_bundle
    from mvloc_ros.model.bundle_writer import bundle_to_change

    if args.all_frames:
        return _map_all_frames(args)
    with bundle_to_change(args.model) as bundle:  # locked through all steps: each uses the result of the previous one
        calibrates = not args.no_calibration and can_be_calibrated(bundle)
        _check_folder(args)
        if calibrates:
            calibrate(args.model, args.data, args.test_fraction, network_alone=True)
        _add_map(args)
        if calibrates:
            _calibrate(args)
        elif not args.no_calibration:
            print("The covariances are not calibrated: the bundle has no poses of validation frames.")
            _check_extrinsics(args)
        done = _named(read_bundle(args.model), args.name)
        print(f"scene map: {size_of_map(done)}")
    return 0


def _named(bundle: Bundle, name: str | None) -> Bundle:
    """Give the bundle's map the name, if there is one, and say what it is called."""
    from mvloc_ros.model.bundle_writer import replace_manifest

    if name is not None:
        bundle = replace_manifest(bundle, replace(bundle.manifest, map_name=name))
    origin = "" if bundle.manifest.map_name else " (that of its folder)"
    print(f"map name: {shown(bundle.map_name)}{origin}")
    return bundle


def _map_all_frames(args: argparse.Namespace) -> int:
    from mvloc_ros.mapping.map import add_map_of_all_frames
    from mvloc_ros.mapping.map_size import size_of_map

    _check_folder(args)
    bundle = add_map_of_all_frames(
        args.model, args.data, args.test_fraction, args.min_frames, args.false_accept_rate, args.keyframe_features
    )
    print("\n".join(map_lines(bundle)))
    bundle = _named(bundle, args.name)
    print(f"scene map: {size_of_map(bundle)}")
    return 0


def run_calibrate(args: argparse.Namespace) -> int:
    """`mvloc calibrate`."""
    _check_folder(args)
    _calibrate(args)
    return 0


def _check_folder(args: argparse.Namespace) -> None:
    """Print what the folder holds, and reject one whose poses contradict its depth."""
    folder = open_folders(args.data, args.test_fraction)
    print(f"{contents_text(folder)}.")
    require_agreement(folder, args.force)


def _add_map(args: argparse.Namespace) -> None:
    from mvloc_ros.mapping.build import MapOptions
    from mvloc_ros.mapping.map import add_map

    options = MapOptions(
        resolution_m=args.resolution,
        tile_m=args.tile,
        min_frames=args.min_frames,
        near_m=args.min_range,
        far_m=args.max_range,
        correct_depth=not args.no_depth_correction,
        keyframe_features=args.keyframe_features,
    )
    bundle = add_map(
        args.model,
        args.data,
        options,
        args.test_fraction,
        args.false_accept_rate,
        without_threshold=args.without_threshold,
    )
    print("\n".join(map_lines(bundle)))


def _check_extrinsics(args: argparse.Namespace) -> None:
    """Print how far the depth sensors besides the pair are from where they are declared to be, and warn."""
    from mvloc_ros.mapping.extrinsics import measure_offsets, offset_lines, warnings_of

    offsets = measure_offsets(args.model, args.data, args.test_fraction, args.min_frames)
    if offsets:
        print("\n".join(offset_lines(offsets)))
    for sentence in warnings_of(offsets):
        _log.warning("%s", sentence)


def _calibrate(args: argparse.Namespace) -> None:
    from mvloc_ros.mapping.calibrate import calibrate

    _check_extrinsics(args)
    bundle = calibrate(args.model, args.data, args.test_fraction, args.min_frames)
    print("\n".join(calibration_lines(bundle)))


GRID_EXAMPLES = """examples:
  mvloc grid models/kitchen --out maps/kitchen
  mvloc grid models/hall --out maps/hall --height 0.15 0.8 --floor -0.02
  ros2 run nav2_map_server map_server --ros-args -p yaml_filename:=maps/kitchen/map.yaml

The grid is in the map frame of the model, so that it has the localizer's origin. z of that frame must point up
(REP-103). Occupied: surfaces of the scene map in the range of heights. Free: the floor was seen and the training
cameras saw through the space above it. Unknown: all else; nothing is free that was not seen. Nothing is learned about
glass and other things that depth cameras do not measure. Look at grid.png before a robot drives by it."""


def add_grid_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `mvloc grid`."""
    parser.description = (
        "Make an occupancy grid (map.pgm and map.yaml for Nav2's map_server, and grid.png to look at) from the scene "
        "map that `mvloc map` put into a model."
    )
    parser.epilog = GRID_EXAMPLES
    parser.add_argument("model", type=Path, help="model bundle with a scene map; it is not changed")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FOLDER", help="new folder, or one with an earlier grid"
    )
    parser.add_argument("--resolution", type=positive, default=0.05, metavar="M", help="default: %(default)s")
    parser.add_argument(
        "--height",
        type=positive,
        nargs=2,
        default=(0.1, 1.5),
        metavar=("LOW", "HIGH"),
        help="the robot's range of heights above the floor in metres (default: 0.1 1.5)",
    )
    parser.add_argument(
        "--clear",
        type=not_negative,
        default=0.6,
        metavar="M",
        help="how far the space above seen floor must have been seen through, from LOW up (default: %(default)s)",
    )
    parser.add_argument(
        "--floor", type=finite, metavar="Z", help="height of the floor in the map frame (default: it is looked for)"
    )


def run_grid(args: argparse.Namespace) -> int:
    """`mvloc grid`."""
    from mvloc_ros.mapping.grid import grid_of, summary
    from mvloc_ros.mapping.grid_cells import GridOptions
    from mvloc_ros.mapping.grid_files import require_usable, write_grid

    require_usable(args.out)
    low, high = args.height
    made = grid_of(args.model, GridOptions(args.resolution, low, high, args.clear), args.floor)
    print("\n".join(summary(made)))
    write_grid(args.out, made)
    print(f"written to {args.out}: map.pgm, map.yaml, grid.png")
    return 0
