# SPDX-License-Identifier: Apache-2.0
"""What `mvloc train` and `mvloc export` do; torch is imported only when they run."""

from __future__ import annotations

import argparse
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvloc_ros.inference.tensorrt.verbs import build_ahead
from mvloc_ros.recordings.agreement import add_force_argument
from mvloc_ros.recordings.train_test_split import TEST_FRACTION
from mvloc_ros.training.cache import default_place
from mvloc_ros.training.config import SYSTEMS, TrainingConfig
from mvloc_ros.training.errors import TrainingError
from mvloc_ros.training.options import ALLOWED_SHARE, MOST_UNREADABLE, all_options, flag, is_switch
from mvloc_ros.training.presets import PRESETS, describe, preset, read_file

if TYPE_CHECKING:
    from mvloc_ros.training.datasets import Reading

INTERRUPTED = 130

TRAIN_EXAMPLES = """examples:
  mvloc train --data recordings/kitchen --out runs/kitchen --refit
  mvloc train --data recordings/kitchen --out runs/views --turn 15 --shift 0.3 --refit --refit-epochs 12
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

The folder has the 7-Scenes or the TUM RGB-D layout. The same command again continues a run that was
interrupted, exactly. With torchrun each process takes its share of every step's frames, and a GPU of its own."""

TRAIN_EPILOG = TRAIN_EXAMPLES.format(
    systems="\n".join(f"  {name:8} {system.summary}" for name, system in SYSTEMS.items())
)

EXPORT_EXAMPLES = """examples:
  mvloc export runs/kitchen --out models/kitchen
  mvloc export runs/kitchen --out models/kitchen --checkpoint last
  mvloc export runs/kitchen --out models/kitchen --precision fp16 --precision int8"""


def add_train_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `mvloc train`: the run's, and one for each value of the configuration."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = "Train MVLoc, or a system that it is compared with, on a folder of posed RGB-D frames."
    parser.epilog = TRAIN_EPILOG
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="posed RGB-D frames")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="run folder, made or continued")
    parser.add_argument("--system", choices=list(SYSTEMS), help="see below (default: mvloc)")
    parser.add_argument(
        "--preset",
        default="small",
        metavar="NAME|FILE.yaml",
        help=f"{' or '.join(PRESETS)}, or a file of your own that begins with `base: small` (default: %(default)s)",
    )
    parser.add_argument("--list-presets", action=ListPresets, help="print the presets of all systems and end")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: %(default)s)")
    parser.add_argument(
        "--weights",
        type=Path,
        metavar="FILE",
        help="torchvision's ImageNet weights for --backbone, to start the encoders from",
    )
    parser.add_argument(
        "--timeout",
        type=float,
        default=600.0,
        metavar="SECONDS",
        help="with torchrun: give up a process that keeps the others waiting so long in a step (default: %(default)g)",
    )
    parser.add_argument("--start-from", type=Path, metavar="RUN", help="run folder of stage 1, for --stage 2")
    parser.add_argument(
        "--test-fraction",
        type=float,
        default=TEST_FRACTION,
        help="end of each recording kept for tests if the folder has no split (default: %(default)s)",
    )
    parser.add_argument(
        "--refit",
        action="store_true",
        help="afterwards train again on all training frames, the held-out ones included: twice the "
        "time; the bundle's errors and covariance stay those of the held-out frames",
    )
    parser.add_argument(
        "--refit-epochs",
        type=int,
        metavar="N",
        help="for a brief refit: start it from the best network, and go on for N epochs at a quarter of the learning "
        "rate",
    )
    parser.add_argument(
        "--test",
        action="store_true",
        help="afterwards judge on the folder's test frames, with both images and without either; also in test.json",
    )
    add_force_argument(parser)
    add_reading_arguments(parser)
    add_value_arguments(parser)


def add_value_arguments(parser: argparse.ArgumentParser) -> None:
    """One option for each value of the configuration, None where it is not given."""
    group = parser.add_argument_group("values of the preset", "each can be replaced; defaults: small, paper, of mvloc")
    for section, item in all_options():
        defaults = ", ".join(str(getattr(getattr(PRESETS[name], section), item.name)) for name in ("small", "paper"))
        text = f"{item.metadata['help']} ({defaults})"
        if is_switch(item):
            group.add_argument(flag(item.name), action=argparse.BooleanOptionalAction, default=None, help=text)
        else:
            kind, metavar = type(item.default), _metavar(item)
            group.add_argument(flag(item.name), type=kind, default=None, metavar=metavar, help=text)


class ListPresets(argparse.Action):
    """`--list-presets`: like `--version`, prints and ends, whatever else is missing on the command line."""

    def __init__(self, option_strings: list[str], dest: str, **named: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, **named)

    def __call__(self, parser: argparse.ArgumentParser, *_rest: Any) -> None:
        """Print the table."""
        print(describe())
        parser.exit()


def add_reading_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of all verbs that read frames."""
    parser.add_argument(
        "--cache",
        type=Path,
        metavar="FOLDER",
        help="where decoded frames are kept for the next run; see `mvloc cache list` "
        "(default: $MVLOC_CACHE, else mvloc_ros/datasets in $XDG_CACHE_HOME or ~/.cache)",
    )
    parser.add_argument("--no-cache", action="store_true", help="decode again, and keep the frames in memory alone")
    parser.add_argument(
        "--max-unreadable",
        type=float,
        default=MOST_UNREADABLE,
        metavar="SHARE",
        help="share of damaged frames that is left out and counted; more end the command (default: %(default)s)",
    )


def _metavar(item: Any) -> str:
    return "{" + ",".join(item.metadata["choices"]) + "}" if item.metadata["choices"] else "VALUE"


def given_values(args: argparse.Namespace) -> dict[str, Any]:
    """The values that the command line gives, by their flat names."""
    return {item.name: getattr(args, item.name) for _, item in all_options() if getattr(args, item.name) is not None}


def configuration(args: argparse.Namespace) -> TrainingConfig:
    """The preset with what the command line replaces.

    Raises:
        TrainingError: a value is out of its bounds or contradicts another.
    """
    given = given_values(args)
    if args.preset.endswith((".yaml", ".yml")):
        start = read_file(Path(args.preset), args.system)
    else:
        start = preset(args.system or "mvloc", args.preset)
    config = start.with_options(given, seed=args.seed)
    if config.stages.stage == "2":
        if args.start_from is None:
            raise TrainingError("--stage 2 needs --start-from, the run folder of a stage 1; or give --stage both.")
        if args.weights is not None:
            raise TrainingError("--stage 2 takes its weights from --start-from; leave --weights away.")
        for name in {"epochs", "learning_rate"} & given.keys():
            raise TrainingError(f"{flag(name)} is of stage 1; give {flag(f'stage2_{name}')} for stage 2.")
    elif args.start_from is not None:
        raise TrainingError("--start-from is for --stage 2 alone; give that, or leave --start-from away.")
    return config


def run_train(args: argparse.Namespace) -> int:
    """Train; 0 when finished, 130 when interrupted (the same command continues).

    Raises:
        MvlocError: the data, the values or the run folder do not serve, or torch is missing.
    """
    config = configuration(args)
    if args.timeout <= 0.0:
        raise TrainingError(f"--timeout {args.timeout:g} must be more than 0 seconds.")
    require_torch("mvloc train")
    from mvloc_ros.training.depth_range import explain_range, with_folder_depth
    from mvloc_ros.training.distributed_launch import launched
    from mvloc_ros.training.train import train

    given = given_values(args)
    config = with_folder_depth(config, args.data, given)
    try:
        with launched(args.timeout) as processes:
            if processes.is_main and (depth := explain_range(config, args.data, given)):
                print(f"{depth}.")
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
                reading=reading_of(args),
                processes=processes,
            )
    except KeyboardInterrupt:
        print(f"\nInterrupted; the same command continues the run in {args.out}.")
        return INTERRUPTED
    return 0


def add_export_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `mvloc export`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = "Turn a training run into a model bundle (ONNX and a manifest) for the node."
    parser.epilog = EXPORT_EXAMPLES
    parser.add_argument("run", type=Path, metavar="RUN", help="run folder of `mvloc train`")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="bundle, made or replaced")
    parser.add_argument(
        "--checkpoint",
        choices=("best", "last"),
        help="best on the validation frames, or last epoch (default: best; last where no frames were held out)",
    )
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="the training data, where it was moved since")
    parser.add_argument(
        "--half-weights",
        action="store_true",
        help="round the weights to float16 and store them so: half the file, the same speed",
    )
    parser.add_argument(
        "--precision",
        action="append",
        choices=("fp16", "bf16", "int8"),
        default=[],
        help="add a network of this arithmetic to the bundle, compared with float32 on the validation frames: fp16 and "
        "bf16 for GPUs, int8 for CPUs; may be repeated",
    )
    parser.add_argument(
        "--precision-share",
        type=float,
        default=ALLOWED_SHARE,
        metavar="SHARE",
        help="refuse a precision whose poses differ from float32's by more than this share of the model's median error "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--tensorrt",
        action="store_true",
        help="afterwards build the engine for this machine's GPU, as `mvloc engine build` does",
    )
    add_reading_arguments(parser)


def run_export(args: argparse.Namespace) -> int:
    """Export; 0 when the bundle stands.

    Raises:
        TrainingError: the run does not serve, ONNX Runtime disagrees with PyTorch, or torch is missing.
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
        reading=reading_of(args),
    )
    if args.tensorrt:
        build_ahead(bundle.path, "auto", None)
    return 0


def reading_of(args: argparse.Namespace) -> Reading:
    """How the command line says that frames are read."""
    from mvloc_ros.training.datasets import Reading

    place = None if args.no_cache else args.cache or default_place()
    return Reading(place, args.max_unreadable)


def require_torch(verb: str) -> None:
    """Raise TrainingError with the remedy where a package of the extra `train` is missing."""
    missing = [name for name in ("torch", "onnx", "onnxscript", "tensorboard") if find_spec(name) is None]
    if missing:
        raise TrainingError(
            f"{verb} needs {', '.join(missing)}; run `make setup-dev` in a clone, or, in a ROS workspace, "
            f"`pip install {' '.join(missing)}`."
        )
