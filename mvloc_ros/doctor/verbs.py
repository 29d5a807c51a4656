# SPDX-License-Identifier: Apache-2.0
"""Command line of this package: `mvloc doctor`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from mvloc_ros.arguments import positive


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
    from mvloc_ros.doctor.software import examine_software
    from mvloc_ros.doctor.transport import examine_transport

    models = args.model or find_models(args.models_folder or Path("models"))
    none = [
        note("bundles", "none given and none in ./models", "name one with --model, or make one with `mvloc export`")
    ]
    sections = {
        "software": examine_software(),
        "transport": examine_transport(),
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
