# SPDX-License-Identifier: Apache-2.0
"""What one wait of the node's executor costs: for all that the node has, and for its subscriptions and timers alone.

    python -m bench.executor --model models/demo

Configures and activates a node in this process, in a ROS domain of its own, where no message comes, and lets its
executor look without waiting. Prints one JSON object with the medians of several rounds, in milliseconds of the
thread's CPU time.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from bench.latency.processes import own_domain
from mvloc_ros.node.lean_executor import LeanExecutor
from mvloc_ros.node.localization_node import LocalizationNode


def cost_ms(executor: LeanExecutor, looks_at_all: bool, waits: int) -> float:
    """CPU time of one wait."""
    executor.looks_at_all = looks_at_all
    began = time.thread_time()
    for _ in range(waits):
        SingleThreadedExecutor.spin_once(executor, 0.0)  # the executor's own would choose what it waits for
    return 1e3 * (time.thread_time() - began) / waits


def main() -> None:
    """Measure in turns and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=Path("models/demo"), help="bundle (default: %(default)s)")
    parser.add_argument("--waits", type=int, default=300, help="of each round (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="of both kinds, in turn (default: %(default)s)")
    args = parser.parse_args()
    own_domain()
    words = ["--ros-args", "--log-level", "error", "-p", f"model:={args.model}", "-p", "publish_frame:=camera"]
    rclpy.init(args=words, signal_handler_options=SignalHandlerOptions.NO)
    node, executor = LocalizationNode(), LeanExecutor()
    node.trigger_configure()
    node.trigger_activate()
    executor.add_node(node)
    try:
        rounds = [
            (cost_ms(executor, True, args.waits), cost_ms(executor, False, args.waits)) for _ in range(args.rounds)
        ]
    finally:
        node.close()
        executor.shutdown()
        node.destroy_node()
        rclpy.shutdown()
    everything, lean = (statistics.median(values) for values in zip(*rounds, strict=True))
    print(json.dumps({"everything_ms": round(everything, 3), "subscriptions_and_timers_ms": round(lean, 3)}))


if __name__ == "__main__":
    main()
