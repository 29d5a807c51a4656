# SPDX-License-Identifier: Apache-2.0
"""The node's parameters on the command lines of runs that are evaluated: a file, single values, and short flags."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mvloc_ros.parameters.checks import fault_of, out_of_bounds
from mvloc_ros.parameters.declaration import Declaration
from mvloc_ros.parameters.table import TABLE, NodeParameters
from mvloc_ros.replay.evaluated_parameters import OVERRIDES, evaluated

FLAGS: Mapping[str, str] = {
    "--backend": "backend",
    "--threads": "threads",
    "--precision": "precision",
    "--sync-tolerance": "pair_tolerance",
    "--refine": "refine",
    "--refine-budget": "refine_budget_ms",
    "--depth-unit-m": "depth_unit_m",
    "--rescale-input": "rescale_input",
}
"""Flag of `mvloc replay` -> the parameter that it sets."""


def add_parameter_arguments(parser: argparse.ArgumentParser) -> None:
    """`--params-file` and `--parameter`."""
    group = parser.add_argument_group(
        "parameters of the node", f"By default the node's own, but for {', '.join(OVERRIDES)}."
    )
    group.add_argument("--params-file", type=Path, metavar="YAML", help="ROS parameter file, as config/mvloc.yaml is")
    group.add_argument(
        "--parameter", action="append", default=[], metavar="NAME:=VALUE", help="a single parameter (repeatable)"
    )


def add_sensor_argument(parser: argparse.ArgumentParser) -> None:
    """`--sensor`."""
    parser.add_argument(
        "--sensor",
        action="append",
        default=[],
        metavar="NAME:=TOPIC",
        help="topic of one of the model's further sensors (repeatable; default: that of recordings that `mvloc bag "
        "from-folder` writes, /camera/NAME/image_raw)",
    )


def sensor_overrides(args: argparse.Namespace) -> tuple[str, ...]:
    """The `--sensor` arguments as a single parameter; none where there are none."""
    return (f"sensor_topics:={' '.join(args.sensor)}",) if args.sensor else ()


def add_parameter_flags(parser: argparse.ArgumentParser) -> None:
    """A flag for each of `FLAGS`, with the declaration's type, default and text."""
    for flag, name in FLAGS.items():
        declaration = TABLE[name]
        if isinstance(declaration.default, bool):
            parser.add_argument(flag, action="store_true", default=None, help=_help(declaration))
            continue
        parser.add_argument(
            flag,
            type=_reader(declaration),
            choices=declaration.choices or None,
            metavar=None if declaration.choices else (declaration.unit or "N").upper().replace(" ", "_"),
            help=f"{_help(declaration)} (default: {declaration.default})",
        )


def parameters_of(args: argparse.Namespace) -> NodeParameters:
    """What the arguments say; single parameters win over the flags, and these over the file.

    Raises:
        ParameterError: a name is unknown, or a value cannot be used.
    """
    flags = {name: vars(args).get(flag.lstrip("-").replace("-", "_")) for flag, name in FLAGS.items()}
    values = evaluated(file=args.params_file).having(
        {name: value for name, value in flags.items() if value is not None}
    )
    return evaluated((*sensor_overrides(args), *args.parameter), base=values)


def _reader(declaration: Declaration) -> Callable[[str], Any]:
    """Reads a value, and says what it must be where it cannot be used; argparse itself looks at choices."""

    def read(text: str) -> Any:
        try:
            value = type(declaration.default)(text)
        except ValueError:
            value = None
        if value is None or (not declaration.choices and fault_of(declaration, value)):
            sentence = out_of_bounds(declaration, text)
            raise argparse.ArgumentTypeError(sentence.removeprefix(f"The parameter {declaration.name} ").rstrip("."))
        return value

    return read


def _help(declaration: Declaration) -> str:
    return f"{declaration.text}; the parameter {declaration.name}".replace("`", "").replace("%", "%%")
