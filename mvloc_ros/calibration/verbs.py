# SPDX-License-Identifier: Apache-2.0
"""Command line of this package: `mvloc calibrate`, and `mvloc map`, which ends with it."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mvloc_ros.mapping import verbs as mapping
from mvloc_ros.recordings import open_folder
from mvloc_ros.recordings.agreement import add_force_argument, require_agreement
from mvloc_ros.recordings.contents import contents_text
from mvloc_ros.recordings.train_test_split import TEST_FRACTION

CALIBRATE_EXAMPLES = """examples:
  mvloc calibrate models/kitchen --data recordings/kitchen

Run it after `mvloc export`; `mvloc map` does it by itself. Only the frames that were held out of the training are
looked at, never test frames. The manifest is replaced at the end; a second run changes nothing."""


def add_calibrate_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `mvloc calibrate`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = (
        "Set the covariances that a model states, of its network's poses and of refined ones, by the errors on its "
        "validation frames."
    )
    parser.epilog = CALIBRATE_EXAMPLES
    parser.add_argument("model", type=Path, help="model bundle, as written by `mvloc export`; its manifest is replaced")
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="what the model was trained on")
    parser.add_argument(
        "--min-frames", type=int, default=3, help="as in `mvloc map` for its scene map (default: %(default)s)"
    )
    parser.add_argument(
        "--test-fraction",
        type=float,
        default=TEST_FRACTION,
        help="end of each recording kept for tests if the folder has no split (default: %(default)s)",
    )
    add_force_argument(parser)


def run_calibrate(args: argparse.Namespace) -> int:
    """`mvloc calibrate`."""
    _look_at(args)
    return _calibrate(args)


def _calibrate(args: argparse.Namespace) -> int:
    from mvloc_ros.calibration.calibrate import calibrate

    bundle = calibrate(args.model, args.data, args.test_fraction, args.min_frames)
    network, spec = bundle.manifest.calibration, bundle.manifest.scene_map
    assert network is not None
    shares = ", ".join(f"{share:.0%} {name}" for name, share in network.record["mixture"].items() if share)
    print(f"network: {network.record['frames']} frames in {network.record['blocks']} blocks, {shares}")
    _print_figures(network.record)
    if spec is not None and spec.calibration is not None:
        refined = spec.calibration
        print(
            f"refined: {refined.record['frames']} frames in {refined.record['blocks']} blocks, registrations know "
            f"1/{refined.scale:.2g} of what they state, floor {1e3 * refined.floor_m:.1f} mm and "
            f"{1e3 * refined.floor_rad:.1f} mrad"
        )
        _print_figures(refined.record)
    print(f"written to {bundle.path}; {bundle.digest_in_words}")
    return 0


def add_map_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `mvloc map`."""
    mapping.add_map_arguments(parser)
    add_force_argument(parser)
    parser.add_argument(
        "--no-calibration", action="store_true", help="leave the covariances alone (`mvloc calibrate` sets them)"
    )


def run_map(args: argparse.Namespace) -> int:
    """`mvloc map`: the network's covariance, which the map's trials lean on; the map; the refined poses' covariance."""
    from mvloc_ros.calibration.calibrate import calibrate, can_be_calibrated
    from mvloc_ros.inference.bundle_writer import bundle_to_change

    with bundle_to_change(args.model) as bundle:  # from the first step to the last: each builds on the one before
        calibrates = not args.no_calibration and can_be_calibrated(bundle)
        _look_at(args)
        if calibrates:
            calibrate(args.model, args.data, args.test_fraction, network_alone=True)
        code = mapping.run_map(args)
        if calibrates:
            return code or _calibrate(args)
        if not args.no_calibration:
            print("The covariances are not calibrated: the bundle says nothing of frames held out of the training.")
        return code


def _look_at(args: argparse.Namespace) -> None:
    """Say what the folder holds, and refuse one whose poses contradict its depth; once a command."""
    folder = open_folder(args.data, args.test_fraction)
    print(f"{contents_text(folder)}.")
    require_agreement(folder, args.force)


def _print_figures(record: Mapping[str, Any]) -> None:
    for name in ("before", "after", "cross_validated"):
        figures = record[name]
        if figures is not None:
            label = name.replace("_", "-")
            print(
                f"  {label:16} ANEES {figures['anees']:6.2f} (position {figures['anees_position']:.2f}, "
                f"rotation {figures['anees_rotation']:.2f}), within 95 %: {figures['coverage_95']:.1%}"
            )
