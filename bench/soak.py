# SPDX-License-Identifier: Apache-2.0
"""Does the node's memory stay as it is while it works, for as long as one cares to wait?

    python -m bench.soak --minutes 30 --out out/soak
    python -m bench.soak --minutes 60 --refine required --watch 5 --out out/soak

Starts the node, plays a robot (VGA colour and depth at 30 Hz, odometry at 50 Hz, the shipped profile of Fast DDS) and
looks at the process every few seconds. The first minutes are a warm-up and not judged: allocators, the TF buffer (10 s)
and Fast DDS's segment of shared memory fill up, and each page of the segment counts from its first use on. Memory is
flat if the median resident set of the last third of the rest is within 2 % of the first third's. With --watch somebody
looks at the node's points and picture, and away again, in turns.

Prints a table; writes OUT/soak.json and OUT/soak.png, and the rows as they come to OUT/rows.jsonl. Exit code 1 if
memory is not flat or an image is unaccounted for.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from pathlib import Path
from typing import Any

import rclpy
from mvloc_ros.msg import LocalizationStatus
from rclpy.signals import SignalHandlerOptions
from tqdm import tqdm

from bench.accounts import account
from bench.debug_outputs import Viewer
from bench.domain import isolate
from bench.live_node import ROOT, RobotNode, RunningNode
from bench.resources import growth, look

FLAT = 0.02
COLUMNS = ("rss", "pss", "uss", "anonymous", "threads", "files", "segments", "published", "dropped")


def sample(node: RunningNode, robot: RobotNode, started: float) -> dict[str, float]:
    """One row: the process and the status's counters."""
    status = robot.status or LocalizationStatus()
    dropped = (
        status.dropped_busy + status.dropped_unpaired + status.dropped_invalid + status.dropped_failed + status.rejected
    )
    return {
        "minutes": round((time.monotonic() - started) / 60, 3),
        **look(node.pid).as_row(),
        "sent": sum(robot.sent.values()),
        "published": status.published,
        "dropped": dropped,
        "lost_in_transport": status.lost_in_transport,
    }


class Watch:
    """Looks at the node's visualization and away again, each for so many minutes; 0: never looks."""

    def __init__(self, robot: RobotNode, minutes: float) -> None:
        self._robot, self._minutes = robot, minutes
        self._viewer = Viewer(robot)
        self.is_looking = False

    @property
    def received(self) -> dict[str, int]:
        """Messages by topic."""
        return dict(self._viewer.counts)

    def at(self, minutes: float) -> None:
        """Do what is due."""
        is_due = self._minutes > 0.0 and int(minutes / self._minutes) % 2 == 1
        if is_due != self.is_looking:
            self._robot.in_executor(self._viewer.look if is_due else self._viewer.look_away)
            self.is_looking = is_due


def record(
    node: RunningNode, robot: RobotNode, watch: Watch, minutes: float, every_s: float, log: Path
) -> list[dict[str, float]]:
    """Rows of `minutes`, each in `log` as soon as it is there."""
    started, rows = time.monotonic(), list[dict[str, float]]()
    total = int(60 * minutes / every_s)
    for n in tqdm(range(total), desc="soak", unit="look", mininterval=10):
        watch.at((time.monotonic() - started) / 60.0)
        rows.append({**sample(node, robot, started), "watched": int(watch.is_looking)})
        with log.open("a") as stream:
            stream.write(json.dumps(rows[-1]) + "\n")
        time.sleep(max(0.0, started + (n + 1) * every_s - time.monotonic()))
    return [*rows, {**sample(node, robot, started), "watched": int(watch.is_looking)}]


def judge(rows: list[dict[str, float]], warm_up: float) -> dict[str, Any]:
    """Growth after the warm-up, in shares of the memory, and in numbers of everything else."""
    rest = [row for row in rows if row["minutes"] >= warm_up]
    memory = {name: round(growth([row[name] for row in rest]), 5) for name in ("rss", "pss", "uss", "anonymous")}
    counted = {name: rest[-1][name] - rest[0][name] for name in ("threads", "files", "segments")}
    return {
        "warm_up_minutes": warm_up,
        "judged_minutes": round(rest[-1]["minutes"] - rest[0]["minutes"], 2),
        "growth_of_medians": memory,
        "growth_of_counts": counted,
        "flat_within_2_percent": abs(memory["rss"]) <= FLAT,
    }


def print_table(rows: list[dict[str, float]]) -> None:
    """About twenty lines of the rows."""
    print("minutes " + " ".join(f"{name:>10}" for name in COLUMNS))
    for row in rows[:: max(1, len(rows) // 20)]:
        print(f"{row['minutes']:7.1f} " + " ".join(f"{row[name]:10g}" for name in COLUMNS))


def draw(rows: list[dict[str, float]], warm_up: float, path: Path) -> None:
    """Memory and counts over time."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 6), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True)
    minutes = [row["minutes"] for row in rows]
    for name in ("rss", "pss", "uss", "anonymous"):
        top.plot(minutes, [row[name] for row in rows], label=name.upper() if len(name) == 3 else name)
    top.axvspan(0, warm_up, color="0.9", label="warm-up")
    top.set_ylim(bottom=0)
    top.set_ylabel("MiB")
    top.legend(loc="lower right", ncols=3)
    for name in ("threads", "files", "segments"):
        bottom.plot(minutes, [row[name] for row in rows], label=name)
    bottom.set_ylim(bottom=0)
    bottom.set_xlabel("minutes")
    bottom.legend(loc="lower right", ncols=3)
    figure.savefig(path, format="png", dpi=120)


def main(arguments: list[str] | None = None) -> int:
    """Run once, print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0, help="judged time (default: 30)")
    parser.add_argument("--warm-up", type=float, default=5.0, help="minutes before that (default: 5)")
    parser.add_argument("--every", type=float, default=5.0, help="seconds between two looks (default: 5)")
    parser.add_argument("--rate", type=float, default=30.0, help="images of each topic a second (default: 30)")
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "demo", help="bundle (default: models/demo)")
    parser.add_argument("--refine", default="off", help="of the node: auto, required or off (default: off)")
    parser.add_argument(
        "--watch", type=float, default=0.0, metavar="MINUTES", help="look and look away in turns (default: never look)"
    )
    parser.add_argument("-p", dest="parameters", action="append", default=[], metavar="NAME:=VALUE", help="of the node")
    parser.add_argument("--out", type=Path, default=Path("out/soak"), help="folder (default: out/soak)")
    args = parser.parse_args(arguments)
    args.out.mkdir(parents=True, exist_ok=True)
    log = args.out / "rows.jsonl"
    log.unlink(missing_ok=True)
    isolate()
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)  # Ctrl-C reaches this thread, which ends the node
    try:
        with (
            RunningNode(args.model, ["starvation_timeout:=2.0", *args.parameters], refine=args.refine) as node,
            RobotNode(args.rate) as robot,
        ):
            robot.wait_until_heard()
            robot.start_camera()
            watch = Watch(robot, args.watch)
            rows = record(node, robot, watch, args.warm_up + args.minutes, args.every, log)
            accepted = sum(status.pose_valid for _, status in robot.statuses)
            recent = len(robot.statuses)
            last = robot.stop_camera()
            accounts = account(last, robot.sent)
            exit_code = node.end()
    finally:
        rclpy.try_shutdown()
    verdict = judge(rows, args.warm_up)
    report = {
        "machine": {"cpu": platform.machine(), "kernel": platform.release(), "python": platform.python_version()},
        "model": args.model.name,
        "rate_hz": args.rate,
        "parameters": [f"refine:={args.refine}", *args.parameters],
        "watch_minutes": args.watch,
        "received_while_watching": watch.received,
        "accepted_of_the_last": [accepted, recent],
        "verdict": verdict,
        "accounts": {**accounts, "skipped_by_the_sender": robot.skipped},
        "exit_code": exit_code,
        "rows": rows,
    }
    (args.out / "soak.json").write_text(json.dumps(report, indent=1))
    draw(rows, args.warm_up, args.out / "soak.png")
    print_table(rows)
    print(json.dumps({**verdict, **report["accounts"]}, indent=1))
    return int(not verdict["flat_within_2_percent"] or accounts["unaccounted"] != 0 or exit_code != 0)


if __name__ == "__main__":
    sys.exit(main())
