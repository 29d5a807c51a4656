# SPDX-License-Identifier: Apache-2.0
"""Does the node go on while a tenth of what it is sent is hostile? The real node, over DDS, with the demo model.

    python -m bench.fuzz_node --minutes 10 --out out/fuzz_node
    python -m bench.fuzz_node --minutes 1 --warm-up 20 --seed 7

Plays a robot (VGA colour and depth of the demo's room at 30 Hz, odometry at 50 Hz) and, from a node of its own, hostile
messages on the same topics, a tenth as many as images: images of wrong sizes, encodings and stamps, camera_info,
initial poses, transforms, and bytes that are no message. A hostile static transform is followed by the true one after
0.1 s, since nobody could tell which is true. Bars, each of which makes the exit code 1:

    alive        the process lives until it is told to end
    recovery     1 s at most from a hostile message to the next accepted pose
    memory       the median resident set of the last minute is within 2 % of that of the first after the warm-up
    log          less than 1 MB was said
    end          exit code 0 within 10 s of SIGINT

Prints a table; writes OUT/fuzz_node.json, OUT/fuzz_node.png (memory over time) and OUT/node.log.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from bisect import bisect_right
from pathlib import Path
from typing import Any

import rclpy
from geometry_msgs.msg import PoseStamped
from rclpy.signals import SignalHandlerOptions
from tqdm import tqdm

from bench.domain import isolate
from bench.fuzzing.hostile_robot import HostileNode
from bench.live_node import ROOT, RobotNode, RunningNode
from bench.resources import look

RECOVERY_S, FLAT, MOST_LOG_BYTES, END_S = 1.0, 0.02, 1_000_000, 10.0
_EVERY_S = 1.0
_JUDGED_S = 60.0


class WatchedRobot(RobotNode):
    """A robot that remembers which frames it sent and which were answered.

    Attributes:
        stamps: of the good pairs, in nanoseconds.
        answered: stamps of the poses.
        arrivals: monotonic times of the poses.
    """

    def __init__(self, rate_hz: float) -> None:
        self.stamps: set[int] = set()
        self.answered: set[int] = set()
        self.arrivals: list[float] = []
        super().__init__(rate_hz)

    def _take_pose(self, message: PoseStamped) -> None:
        super()._take_pose(message)
        self.arrivals.append(time.monotonic())
        self.answered.add(message.header.stamp.sec * 10**9 + message.header.stamp.nanosec)

    def _send(self, stamp_ns: int, n: int) -> None:
        super()._send(stamp_ns, n)
        self.stamps.add(stamp_ns)


def record(node: RunningNode, seconds: float) -> list[dict[str, float]]:
    """A row every second, until the time is over or the node has ended."""
    started, rows = time.monotonic(), list[dict[str, float]]()
    for n in tqdm(range(int(seconds / _EVERY_S)), desc="hostile", unit="s", mininterval=5):
        if node.process.poll() is not None:
            break
        row = {"seconds": time.monotonic() - started, **look(node.pid).as_row()}
        rows.append({**row, "log_bytes": node.log.stat().st_size})
        time.sleep(max(0.0, started + (n + 1) * _EVERY_S - time.monotonic()))
    return rows


def recovery(sent: list[float], poses: list[float], end: float) -> tuple[float, int]:
    """The longest time from a hostile message to the next pose, in seconds, and after which message that was."""
    longest, which = 0.0, -1
    for index, at in enumerate(sent):
        after = bisect_right(poses, at)
        waited = (poses[after] if after < len(poses) else end) - at
        if waited > longest:
            longest, which = waited, index
    return longest, which


def memory_growth(rows: list[dict[str, float]], warm_up_s: float) -> float:
    """Of the median resident set, from the first minute after the warm-up to the last minute, or halves of less."""
    rest = [row for row in rows if row["seconds"] >= warm_up_s]
    if len(rest) < 4:
        return 0.0
    span = min(_JUDGED_S, (rest[-1]["seconds"] - rest[0]["seconds"]) / 2)
    first = [row["rss"] for row in rest if row["seconds"] <= rest[0]["seconds"] + span]
    last = [row["rss"] for row in rest if row["seconds"] >= rest[-1]["seconds"] - span]
    return statistics.median(last) / statistics.median(first) - 1.0


def end_of(node: RunningNode) -> tuple[int | None, float]:
    """Exit code, None where it had to be killed, and the seconds that it took to end."""
    started = time.monotonic()
    try:
        return node.end(seconds=END_S), time.monotonic() - started
    except subprocess.TimeoutExpired:
        return None, time.monotonic() - started


def draw(rows: list[dict[str, float]], warm_up_s: float, path: Path) -> None:
    """Resident memory and bytes of the log over time."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True)
    seconds = [row["seconds"] for row in rows]
    top.plot(seconds, [row["rss"] for row in rows], label="RSS")
    top.plot(seconds, [row["anonymous"] for row in rows], label="anonymous")
    top.axvspan(0, warm_up_s, color="0.9", label="warm-up")
    top.set_ylim(bottom=0)
    top.set_ylabel("MiB")
    top.legend(loc="lower right", ncols=3)
    bottom.plot(seconds, [row["log_bytes"] / 1e3 for row in rows])
    bottom.set_ylim(bottom=0)
    bottom.set_ylabel("log in kB")
    bottom.set_xlabel("s")
    figure.savefig(path, format="png", dpi=120)


def print_table(bars: dict[str, tuple[str, str, bool]]) -> None:
    """Measured, allowed, and whether the bar is met."""
    for name, (measured, allowed, is_met) in bars.items():
        print(f"{name:10} {measured:32} {allowed:24} {'met' if is_met else 'MISSED'}")


def main(arguments: list[str] | None = None) -> int:
    """0 when every bar is met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="judged time (default: 10)")
    parser.add_argument("--warm-up", type=float, default=60.0, help="seconds before that (default: 60)")
    parser.add_argument("--rate", type=float, default=30.0, help="good pairs a second (default: 30)")
    parser.add_argument("--share", type=float, default=0.1, help="hostile messages for each good image (default: 0.1)")
    parser.add_argument("--raw-share", type=float, default=0.05, help="of these, no messages at all (default: 0.05)")
    parser.add_argument("--seed", type=int, default=0, help="of the hostile messages (default: 0)")
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "demo", help="bundle (default: models/demo)")
    parser.add_argument("-p", dest="parameters", action="append", default=[], metavar="NAME:=VALUE", help="of the node")
    parser.add_argument("--out", type=Path, default=Path("out/fuzz_node"), help="folder (default: out/fuzz_node)")
    args = parser.parse_args(arguments)
    args.out.mkdir(parents=True, exist_ok=True)
    isolate()
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)  # Ctrl-C reaches this thread, which ends the node
    try:
        with RunningNode(args.model, args.parameters) as node, WatchedRobot(args.rate) as robot:
            robot.wait_until_heard()
            robot.start_camera()
            robot.wait_for(lambda: robot.pose_count > args.rate, 60.0)
            with HostileNode(2 * args.rate * args.share, args.seed, args.raw_share) as hostile:
                rows = record(node, args.warm_up + 60 * args.minutes)
            ended = time.monotonic()
            robot.wait_for(lambda: robot.arrivals[-1] > ended or time.monotonic() > ended + 2 * RECOVERY_S, 10.0)
            alive = node.process.poll() is None
            robot.pause_camera()
            log_bytes = node.log.stat().st_size
            exit_code, end_s = end_of(node)
            (args.out / "node.log").write_text(node.text())
            report = judge(robot, hostile, rows, args.warm_up, alive, log_bytes, exit_code, end_s)
    finally:
        rclpy.try_shutdown()
    bars = report.pop("bars")
    (args.out / "fuzz_node.json").write_text(json.dumps({**report, "bars": bars, "rows": rows}, indent=1))
    draw(rows, args.warm_up, args.out / "fuzz_node.png")
    print_table(bars)
    print(json.dumps(report, indent=1))
    return int(not all(is_met for _, _, is_met in bars.values()))


def judge(
    robot: WatchedRobot,
    hostile: HostileNode,
    rows: list[dict[str, float]],
    warm_up_s: float,
    alive: bool,
    log_bytes: int,
    exit_code: int | None,
    end_s: float,
) -> dict[str, Any]:
    """The figures, and the bars as (measured, allowed, met)."""
    longest, which = recovery([at for at, _, _ in hostile.sent], robot.arrivals, time.monotonic())
    growth = memory_growth(rows, warm_up_s)
    good = robot.stamps & robot.answered
    status = robot.status
    return {
        "bars": {
            "alive": (str(alive), "True", alive),
            "recovery": (f"{longest:.3f} s", f"{RECOVERY_S:g} s", longest <= RECOVERY_S),
            "memory": (f"{100 * growth:+.2f} % of RSS", f"{100 * FLAT:g} %", abs(growth) <= FLAT),
            "log": (f"{log_bytes} bytes", f"{MOST_LOG_BYTES} bytes", log_bytes < MOST_LOG_BYTES),
            "end": (f"exit code {exit_code} after {end_s:.1f} s", f"0 within {END_S:g} s", exit_code == 0),
        },
        "good_pairs": len(robot.stamps),
        "share_answered": round(len(good) / max(1, len(robot.stamps)), 4),
        "poses_of_other_stamps": len(robot.answered - robot.stamps),
        "hostile_messages": dict(hostile.counts),
        "longest_recovery_after": list(hostile.sent[which][1:]) if which >= 0 else [],
        "rejected": 0 if status is None else status.rejected,
        "dropped_invalid": 0 if status is None else status.dropped_invalid,
        "dropped_failed": 0 if status is None else status.dropped_failed,
        "dropped_busy": 0 if status is None else status.dropped_busy,
    }


if __name__ == "__main__":
    sys.exit(main())
