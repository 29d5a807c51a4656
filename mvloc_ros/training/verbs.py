# SPDX-License-Identifier: Apache-2.0
"""Command line of this package: `mvloc train` and `mvloc export`; torch is imported only when they run."""

from __future__ import annotations

import argparse
import textwrap
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvloc_ros import interrupts
from mvloc_ros.arguments import add_folders, add_test_fraction
from mvloc_ros.backends.tensorrt.verbs import build_ahead
from mvloc_ros.recordings.agreement import add_force_argument
from mvloc_ros.recordings.train_test_split import TEST_FRACTION
from mvloc_ros.training.cache import default_cache_folder
from mvloc_ros.training.config import SYSTEMS, TrainingConfig
from mvloc_ros.training.errors import TrainingError
from mvloc_ros.training.options import ALLOWED_SHARE, MOST_UNREADABLE, all_options, flag, is_switch
from mvloc_ros.training.presets import PRESETS, SUMMARIES, describe, preset, read_file

if TYPE_CHECKING:
    from mvloc_ros.training.datasets import ReadOptions

TRAIN_EXAMPLES = """examples:
  mvloc train --data recordings/kitchen --out runs/kitchen --refit
  mvloc train --data recordings/kitchen --data recordings/kitchen_evening --out runs/both --refit
  mvloc train --data recordings/kitchen --out runs/views --turn 15 --shift 0.3 --refit --refit-epochs 12
  mvloc train --data recordings/kitchen --out runs/rendered --rendered 0.5
  mvloc train --data recordings/kitchen --out runs/large --preset paper --weights resnet34.pth --device cuda
  mvloc train --data recordings/kitchen --out runs/long --epochs 200 --learning-rate 1e-3 --seed 3
  mvloc train --data recordings/kitchen --out runs/sampled --stage 2 --start-from runs/kitchen
  mvloc train --data recordings/kitchen --out runs/atloc --system atloc
  mvloc train --data recordings/kitchen --out runs/mine --preset mine.yaml
  mvloc train --list-presets
  mvloc train --data recordings/kitchen --out runs/averaged --ema 0.999 --batch-size 64 --accumulate 2
  torchrun --standalone --nproc-per-node 4 -m mvloc_ros.cli train --data recordings/kitchen --out runs/kitchen

systems:
{systems}

presets:
{presets}

The folder has the 7-Scenes or the TUM RGB-D layout. Run the same command again to resume an interrupted run; the
result is the same. With torchrun every process takes its share of the frames of each train step, and its own GPU."""

TRAIN_EPILOG = TRAIN_EXAMPLES.format(
    systems="\n".join(f"  {name:8} {system.summary}" for name, system in SYSTEMS.items()),
    presets="\n".join(
        textwrap.fill(f"{name:8} {text}", 116, initial_indent="  ", subsequent_indent=" " * 11)
        for name, text in SUMMARIES.items()
    ),
)

EXPORT_EXAMPLES = """examples:
  mvloc export runs/kitchen --out models/kitchen
  mvloc export runs/kitchen --out models/kitchen --checkpoint last
  mvloc export runs/kitchen --out models/kitchen --precision fp16 --precision int8"""


def add_train_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `mvloc train`: the run's, and one for each value of the configuration."""
    parser.description = "Train MVLoc, or one of the systems it is compared with, on a folder of posed RGB-D frames."
    parser.epilog = TRAIN_EPILOG
    add_folders(parser, "posed RGB-D frames", required=True)
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="run folder, created or resumed")
    parser.add_argument("--system", choices=list(SYSTEMS), help="network and objective, listed below (default: mvloc)")
    parser.add_argument(
        "--preset",
        default="small",
        metavar="NAME|FILE.yaml",
        help=f"{', '.join(PRESETS)}, described below, or your own file that starts with `base: small` "
        "(default: %(default)s)",
    )
    parser.add_argument("--list-presets", action=ListPresets, help="print the presets of all systems and exit")
    parser.add_argument("--seed", type=int, default=0, help="of all random numbers (default: %(default)s)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: %(default)s)")
    parser.add_argument(
        "--weights",
        type=Path,
        metavar="FILE",
        help="warm start of the encoders: ImageNet weights of torchvision for --backbone",
    )
    parser.add_argument(
        "--timeout",
        type=float,
        default=600.0,
        metavar="SECONDS",
        help="with torchrun: stop if a process does not respond for this long in a train step (default: %(default)g)",
    )
    parser.add_argument("--start-from", type=Path, metavar="RUN", help="warm start of --stage 2: run folder of stage 1")
    add_test_fraction(parser, TEST_FRACTION)
    parser.add_argument(
        "--refit",
        action="store_true",
        help="then train again on all training frames, including the validation frames: twice the time; errors and "
        "covariance of the bundle remain those measured on the validation frames",
    )
    parser.add_argument(
        "--refit-epochs",
        type=int,
        metavar="N",
        help="with --refit: warm start from the best checkpoint and train N epochs at a quarter of the learning rate",
    )
    parser.add_argument(
        "--test",
        action="store_true",
        help="then evaluate on the test frames, with all modalities and with each missing; written to test.json",
    )
    parser.add_argument(
        "--sensors",
        default="all",
        metavar="all|none|NAME,...",
        help="which of the sensors that camera.json declares besides color and depth are used (default: %(default)s; "
        "docs/sensors.md)",
    )
    add_force_argument(parser)
    add_reading_arguments(parser)
    add_value_arguments(parser)


def add_value_arguments(parser: argparse.ArgumentParser) -> None:
    """One option for each value of the configuration, None where it is not given."""
    group = parser.add_argument_group(
        "values of the preset", "override single values; defaults of mvloc: (small, paper)"
    )
    for section, item in all_options():
        defaults = ", ".join(str(getattr(getattr(PRESETS[name], section), item.name)) for name in ("small", "paper"))
        text = f"{item.metadata['help']} ({defaults})"
        if is_switch(item):
            group.add_argument(flag(item.name), action=argparse.BooleanOptionalAction, default=None, help=text)
        else:
            kind, metavar = type(item.default), _metavar(item)
            group.add_argument(flag(item.name), type=kind, default=None, metavar=metavar, help=text)


class ListPresets(argparse.Action):
    """`--list-presets`: like `--version`, prints and exits even if required options are missing."""

    def __init__(self, option_strings: list[str], dest: str, **named: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, **named)

    def __call__(self, parser: argparse.ArgumentParser, *_rest: Any) -> None:
        """Print the table."""
        print(describe())
        parser.exit()


def add_reading_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of all verbs that read the frames of a folder."""
    parser.add_argument(
        "--cache",
        type=Path,
        metavar="FOLDER",
        help="cache of decoded frames, shared by all runs; see `mvloc cache list` (default: $MVLOC_CACHE, else "
        "mvloc_ros/datasets in $XDG_CACHE_HOME or ~/.cache)",
    )
    parser.add_argument("--no-cache", action="store_true", help="decode all frames again and keep them in memory only")
    parser.add_argument(
        "--max-unreadable",
        type=float,
        default=MOST_UNREADABLE,
        metavar="SHARE",
        help="share of unreadable frames that may be skipped; with more the command fails (default: %(default)s)",
    )


def _metavar(item: Any) -> str:
    return "{" + ",".join(item.metadata["choices"]) + "}" if item.metadata["choices"] else "VALUE"


def given_values(args: argparse.Namespace) -> dict[str, Any]:
    """The values given on the command line, by their flat names."""
    return {item.name: getattr(args, item.name) for _, item in all_options() if getattr(args, item.name) is not None}


def configuration(args: argparse.Namespace) -> TrainingConfig:
    """The preset with the values of the command line.

    Raises:
        TrainingError: a value is out of its range or contradicts another.
    """
    given = given_values(args)
    if args.preset.endswith((".yaml", ".yml")):
        start = read_file(Path(args.preset), args.system)
    else:
        start = preset(args.system or "mvloc", args.preset)
    config = start.with_options(given, seed=args.seed)
    if config.stages.stage == "2":
        if args.start_from is None:
            raise TrainingError("--stage 2 needs --start-from with the run folder of a stage 1; or use --stage both.")
        if args.weights is not None:
            raise TrainingError("--stage 2 takes its weights from --start-from; remove --weights.")
        for name in {"epochs", "learning_rate"} & given.keys():
            raise TrainingError(f"{flag(name)} applies to stage 1; use {flag(f'stage2_{name}')} for stage 2.")
    elif args.start_from is not None:
        raise TrainingError("--start-from applies to --stage 2 only; add --stage 2 or remove --start-from.")
    return config


def run_train(args: argparse.Namespace) -> int:
    """Train; 0 when finished, 130 when interrupted (the same command resumes).

    Raises:
        MvlocError: the data, the values or the run folder cannot be used, or torch is missing.
    """
    config = configuration(args)
    if args.timeout <= 0.0:
        raise TrainingError(f"--timeout {args.timeout:g} must be greater than 0 seconds.")
    require_torch("mvloc train")
    from mvloc_ros.training.depth_range import explain_range, with_folder_depth
    from mvloc_ros.training.distributed_launch import launched
    from mvloc_ros.training.folder_sensors import with_folder_sensors
    from mvloc_ros.training.possible_views import with_possible_views
    from mvloc_ros.training.train import train

    given = given_values(args)
    config = with_folder_sensors(with_folder_depth(config, args.data, given), args.data, args.sensors)
    config, left_out = with_possible_views(config, args.data, args.test_fraction, given)
    try:
        with launched(args.timeout) as processes:
            if processes.is_main:
                for clause in filter(None, (explain_range(config, args.data, given), *left_out)):
                    print(f"{clause}.")
            train(
                config,
                args.data,
                args.out,
                args.device,
                args.weights,
                args.test_fraction,
                start_from=args.start_from,
                refit=args.refit,
                refit_epochs=args.refit_epochs,
                test=args.test,
                force=args.force,
                reading=read_options(args),
                processes=processes,
            )
    except KeyboardInterrupt:
        print(f"\nInterrupted; run the same command again to resume the run in {args.out}.")
        return interrupts.EXIT_CODE
    return 0


def add_export_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `mvloc export`."""
    parser.description = "Export a training run as a model bundle (ONNX and a manifest) for the node."
    parser.epilog = EXPORT_EXAMPLES
    parser.add_argument("run", type=Path, metavar="RUN", help="run folder of `mvloc train`")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="bundle, created or replaced")
    parser.add_argument(
        "--checkpoint",
        choices=("best", "last"),
        help="best epoch on the validation frames, or last epoch (default: best; last without validation frames)",
    )
    add_folders(parser, "the training data, if it was moved since training", required=False)
    parser.add_argument(
        "--half-weights",
        action="store_true",
        help="round the weights to float16 and store them that way: half the file size, the same speed",
    )
    parser.add_argument(
        "--precision",
        action="append",
        choices=("fp16", "bf16", "int8"),
        default=[],
        help="add a network of this precision to the bundle, checked against float32 on the validation frames: fp16 "
        "and bf16 for GPUs, int8 for CPUs; may be repeated",
    )
    parser.add_argument(
        "--precision-share",
        type=float,
        default=ALLOWED_SHARE,
        metavar="SHARE",
        help="largest allowed deviation of that precision from float32, as a share of the median error of the model "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--tensorrt",
        action="store_true",
        help="then build the TensorRT engine for the GPU of this machine, as `mvloc engine build` does",
    )
    add_reading_arguments(parser)


def run_export(args: argparse.Namespace) -> int:
    """Export; 0 when the bundle is written.

    Raises:
        TrainingError: the run cannot be used, ONNX Runtime disagrees with PyTorch, or torch is missing.
    """
    require_torch("mvloc export")
    from mvloc_ros.training.export import export

    bundle = export(
        args.run,
        args.out,
        args.checkpoint,
        args.data,
        half_weights=args.half_weights,
        precisions=tuple(dict.fromkeys(args.precision)),
        precision_share=args.precision_share,
        reading=read_options(args),
    )
    if args.tensorrt:
        build_ahead(bundle.path, "auto", None)
    return 0


def read_options(args: argparse.Namespace) -> ReadOptions:
    """How frames are read, as given on the command line."""
    from mvloc_ros.training.datasets import ReadOptions

    place = None if args.no_cache else args.cache or default_cache_folder()
    return ReadOptions(place, args.max_unreadable)


def require_torch(verb: str) -> None:
    """Raise TrainingError with the remedy if a package of the extra `train` is missing."""
    missing = [name for name in ("torch", "onnx", "onnxscript", "tensorboard") if find_spec(name) is None]
    if missing:
        raise TrainingError(
            f"{verb} needs {', '.join(missing)}; run `make setup-dev` in a clone, or, in a ROS workspace, "
            f"`pip install {' '.join(missing)}`."
        )
