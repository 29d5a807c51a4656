# SPDX-License-Identifier: Apache-2.0
"""Command line of this package: `mvloc experiment`; torch and matplotlib are imported only when it runs."""

from __future__ import annotations

import argparse
import shlex
import sys
from dataclasses import fields
from pathlib import Path

from mvloc_ros import interrupts
from mvloc_ros.arguments import add_test_fraction
from mvloc_ros.experiments.errors import ExperimentError
from mvloc_ros.experiments.table_rows import ALL_SYSTEMS, DEFAULT_SYSTEMS, make_rows
from mvloc_ros.recordings.train_test_split import TEST_FRACTION
from mvloc_ros.training.config import TrainingConfig
from mvloc_ros.training.options import InputConfig
from mvloc_ros.training.presets import NAMES, preset
from mvloc_ros.training.verbs import (
    add_reading_arguments,
    add_value_arguments,
    given_values,
    read_options,
    require_torch,
)

INPUT_OPTIONS = tuple(item.name for item in fields(InputConfig))
DEFAULT_SEEDS = {"figure3": 1}  # a plot shows one seed

EXAMPLES = """examples:
  mvloc experiment table3 --data recordings/kitchen --seeds 3
  mvloc experiment table3 --data recordings/kitchen --stage 1 --epochs 40
  mvloc experiment table2 --data 7scenes --scenes chess,heads --systems all --seeds 1 --preset paper --device cuda
  mvloc experiment table4 --data recordings/kitchen --drop-color 0.1 --drop-depth 0.1
  mvloc experiment figure3 --data robotcar --scenes loop,full
  mvloc experiment table2 --data 7scenes --systems all --seeds 3 --only-report

experiments:
  table2   all systems, beside the published errors
  table3   fusion: color only, concatenation, product of experts with one sample, mvloc
  table4   a modality missing in the test frames: blank image, or expert dropped
  figure3  true and estimated trajectories

Run the same command again to resume an interrupted experiment. Runs are found by their configuration, so all
experiments with the same --runs share them. Cells that were not run are empty."""


def add_experiment_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `mvloc experiment`: its own, and one for each value of a training."""
    parser.description = "Make a table or the trajectory figure of the paper: train the missing runs, then evaluate."
    parser.epilog = EXAMPLES
    parser.add_argument("name", choices=list(DEFAULT_SYSTEMS), help="listed below")
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="a scene, or a folder of scenes")
    parser.add_argument("--scenes", type=_names, metavar="A,B", help="folders in --data (default: all)")
    parser.add_argument(
        "--systems", type=_names, metavar="A,B", help="rows of the table, or all (default: those of the paper)"
    )
    parser.add_argument("--seeds", type=int, help="runs per row, with seeds 0, 1 ... (default: 3; figure3: 1)")
    parser.add_argument("--preset", choices=sorted(NAMES), default="small", help="of all rows (default: %(default)s)")
    parser.add_argument(
        "--runs", type=Path, default=Path("runs"), metavar="DIR", help="folder of runs (default: %(default)s)"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="result folder (default: out/NAME)")
    parser.add_argument("--only-report", action="store_true", help="do not train; evaluate the finished runs")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: %(default)s)")
    parser.add_argument("--weights", type=Path, metavar="FILE", help="ImageNet weights, as for `mvloc train`")
    add_test_fraction(parser, TEST_FRACTION)
    add_reading_arguments(parser)
    bootstrap = parser.add_argument_group("intervals", "bootstrap over blocks of consecutive test frames")
    bootstrap.add_argument("--block-seconds", type=float, default=1.0, help="length of a block (default: %(default)s)")
    bootstrap.add_argument("--block-frames", type=int, help="length of a block in frames instead")
    bootstrap.add_argument("--resamples", type=int, default=1000, help="default: %(default)s")
    bootstrap.add_argument("--bootstrap-seed", type=int, default=0, help="default: %(default)s")
    add_value_arguments(parser)


def run_experiment(args: argparse.Namespace) -> int:
    """Train, evaluate, write; 0 when the results are written, 130 when interrupted (the same command resumes).

    Raises:
        MvlocError: the data, the values, the runs or the device cannot be used, or torch is missing.
    """
    given = given_values(args)
    systems = args.systems or DEFAULT_SYSTEMS[args.name]
    if systems == ["all"]:
        systems = ALL_SYSTEMS
    seeds = DEFAULT_SEEDS.get(args.name, 3) if args.seeds is None else args.seeds
    if seeds < 1:
        raise ExperimentError(f"--seeds must be at least 1, not {seeds}.")
    rows = make_rows(systems, args.preset, given)
    if args.name == "figure3":
        rows = [row for row in rows if row.published is not None]  # a panel for each system
    require_torch("mvloc experiment")
    from mvloc_ros.experiments.bootstrap import Blocks
    from mvloc_ros.experiments.evaluate_rows import BASELINES, Evaluator
    from mvloc_ros.experiments.missing_images import PROTOCOLS
    from mvloc_ros.experiments.results import Plan
    from mvloc_ros.experiments.runs import RunFolder
    from mvloc_ros.experiments.scenes import check_labels, find_scenes
    from mvloc_ros.experiments.train_runs import RunTrainer, train_all, weights_digest
    from mvloc_ros.experiments.write_results import report

    scenes = find_scenes(args.data, args.scenes, args.test_fraction, read_options(args), tuple(given))
    check_labels(scenes)
    plan = Plan(
        name=args.name,
        command=shlex.join(["mvloc", *sys.argv[1:]]),
        preset=args.preset,
        scenes=tuple(scenes),
        rows=tuple(rows),
        baselines=() if args.name == "figure3" else BASELINES,
        protocols=PROTOCOLS[args.name],
        seeds=seeds,
        blocks=Blocks(args.block_seconds, args.block_frames, args.resamples, seed=args.bootstrap_seed),
    )
    runs, out = RunFolder(args.runs), args.out or Path("out") / args.name
    try:
        if not args.only_report:
            train_all(RunTrainer(runs, args.device, args.weights), plan.scenes, rows, seeds)
        evaluator = Evaluator(runs, weights_digest(args.weights), args.device, plan.protocols)
        print(report(plan, evaluator, _seen(args.preset, given), out))
    except KeyboardInterrupt:
        print(f"\nInterrupted; run the same command again to resume with the runs in {args.runs}.")
        return interrupts.EXIT_CODE
    print(f"written to {out}")
    return 0


def _seen(preset_name: str, given: dict[str, object]) -> TrainingConfig:
    """Input configuration of the baselines: that of `mvloc`."""
    values = {name: value for name, value in given.items() if name in INPUT_OPTIONS}
    return preset("mvloc", preset_name).with_options(values)


def _names(text: str) -> list[str]:
    return [name for name in (part.strip() for part in text.split(",")) if name]
