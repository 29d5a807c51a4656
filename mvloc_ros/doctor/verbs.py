# SPDX-License-Identifier: Apache-2.0
"""Command line of this package: `mvloc doctor`, `mvloc health`."""

from __future__ import annotations

import argparse
import json
import os
import re
from pathlib import Path

from mvloc_ros.arguments import positive
from mvloc_ros.errors import MvlocError


class DoctorError(MvlocError):
    """An argument of this package's verbs that cannot be used."""


def add_doctor_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `mvloc doctor`."""
    parser.description = (
        "Check this installation in one screen: software, GPU, shared memory, model bundles, and the topics of a\n"
        "running camera; each finding with a remedy. Exit code 0 without errors, 1 with."
    )
    parser.epilog = (
        "examples:\n"
        "  mvloc doctor\n"
        "  mvloc doctor --model models/demo --no-topics\n"
        "  mvloc doctor --models-folder /maps --no-topics\n"
        "  mvloc doctor --seconds 10 --json > doctor.json"
    )
    parser.add_argument("--model", type=Path, action="append", metavar="BUNDLE", help="model bundle (repeatable; "
                        "default: those in ./models)")  # fmt: skip
    parser.add_argument(
        "--models-folder", type=Path, metavar="FOLDER", help="the node's models_folder: its maps by name"
    )
    parser.add_argument("--backend", default="auto", help="backend to load them with (default: auto)")
    parser.add_argument("--seconds", type=positive, default=3.0, help="how long to listen to topics (default: 3)")
    parser.add_argument("--no-topics", action="store_true", help="do not look for a camera")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run_doctor(args: argparse.Namespace) -> int:
    """`mvloc doctor`."""
    from mvloc_ros.doctor.findings import Level, as_json, as_text, note
    from mvloc_ros.doctor.models import examine_map_folder, examine_models, find_models
    from mvloc_ros.doctor.software import examine_software, middleware_in_use
    from mvloc_ros.doctor.transport import examine_transport

    models = args.model or find_models(args.models_folder or Path("models"))
    none = [
        note("bundles", "none given and none in ./models", "name one with --model, or make one with `mvloc export`")
    ]
    middleware = middleware_in_use()
    named = {"RMW_IMPLEMENTATION": middleware.name} if middleware.name else {}
    sections = {
        "software": examine_software(middleware),
        "transport": examine_transport(environ={**os.environ, **named}),
        "models": examine_models(models, args.backend) or none,
    }
    if args.models_folder is not None:
        sections["models"] = examine_map_folder(args.models_folder) + sections["models"]
    broken = any(f.level is Level.ERROR for f in sections["software"])
    if not args.no_topics and not broken:
        from mvloc_ros.doctor.camera_topics import examine_topics

        sections["camera"] = examine_topics(args.seconds)
    print(json.dumps(as_json(sections), indent=2) if args.json else as_text(sections))
    return int(any(f.level is Level.ERROR for found in sections.values() for f in found))


def add_health_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `mvloc health`."""
    parser.description = (
        "Ask a running node for its lifecycle state. Exit code 0 only if it is active; 1 if it is in another state or\n"
        "does not answer in time. For the health check of a container or a service."
    )
    parser.epilog = "examples:\n  mvloc health\n  mvloc health --node /robot1/mvloc --deadline 3"
    parser.add_argument("--node", default="/mvloc", help="name of the node with its namespace (default: /mvloc)")
    parser.add_argument(
        "--deadline", type=positive, default=5.0, metavar="SECONDS", help="of the answer (default: %(default)s)"
    )


def run_health(args: argparse.Namespace) -> int:
    """`mvloc health`."""
    from mvloc_ros.doctor.node_state import node_state

    name = f"/{args.node.strip('/')}"
    if not re.fullmatch(r"(/[A-Za-z_][A-Za-z0-9_]*)+", name):
        raise DoctorError(f"--node {args.node!r} is no name of a node; it is like /mvloc or /robot1/mvloc.")
    state = node_state(name, args.deadline)
    if state is None:
        print(
            f"{name}: no answer within {args.deadline:g} s; it does not run, or on another ROS_DOMAIN_ID or middleware"
        )
    else:
        print(f"{name}: {state}")
    return int(state != "active")
