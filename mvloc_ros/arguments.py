# SPDX-License-Identifier: Apache-2.0
"""Options that several verbs have, and types of numbers that must lie in a range (`type=` of argparse)."""

from __future__ import annotations

import argparse
import math
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


def finite(text: str) -> float:
    """A finite number."""
    return _number(text)


def positive(text: str) -> float:
    """A finite number above 0."""
    value = _number(text)
    if value <= 0.0:
        raise argparse.ArgumentTypeError(f"must be more than 0, not {text}")
    return value


def not_negative(text: str) -> float:
    """A finite number of at least 0."""
    value = _number(text)
    if value < 0.0:
        raise argparse.ArgumentTypeError(f"must be at least 0, not {text}")
    return value


def count(text: str) -> int:
    """A whole number of at least 0."""
    value = not_negative(text)
    if value != int(value):
        raise argparse.ArgumentTypeError(f"must be a whole number, not {text}")
    return int(value)


def positive_count(text: str) -> int:
    """A whole number of at least 1."""
    positive(text)
    return count(text)


def options_of(kind: type[T], args: argparse.Namespace, **given: Any) -> T:
    """A dataclass of options: `given`, and each other field from the argument of the same name, if there is one."""
    named = {item.name for item in fields(kind)} & vars(args).keys()  # type: ignore[arg-type]
    return kind(**{name: getattr(args, name) for name in named - given.keys()}, **given)


def add_test_fraction(parser: argparse.ArgumentParser, default: float) -> None:
    """`--test-fraction` of the verbs that open a folder of posed frames."""
    parser.add_argument(
        "--test-fraction",
        type=float,
        default=default,
        metavar="SHARE",
        help="test frames: this share at the end of each sequence, if the folder defines no split (default: "
        "%(default)s)",
    )


def add_folders(parser: argparse.ArgumentParser, meaning: str, *, required: bool) -> None:
    """`--data` of the verbs that take several folders of one place as one."""
    parser.add_argument(
        "--data",
        type=Path,
        action="append",
        required=required,
        metavar="FOLDER",
        help=f"{meaning}; given again, further folders of the same place, in the same map frame and by the same "
        "cameras, which are used as one",
    )


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a number, not {text!r}") from None
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"must be a finite number, not {text}")
    return value
