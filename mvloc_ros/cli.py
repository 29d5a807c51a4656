# SPDX-License-Identifier: Apache-2.0
"""`mvloc VERB`: each package that has verbs describes and runs them in its module `verbs`."""

from __future__ import annotations

import argparse
import errno
import importlib
import logging
import os
import select
import sys
import threading
from dataclasses import dataclass
from typing import NoReturn

from mvloc_ros import __version__, children, interrupts
from mvloc_ros.errors import MvlocError
from mvloc_ros.foreign_text import shown
from mvloc_ros.limits import MOST_ERROR_CHARACTERS


@dataclass(frozen=True)
class Verb:
    """A verb and where it is: `PACKAGE.verbs.add_NAME_arguments(parser)` and `PACKAGE.verbs.run_NAME(args)`."""

    words: tuple[str, ...]
    package: str
    function: str
    summary: str


VERBS = (
    Verb(("demo", "run"), "demo", "run", "render a recording, localize it live over DDS, evaluate"),
    Verb(("demo", "render"), "demo", "render", "render the synthetic room's recordings"),
    Verb(("learn",), "learn", "learn", "recordings of a place to a bundle, its evaluation and a report: all in one"),
    Verb(("pose",), "posing", "pose", "find the poses of recordings that have none"),
    Verb(("train",), "training", "train", "train a model on a folder of posed RGB-D frames"),
    Verb(("export",), "training", "export", "turn a training run into a model bundle for the node"),
    Verb(("cache", "list"), "training.cache", "cache_list", "show the decoded frames that trainings share"),
    Verb(("cache", "clear"), "training.cache", "cache_clear", "delete decoded frames"),
    Verb(("experiment",), "experiments", "experiment", "make a table of the paper: train, evaluate, report"),
    Verb(("engine", "build"), "backends.tensorrt", "build", "build a bundle's TensorRT engine ahead of time"),
    Verb(("engine", "list"), "backends.tensorrt", "list", "list the cached TensorRT engines"),
    Verb(("engine", "clear"), "backends.tensorrt", "clear", "remove the cached TensorRT engines"),
    Verb(("map",), "mapping", "map", "build the scene map that a model's poses are refined against"),
    Verb(("grid",), "mapping", "grid", "make an occupancy grid for Nav2 from a model's scene map"),
    Verb(("view",), "view", "view", "draw a model's scene map: from above, from its path, and as a page in 3D"),
    Verb(("calibrate",), "mapping", "calibrate", "set a model's covariances by its validation frames"),
    Verb(("bag", "from-folder"), "recordings", "from_folder", "turn a 7-Scenes or TUM folder into a rosbag2"),
    Verb(("bag", "to-dataset"), "recordings.to_dataset", "to_dataset", "turn a recording into a folder to train on"),
    Verb(("bag", "info"), "recordings", "info", "what a recording holds"),
    Verb(("dataset", "robotcar"), "recordings.robotcar", "robotcar", "turn Oxford RobotCar into a folder to train on"),
    Verb(("play",), "replay", "play", "publish a recording over DDS in real time"),
    Verb(("record",), "replay", "record", "store the node's outputs in a recording"),
    Verb(("replay",), "replay", "replay", "localize a recording offline, as fast as it goes, and evaluate"),
    Verb(("live",), "replay", "live", "play a recording into the node in its own process, record, evaluate"),
    Verb(("evaluate",), "replay", "evaluate", "evaluate recorded poses against a recording's ground truth"),
    Verb(("doctor",), "doctor", "doctor", "check installation, models and camera, and say what to do"),
    Verb(("health",), "doctor", "health", "exit with 0 if the node is active, for health checks"),
)
UNREAD = 141
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_GROUPS = {
    "demo": "the synthetic room",
    "bag": "recordings",
    "dataset": "published data sets",
    "cache": "decoded frames",
    "engine": "TensorRT engines",
}


class OneLineFormatter(logging.Formatter):
    """Writes each message in one line: file names and other text from outside cannot act on the terminal."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: D102 (the name of the base class)
        record.message = shown(record.message, MOST_ERROR_CHARACTERS)
        return super().formatMessage(record)


def main(arguments: list[str] | None = None) -> int:
    """Run one verb.

    The exit code is 0 on success, 1 where a run gave no accepted pose, 2 after one sentence about bad input, 130 after
    Ctrl-C, and 141 where the output is no longer read (`mvloc ... | head`).
    """
    handler = logging.StreamHandler()
    handler.setFormatter(OneLineFormatter("%(levelname)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("mvloc_ros").setLevel(logging.INFO)
    # SIGTERM unwinds like Ctrl-C, so that half-written files and child processes are cleaned up either way.
    if threading.current_thread() is threading.main_thread():
        interrupts.unwind_once()
    name = "mvloc"
    try:
        parsed = _parser().parse_args(arguments)
        verb: Verb = parsed.verb
        name = f"mvloc {' '.join(verb.words)}"
        code: int = getattr(_verbs(verb.package), f"run_{verb.function}")(parsed)
        return code
    except MvlocError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        if isinstance(error, BrokenPipeError) and _is_unread():
            return UNREAD
        print(f"{name}: {_refused(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\n{name}: interrupted", file=sys.stderr)
        return interrupts.EXIT_CODE


def command() -> NoReturn:
    """Run one verb as the whole of this process."""
    children.protect_children()
    try:
        code = main()
    finally:
        interrupts.ignore()
    sys.exit(code)


def _is_unread() -> bool:
    """Whether this process's output is no longer read; further output is then discarded."""
    output, watch = sys.stdout.fileno(), select.poll()
    watch.register(output, 0)
    unread = any(event & select.POLLERR for _, event in watch.poll(0))
    if unread:
        os.dup2(os.open(os.devnull, os.O_WRONLY), output)
    return unread


def _refused(error: OSError) -> str:
    """What the system refused, where the code that asked has no better sentence."""
    if error.filename is None:
        reason = error.strerror or str(error)
        return shown(
            f"The system refused an operation ({reason}): check the files that were given, and the disk's space.",
            MOST_ERROR_CHARACTERS,
        )
    remedy = "free disk space there" if error.errno in _DISK_FULL else "check the path and its permissions"
    return shown(f"{error.filename} cannot be used ({error.strerror}): {remedy}.", MOST_ERROR_CHARACTERS)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mvloc",
        description="Camera localization from colour and depth: train, export, replay, evaluate.",
        epilog="`mvloc VERB --help` explains a verb with examples.",
    )
    parser.add_argument("--version", action="version", version=f"mvloc_ros {__version__}")
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    groups = {}
    for verb in VERBS:
        parent = verbs
        if len(verb.words) == 2:
            group = verb.words[0]
            if group not in groups:
                branch = verbs.add_parser(group, help=_GROUPS[group], description=_GROUPS[group])
                groups[group] = branch.add_subparsers(metavar="VERB", required=True)
            parent = groups[group]
        leaf = parent.add_parser(
            verb.words[-1],
            help=verb.summary,
            description=verb.summary,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        leaf.set_defaults(verb=verb)
        getattr(_verbs(verb.package), f"add_{verb.function}_arguments")(leaf)
    return parser


def _verbs(package: str) -> object:
    return importlib.import_module(f"mvloc_ros.{package}.verbs")


if __name__ == "__main__":
    command()
