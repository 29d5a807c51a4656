# SPDX-License-Identifier: Apache-2.0
"""Command line of this package: `mvloc cache list` and `mvloc cache clear`."""

from __future__ import annotations

import argparse
from pathlib import Path

from mvloc_ros.training.cache.cache_folder import Entry, clear, default_cache_folder, entries
from mvloc_ros.training.errors import TrainingError


def add_cache_list_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `mvloc cache list`."""
    parser.description = "List the cached decoded frames of `mvloc train` and `mvloc export`, with their sizes."
    parser.epilog = "example:\n  mvloc cache list"
    _add_cache(parser)


def run_cache_list(args: argparse.Namespace) -> int:
    """`mvloc cache list`."""
    cache: Path = args.cache or default_cache_folder()
    found = entries(cache)
    for entry in found:
        print(f"{entry.name:32}  {entry.bytes / 1e6:9.1f} MB  {_what(entry)}")
    print(f"{len(found)} in {cache}, {sum(entry.bytes for entry in found) / 1e6:.1f} MB")
    return 0


def add_cache_clear_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `mvloc cache clear`."""
    parser.description = (
        "Delete cached decoded frames; the next training decodes them again. Running trainings are not affected."
    )
    parser.epilog = "examples:\n  mvloc cache clear\n  mvloc cache clear 0123456789abcdef0123456789abcdef"
    parser.add_argument("names", nargs="*", metavar="NAME", help="as shown by `mvloc cache list` (default: all)")
    _add_cache(parser)


def run_cache_clear(args: argparse.Namespace) -> int:
    """`mvloc cache clear`.

    Raises:
        TrainingError: there is no entry of that name, or the folder cannot be written.
    """
    cache: Path = args.cache or default_cache_folder()
    known = {entry.name for entry in entries(cache)}
    if unknown := [name for name in args.names if name not in known]:
        raise TrainingError(f"There is no {unknown[0]!r} in {cache}; `mvloc cache list` shows the names.")
    try:
        freed, busy = clear(cache, args.names)
    except OSError as error:
        raise TrainingError(f"The cache folder {cache} cannot be cleared ({error.strerror}).") from error
    print(f"{freed / 1e6:.1f} MB freed in {cache}")
    for name in busy:
        print(f"{name} is kept: a process is building it")
    return 0


def _add_cache(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--cache", type=Path, metavar="FOLDER", help="as for `mvloc train` (default: the same)")


def _what(entry: Entry) -> str:
    try:
        width, height = entry.notes["size"]
        return f"{entry.notes['frames']} {entry.notes['label']} frames, {width}x{height}, of {entry.notes['source']}"
    except (KeyError, TypeError, ValueError):
        return "damaged or interrupted"
