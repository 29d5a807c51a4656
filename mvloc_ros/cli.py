# SPDX-License-Identifier: Apache-2.0
"""`mvloc VERB`: thin; each room that has verbs describes and runs its own in a module `verbs`."""

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


@dataclass(frozen=True)
class Verb:
    """A verb and where it lives: `room.verbs.add_NAME_arguments(parser)` and `room.verbs.run_NAME(args)`."""

    words: tuple[str, ...]
    room: str
    function: str
    summary: str


VERBS = (
    Verb(("demo", "run"), "demo", "run", "render a recording, localize it live over DDS, evaluate"),
    Verb(("demo", "render"), "demo", "render", "render the synthetic room's recordings"),
    Verb(("train",), "training", "train", "train a model on a folder of posed RGB-D frames"),
    Verb(("export",), "training", "export", "turn a training run into a model bundle for the node"),
    Verb(("cache", "list"), "training.cache", "cache_list", "show the decoded frames that trainings share"),
    Verb(("cache", "clear"), "training.cache", "cache_clear", "delete decoded frames"),
    Verb(("experiment",), "experiments", "experiment", "make a table of the paper: train, evaluate, report"),
    Verb(("engine", "build"), "inference.tensorrt", "build", "build a bundle's TensorRT engine ahead of time"),
    Verb(("engine", "list"), "inference.tensorrt", "list", "what TensorRT engines are kept"),
    Verb(("engine", "clear"), "inference.tensorrt", "clear", "remove the kept TensorRT engines"),
    Verb(("map",), "mapping", "map", "build the scene map that a model's poses are refined against"),
    Verb(("calibrate",), "mapping", "calibrate", "set a model's covariances by its validation frames"),
    Verb(("bag", "from-folder"), "recordings", "from_folder", "turn a 7-Scenes or TUM folder into a rosbag2"),
    Verb(("bag", "to-dataset"), "replay.to_dataset", "to_dataset", "turn a recording into a folder to train on"),
    Verb(("bag", "info"), "replay", "info", "what a recording holds"),
    Verb(("dataset", "robotcar"), "recordings.robotcar", "robotcar", "turn Oxford RobotCar into a folder to train on"),
    Verb(("play",), "replay", "play", "publish a recording over DDS in real time"),
    Verb(("record",), "replay", "record", "store the node's outputs in a recording"),
    Verb(("replay",), "replay", "replay", "localize a recording offline, as fast as it goes, and evaluate"),
    Verb(("live",), "replay", "live", "play a recording into the node in its own process, record, evaluate"),
    Verb(("evaluate",), "replay", "evaluate", "evaluate recorded poses against a recording's ground truth"),
    Verb(("doctor",), "doctor", "doctor", "examine installation, models and camera, and say what to do"),
)
UNREAD = 141
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_GROUPS = {
    "demo": "the synthetic room",
    "bag": "recordings",
    "dataset": "published data sets",
    "cache": "decoded frames",
    "engine": "TensorRT engines",
}


def main(arguments: list[str] | None = None) -> int:
    """Run one verb.

    The exit code is 0 on success, 1 where a run gave no accepted pose, 2 after one sentence about bad input, 130 after
    Ctrl-C, and 141 where nobody reads the output any more (`mvloc ... | head`).
    """
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    logging.getLogger("mvloc_ros").setLevel(logging.INFO)
    # SIGTERM unwinds like Ctrl-C, so that half-written files and child processes are cleaned up either way.
    if threading.current_thread() is threading.main_thread():
        interrupts.unwind_once()
    name = "mvloc"
    try:
        parsed = _parser().parse_args(arguments)
        verb: Verb = parsed.verb
        name = f"mvloc {' '.join(verb.words)}"
        code: int = getattr(_verbs(verb.room), f"run_{verb.function}")(parsed)
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
    """Whether nobody reads this process's output any more; what is yet to be written then goes nowhere."""
    output, watch = sys.stdout.fileno(), select.poll()
    watch.register(output, 0)
    unread = any(event & select.POLLERR for _, event in watch.poll(0))
    if unread:
        os.dup2(os.open(os.devnull, os.O_WRONLY), output)
    return unread


def _refused(error: OSError) -> str:
    """What the system refused, where the room that asked has no better sentence."""
    if error.filename is None:
        return f"The system refused ({error.strerror or error}): check the files that were named, and the disk's space."
    remedy = "make room there" if error.errno in _NO_ROOM else "check the path and its permissions"
    return f"{error.filename} cannot be used ({error.strerror}): {remedy}."


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
        getattr(_verbs(verb.room), f"add_{verb.function}_arguments")(leaf)
    return parser


def _verbs(room: str) -> object:
    return importlib.import_module(f"mvloc_ros.{room}.verbs")


if __name__ == "__main__":
    command()
