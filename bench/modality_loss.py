# SPDX-License-Identifier: Apache-2.0
"""How long does a robot wait for a pose when its depth camera (or its colour camera) falls silent at full rate?

    python -m bench.modality_loss --repetitions 12

Plays VGA colour and depth at 30 Hz with odometry, stops one topic, and takes the time from the last pose of both images
to the next pose; then lets the topic return and takes the time to the first pose of both. What is allowed is
`single_modality_wait` and 200 ms; poses that cannot be verified are accepted at once (`unverified_after` of 0). Looks
also at how far accepted poses step: the robot stands. Prints one JSON object; exit code 1 if a pose came too late, if
the status did not name the topic, or if a step was larger than the gate allows.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from pathlib import Path
from typing import Any

import rclpy
from geometry_msgs.msg import PoseStamped
from mvloc_ros.msg import LocalizationStatus
from rclpy.signals import SignalHandlerOptions

from bench.accounts import account
from bench.domain import isolate
from bench.live_node import ROOT, RobotNode, RunningNode

ALLOWED_S = 0.2
LARGEST_STEP_M = 2.0  # gate_max_jump
WORDS = {"color": "colour", "depth": "depth"}


def lose(robot: RobotNode, topic: str, wait_s: float) -> dict[str, Any]:
    """One repetition: the topic stops, its absence is answered, it returns."""
    pairs_before = robot.status.pairs if robot.status else 0
    robot.wait_for(lambda: robot.status is not None and robot.status.pairs > pairs_before + 45, 30.0)
    robot.wait_for(lambda: _last(robot).state == LocalizationStatus.TRACKING, 30.0)
    robot.silent.add(topic)
    singles = _last(robot).single_modality
    robot.wait_for(lambda: _last(robot).single_modality > singles and _last(robot).pose_valid, wait_s + 10.0)
    time.sleep(0.5)  # some more of them
    alone, both, last = _moments(robot, topic)
    frames_alone = _last(robot).single_modality - singles
    returned = time.monotonic()
    robot.silent.discard(topic)
    robot.wait_for(lambda: _moments(robot, topic, returned)[1] is not None, 10.0)
    again = _moments(robot, topic, returned)[1]
    assert alone is not None
    assert both is not None
    assert again is not None
    first = alone[1]
    return {
        "gap_ms": round(1e3 * (alone[0] - both), 1),
        "back_ms": round(1e3 * (again - returned), 1),
        "frames_alone": frames_alone,
        "named": first.state == LocalizationStatus.DEGRADED and WORDS[topic] in first.reason,
        "reason": first.reason,
        "arrival_of_last_status": round(last - both, 3),
    }


def _last(robot: RobotNode) -> LocalizationStatus:
    assert robot.status is not None
    return robot.status


def _moments(
    robot: RobotNode, topic: str, since: float = 0.0
) -> tuple[tuple[float, LocalizationStatus] | None, float | None, float]:
    """The first pose without the topic after the last with both; when the last (since then: the first) of both came."""
    statuses = [(at, s) for at, s in list(robot.statuses) if s.pose_valid and at >= since]
    both = [at for at, s in statuses if s.color_used and s.depth_used]
    if since:
        return None, both[0] if both else None, 0.0
    used = "depth_used" if topic == "depth" else "color_used"
    alone = next(((at, s) for at, s in statuses if at > both[-1] and not getattr(s, used)), None)
    return alone, both[-1], statuses[-1][0]


def largest_step(poses: list[PoseStamped]) -> float:
    """Metres between neighbours."""
    points = [(p.pose.position.x, p.pose.position.y, p.pose.position.z) for p in poses]
    return max(map(math.dist, points[:-1], points[1:]), default=0.0)


def main(arguments: list[str] | None = None) -> int:
    """Run once and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=12)
    parser.add_argument("--topic", choices=("depth", "color"), default="depth", help="which falls silent")
    parser.add_argument("--wait", type=float, default=0.5, help="single_modality_wait in s (default: 0.5)")
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "demo", help="bundle (default: models/demo)")
    parser.add_argument("-p", dest="parameters", action="append", default=[], metavar="NAME:=VALUE", help="of the node")
    args = parser.parse_args(arguments)
    isolate()
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)  # Ctrl-C reaches this thread, which ends the node
    runs, steps = [], [0.0]
    try:
        parameters = [f"single_modality_wait:={args.wait}", "unverified_after:=0.0", *args.parameters]
        with RunningNode(args.model, parameters) as node, RobotNode(30.0) as robot:
            robot.wait_until_heard()
            robot.start_camera()
            for _ in range(args.repetitions):
                runs.append(lose(robot, args.topic, args.wait))
                steps.append(largest_step([message for _, message in list(robot.poses)]))
            last = robot.stop_camera()
            accounts = account(last, robot.sent)
            node.end()
    finally:
        rclpy.try_shutdown()
    gaps = sorted(run["gap_ms"] for run in runs)
    back = sorted(run["back_ms"] for run in runs)
    late = sum(gap > 1e3 * (args.wait + ALLOWED_S) for gap in gaps)
    report = {
        "topic": args.topic,
        "wait_ms": 1e3 * args.wait,
        "repetitions": len(runs),
        "gap_ms": {"least": gaps[0], "median": gaps[len(gaps) // 2], "most": gaps[-1]},
        "too_late": late,
        "back_ms": {"median": back[len(back) // 2], "most": back[-1]},
        "not_named": sum(not run["named"] for run in runs),
        "frames_alone": sum(run["frames_alone"] for run in runs),
        "largest_step_m": round(max(steps), 3),
        "last_rejection": last.last_rejection,
        "example": runs[0]["reason"],
        **accounts,
    }
    print(json.dumps(report, indent=1))
    return int(bool(late or report["not_named"] or max(steps) > LARGEST_STEP_M or accounts["unaccounted"]))


if __name__ == "__main__":
    sys.exit(main())
