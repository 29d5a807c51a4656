# SPDX-License-Identifier: Apache-2.0
"""How many refined poses a second the node gives of a VGA camera, and how old: frames one after another, or overlapped.

    python -m bench.refined_rate --rate 30 --rounds 3 --seconds 15

The node with the demo's model and scene map, a camera of its room and odometry, over DDS. By turns the node may have
two frames in work (the network runs on the next one while a pose is refined) or is held to one. Ages are from an
image's stamp to the middleware's own time of the publication of its pose. Figures are of all rounds of a kind; CPU is
the node's own, of all its threads. `--executors` compares the executors of the node instead. Where other programs have
the cores, give the refinement a budget that does not end it: `--parameters refine_budget_ms:=1000.0`.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import rclpy

from bench.domain import isolate
from bench.harness.child_process import NODE
from bench.harness.node_with_overlap import ONE_BY_ONE, OVERLAPPED
from bench.latency.processes import cost_of
from bench.live_node import RobotNode, RunningNode
from bench.timing import print_table
from mvloc_ros.demo.demo_run import shipped_model

_WITH_OVERLAP = ("-m", "bench.harness.node_with_overlap")
_LEAD_S = 3.0
_STEPS = ("decode_ms", "wait_ms", "preprocess_ms", "inference_ms", "refinement_ms", "verification_ms", "publish_ms")


class Round:
    """One node process at one rate."""

    def __init__(self, model: Path, rate_hz: float, seconds: float, program: tuple[str, ...], *values: str) -> None:
        """Run it."""
        running = RunningNode(model, ("publish_frame:=odom", *values), "required", program)
        with running as node, RobotNode(rate_hz) as robot:
            robot.wait_until_heard()
            robot.start_camera()
            robot.wait_for(lambda: robot.pose_count > 0, 60.0)
            time.sleep(_LEAD_S)
            assert robot.status is not None
            began, busy, cpu = time.monotonic(), robot.status, cost_of(node.pid).cpu_s
            sent, skipped = robot.sent["color"], robot.skipped
            time.sleep(seconds)
            self.seconds = time.monotonic() - began
            self.cpu_s = cost_of(node.pid).cpu_s - cpu
            self.sent, self.skipped = robot.sent["color"] - sent, robot.skipped - skipped
            heard = [pose for pose in robot.heard if pose.arrived_s >= began]
            self.poses = len(heard)
            self.ages_ms = [pose.age_ms for pose in heard]
            found = [status for at, status in robot.statuses if at >= began and status.inference_ms > 0.0]
            self.steps = [[getattr(status, name) for name in _STEPS] for status in found]
            self.whole_ms = [status.callback_to_publication_ms for status in found]
            self.replaced = robot.status.dropped_busy - busy.dropped_busy
            self.rejected = robot.status.rejected - busy.rejected
            self.failed = robot.status.dropped_failed - busy.dropped_failed
            robot.pause_camera()


def figures(rounds: list[Round]) -> dict[str, Any]:
    """Of all rounds of a kind; raises SystemExit where there was no pose."""
    if not all(one.poses and one.steps for one in rounds):
        raise SystemExit("a round gave no pose, so there is nothing to compare; give more --seconds")
    ages = np.concatenate([one.ages_ms for one in rounds])
    steps = np.concatenate([one.steps for one in rounds])
    whole = np.concatenate([one.whole_ms for one in rounds])
    poses, seconds = sum(one.poses for one in rounds), sum(one.seconds for one in rounds)
    return {
        "sent_hz": round(sum(one.sent for one in rounds) / seconds, 1),
        "poses_hz": round(poses / seconds, 1),
        "age_median_ms": round(float(np.median(ages)), 1),
        "age_p99_ms": round(float(np.percentile(ages, 99)), 1),
        "cpu_ms_a_pose": round(1e3 * sum(one.cpu_s for one in rounds) / poses, 1),
        "replaced": sum(one.replaced for one in rounds),
        "rejected": sum(one.rejected for one in rounds),
        "failed": sum(one.failed for one in rounds),
        "skipped_by_the_camera": sum(one.skipped for one in rounds),
        "overhead_median_ms": round(float(np.median(whole - steps[:, 3:6].sum(axis=1))), 2),
        "steps_median_ms": {
            name: round(float(value), 2) for name, value in zip(_STEPS, np.median(steps, axis=0), strict=True)
        },
    }


def main() -> None:
    """Measure in turns and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=None, help="bundle with a scene map (default: models/demo)")
    parser.add_argument("--rate", type=float, default=30.0, help="of the camera in Hz (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="of each kind (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=15.0, help="of each round (default: %(default)s)")
    parser.add_argument("--executors", action="store_true", help="compare the node's executors")
    parser.add_argument("--parameters", nargs="*", default=[], metavar="NAME:=VALUE", help="of the node")
    args = parser.parse_args()
    if args.rate <= 0.0 or args.rounds < 1 or args.seconds <= 0.0:
        parser.error("--rate and --seconds must be more than 0, --rounds at least 1")
    model = args.model or shipped_model()
    kinds: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
        "one by one": ((*_WITH_OVERLAP, ONE_BY_ONE), ()),
        "overlapped": ((*_WITH_OVERLAP, OVERLAPPED), ()),
    }
    if args.executors:
        kinds = {name: (NODE, (f"executor:={name}",)) for name in ("single_threaded", "events")}
    isolate()
    rclpy.init(args=[])  # what the node is given is not for this process
    done: dict[str, list[Round]] = {name: [] for name in kinds}
    try:
        for _ in range(args.rounds):
            for name, (program, values) in kinds.items():
                done[name].append(Round(model, args.rate, args.seconds, program, *values, *args.parameters))
    finally:
        rclpy.shutdown()
    report = {name: figures(rounds) for name, rounds in done.items()}
    columns = [key for key in next(iter(report.values())) if key != "steps_median_ms"]
    print_table(("", "", *columns), [(name, "", *(found[key] for key in columns)) for name, found in report.items()])
    print(json.dumps({"load_average": [round(value, 1) for value in os.getloadavg()], **report}, indent=1))


if __name__ == "__main__":
    main()
