# SPDX-License-Identifier: Apache-2.0
"""Does anything stay behind when the node is configured, activated, deactivated and cleaned up, again and again?

    python -m bench.cycles --cycles 100

One node process; in each cycle the camera films until a pose comes, so that subscriptions, worker and model are used.
Looks at the process after each cleanup: memory, threads, open files, segments of shared memory. Memory is compared by
its smallest values in the first and the last third, since the C library keeps now this, now that freed page. Prints one
JSON object; exit code 1 if threads, files or segments grew after the first ten cycles, or memory by more than 2 %.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import rclpy
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.signals import SignalHandlerOptions
from tqdm import tqdm

from bench.domain import isolate
from bench.live_node import ROOT, RobotNode, RunningNode
from bench.resources import MIB, Holding, growth_of_floor, look

CYCLE = (
    Transition.TRANSITION_CONFIGURE,
    Transition.TRANSITION_ACTIVATE,
    Transition.TRANSITION_DEACTIVATE,
    Transition.TRANSITION_CLEANUP,
)
WARM_UP = 10
FLAT = 0.02


def cycle(robot: RobotNode, change: Any) -> None:
    """Once through all states, with a pose in between."""
    for transition in CYCLE:
        request = ChangeState.Request()
        request.transition.id = transition
        if not robot.call(change, request).success:
            raise SystemExit(f"transition {transition} failed")
        if transition == Transition.TRANSITION_ACTIVATE:
            before = robot.pose_count
            robot.start_camera()
            robot.wait_for(lambda n=before: robot.pose_count > n, 20.0)
            robot.pause_camera()


def judge(held: list[Holding]) -> dict[str, Any]:
    """Growth after the warm-up: of counts from the first look to the last, of memory as `growth_of_floor`."""
    rest = held[WARM_UP:]
    third = len(rest) // 3
    counts = {name: getattr(rest[-1], name) - getattr(rest[0], name) for name in ("threads", "files", "segments")}
    memory = {name: [getattr(h, name) for h in rest] for name in ("rss", "uss", "anonymous")}
    floors = {name: [min(values[:third]), min(values[-third:])] for name, values in memory.items()}
    return {
        "cycles": len(held),
        "warm_up_cycles": WARM_UP,
        "growth_of_counts": counts,
        "growth_of_memory": {name: round(growth_of_floor(values), 5) for name, values in memory.items()},
        "floor_mib": {name: [round(v / MIB, 2) for v in pair] for name, pair in floors.items()},
        "last": held[-1].as_row(),
    }


def main(arguments: list[str] | None = None) -> int:
    """Run once and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cycles", type=int, default=100)
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "demo", help="bundle (default: models/demo)")
    parser.add_argument("-p", dest="parameters", action="append", default=[], metavar="NAME:=VALUE", help="of the node")
    parser.add_argument("--out", type=Path, help="where the looks go, as JSON")
    args = parser.parse_args(arguments)
    if args.cycles < 2 * WARM_UP:
        parser.error(f"--cycles must be at least {2 * WARM_UP}")
    isolate()
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)  # Ctrl-C reaches this thread, which ends the node
    held = []
    started = time.monotonic()
    try:
        with RunningNode(args.model, ["autostart:=false", *args.parameters]) as node, RobotNode(30.0) as robot:
            change: Any = robot.create_client(ChangeState, "mvloc/change_state")
            for _ in tqdm(range(args.cycles), desc="cycles", mininterval=5):
                cycle(robot, change)
                held.append(look(node.pid))
            seconds = time.monotonic() - started
            exit_code = node.end()
    finally:
        rclpy.try_shutdown()
    verdict = judge(held) | {"seconds": round(seconds, 1), "exit_code": exit_code}
    print(json.dumps(verdict, indent=1))
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(verdict | {"looks": [h.as_row() for h in held]}, indent=1))
    grown = any(value > 0 for value in verdict["growth_of_counts"].values())
    return int(grown or verdict["growth_of_memory"]["rss"] > FLAT or exit_code != 0)


if __name__ == "__main__":
    sys.exit(main())
