# SPDX-License-Identifier: Apache-2.0
"""How long after its start a node gives its first pose, and how much memory it then has.

    python -m bench.startup --runs 5
    python -m bench.startup --model models/demo --runs 5

A camera sends pairs at 30 Hz before the node is started. Without --model, bundles of both presets with random weights
are used. The first run is a warm-up, so that files are in the machine's cache. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.domain import isolate
from bench.latency.case import listening, ros
from bench.latency.processes import cost_of, mvloc_node, running
from bench.random_bundle import make_random_model
from mvloc_ros.model.bundle import read_bundle

RATE_HZ = 30.0
FIRST_POSE_S = 120.0
SETTLE_S = 2.0


def first_pose(bundle: Path) -> dict[str, float]:
    """Seconds from the start of the process to the publication of its first pose, and MB a little later."""
    contestant = mvloc_node(bundle)
    with listening(contestant.pose_topic) as listener:
        started_ns = time.time_ns()
        with running(*contestant.command) as node:
            deadline = time.monotonic() + FIRST_POSE_S
            while not listener.poses:
                if node.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"no pose within {FIRST_POSE_S:g} s")
                time.sleep(0.005)
            time.sleep(SETTLE_S)
            cost = cost_of(node.pid)
    return {
        "seconds": round(1e-9 * (listener.poses[0].published_ns - started_ns), 3),
        "resident_mb": round(cost.resident_mb, 1),
        "peak_resident_mb": round(cost.peak_mb, 1),
    }


def measure(bundle: Path, runs: int) -> dict[str, Any]:
    """Several starts of one model, with a camera that sends what it was trained on."""
    camera = read_bundle(bundle).manifest.color_camera
    size = ("--width", str(camera.width), "--height", str(camera.height))
    with tempfile.TemporaryDirectory() as scratch:
        rest = ("--rate", str(RATE_HZ), "--seconds", "3600", "--stamps", f"{scratch}/stamps.json", "--no-wait")
        with running("-m", "bench.latency.camera", *size, *rest):
            found = [first_pose(bundle) for _ in range(1 + runs)][1:]
    return {"median_s": statistics.median(run["seconds"] for run in found), "runs": found}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="bundle (default: both presets with random weights)")
    parser.add_argument("--runs", type=int, default=5, help="of each (default: %(default)s)")
    parser.add_argument("--smoke", action="store_true", help="a tiny network, once: does it work?")
    args = parser.parse_args()
    isolate()
    with tempfile.TemporaryDirectory() as scratch, ros():
        if args.model is not None:
            bundles = {args.model.name: args.model.resolve()}
        else:
            presets = ("small",) if args.smoke else ("small", "paper")
            models = {name: make_random_model(name, Path(scratch), (), smoke=args.smoke) for name in presets}
            bundles = {name: model.bundle.path for name, model in models.items()}
        report = {name: measure(path, 1 if args.smoke else args.runs) for name, path in bundles.items()}
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
