# SPDX-License-Identifier: Apache-2.0
"""What `mvloc train` and `mvloc export` do; torch is imported only when they run."""

from __future__ import annotations

import argparse
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mvloc_ros.training.config import SYSTEMS, TrainingConfig
from mvloc_ros.training.errors import TrainingError
from mvloc_ros.training.options import all_options, flag
from mvloc_ros.training.presets import PRESETS, preset

INTERRUPTED = 130

TRAIN_EXAMPLES = """examples:
  mvloc train --data recordings/kitchen --out runs/kitchen --refit
  mvloc train --data recordings/kitchen --out runs/large --preset paper --weights resnet34.pth --device cuda
  mvloc train --data recordings/kitchen --out runs/long --epochs 200 --learning-rate 1e-3 --seed 3
  mvloc train --data recordings/kitchen --out runs/sampled --stage 2 --start-from runs/kitchen
  mvloc train --data recordings/kitchen --out runs/atloc --system atloc
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
  mvloc export runs/kitchen --out models/kitchen --checkpoint last"""


def add_train_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `mvloc train`: the run's, and one for each value of the configuration."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = "Train MVLoc, or a system that it is compared with, on a folder of posed RGB-D frames."
    parser.epilog = TRAIN_EPILOG
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="posed RGB-D frames")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="run folder, made or continued")
    parser.add_argument("--system", choices=list(SYSTEMS), default="mvloc", help="see below (default: %(default)s)")
    parser.add_argument("--preset", choices=sorted(PRESETS), default="small", help="default: %(default)s")
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
        default=0.2,
        help="end of each recording kept for tests if the folder has no split (default: %(default)s)",
    )
    parser.add_argument(
        "--refit",
        action="store_true",
        help="afterwards train again on all training frames, the held-out ones included: twice the "
        "time; the bundle's errors and covariance stay those of the held-out frames",
    )
    parser.add_argument(
        "--test",
        action="store_true",
        help="afterwards judge on the folder's test frames, with both images and without either; also in test.json",
    )
    group = parser.add_argument_group("values of the preset", "each can be replaced; defaults: small, paper, of mvloc")
    for section, item in all_options():
        defaults = ", ".join(str(getattr(getattr(PRESETS[name], section), item.name)) for name in ("small", "paper"))
        group.add_argument(
            flag(item.name),
            type=type(item.default),
            default=None,
            metavar=_metavar(item),
            help=f"{item.metadata['help']} ({defaults})",
        )


def _metavar(item: Any) -> str:
    return "{" + ",".join(item.metadata["choices"]) + "}" if item.metadata["choices"] else "VALUE"


def configuration(args: argparse.Namespace) -> TrainingConfig:
    """The preset with what the command line replaces.

    Raises:
        TrainingError: a value is out of its bounds or contradicts another.
    """
    given = {item.name: getattr(args, item.name) for _, item in all_options() if getattr(args, item.name) is not None}
    config = preset(args.system, args.preset).with_options(given, seed=args.seed)
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
        TrainingError: the data, the values or the run folder do not serve, or torch is missing.
    """
    config = configuration(args)
    if args.timeout <= 0.0:
        raise TrainingError(f"--timeout {args.timeout:g} must be more than 0 seconds.")
    require_torch("mvloc train")
    from mvloc_ros.training.launched import launched
    from mvloc_ros.training.train import train

    try:
        with launched(args.timeout) as processes:
            train(
                config,
                args.data,
                args.out,
                args.device,
                args.weights,
                args.test_fraction,
                start_from=args.start_from,
                refit=args.refit,
                test=args.test,
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
        default="best",
        help="best on the validation frames, or last epoch (default: %(default)s)",
    )
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="the training data, where it was moved since")
    parser.add_argument(
        "--half-weights",
        action="store_true",
        help="round the weights to float16 and store them so: half the file, the same speed",
    )


def run_export(args: argparse.Namespace) -> int:
    """Export; 0 when the bundle stands.

    Raises:
        TrainingError: the run does not serve, ONNX Runtime disagrees with PyTorch, or torch is missing.
    """
    require_torch("mvloc export")
    from mvloc_ros.training.export import export

    export(args.run, args.out, args.checkpoint, args.data, half_weights=args.half_weights)
    return 0


def require_torch(verb: str) -> None:
    """Raise TrainingError with the remedy where a package of the extra `train` is missing."""
    missing = [name for name in ("torch", "onnx", "onnxscript", "tensorboard") if find_spec(name) is None]
    if missing:
        raise TrainingError(f"{verb} needs {', '.join(missing)}; run: pip install 'mvloc_ros[train]'.")
