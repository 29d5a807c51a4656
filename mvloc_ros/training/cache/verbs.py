# SPDX-License-Identifier: Apache-2.0
"""What `mvloc cache list` and `mvloc cache clear` do."""

from __future__ import annotations

import argparse
from pathlib import Path

from mvloc_ros.training.cache.cache_folder import Entry, clear, default_place, entries
from mvloc_ros.training.errors import TrainingError


def add_cache_list_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `mvloc cache list`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = "Show the decoded frames that `mvloc train` and `mvloc export` keep, with their sizes."
    parser.epilog = "example:\n  mvloc cache list"
    _add_place(parser)


def run_cache_list(args: argparse.Namespace) -> int:
    """`mvloc cache list`."""
    place = args.cache or default_place()
    found = entries(place)
    for entry in found:
        print(f"{entry.name:32}  {entry.bytes / 1e6:9.1f} MB  {_what(entry)}")
    print(f"{len(found)} in {place}, {sum(entry.bytes for entry in found) / 1e6:.1f} MB")
    return 0


def add_cache_clear_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `mvloc cache clear`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = "Delete decoded frames; the next training decodes them again. Running trainings go on."
    parser.epilog = "examples:\n  mvloc cache clear\n  mvloc cache clear 0123456789abcdef0123456789abcdef"
    parser.add_argument("names", nargs="*", metavar="NAME", help="as `mvloc cache list` shows them (default: all)")
    _add_place(parser)


def run_cache_clear(args: argparse.Namespace) -> int:
    """`mvloc cache clear`.

    Raises:
        TrainingError: there is no cache of a name, or the folder cannot be written.
    """
    place = args.cache or default_place()
    known = {entry.name for entry in entries(place)}
    if unknown := [name for name in args.names if name not in known]:
        raise TrainingError(f"There is no {unknown[0]!r} in {place}; `mvloc cache list` shows what there is.")
    try:
        freed, busy = clear(place, args.names)
    except OSError as error:
        raise TrainingError(f"The cache folder {place} cannot be cleared ({error.strerror}).") from error
    print(f"{freed / 1e6:.1f} MB freed in {place}")
    for name in busy:
        print(f"{name} stays: a process is making it")
    return 0


def _add_place(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--cache", type=Path, metavar="FOLDER", help="as for `mvloc train` (default: the same)")


def _what(entry: Entry) -> str:
    try:
        width, height = entry.notes["size"]
        return f"{entry.notes['frames']} {entry.notes['label']} frames, {width}x{height}, of {entry.notes['source']}"
    except (KeyError, TypeError, ValueError):
        return "damaged or interrupted"
