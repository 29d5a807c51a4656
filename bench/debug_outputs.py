# SPDX-License-Identifier: Apache-2.0
"""What it costs to look at the node: `~/map_points`, `~/scan_points`, `~/debug_image` with and without subscribers.

First, in this process, what a frame pays while nobody subscribes (the questions whether somebody does), and how long
making points and picture of a frame takes. Then the node
in a process of its own with the demo's model and scene map and a camera of its room: rounds without and with
subscribers to all three take turns in one run, so that other load on the machine meets both alike. The subscribers
live in this process and take messages as bytes. Prints one JSON object; times in milliseconds, those of the node from
its status: from the callback of the image that completes a pair to the publication of the pose.
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
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import Image, PointCloud2

from bench.debug_picture import localized, rendered
from bench.domain import isolate
from bench.live_node import RobotNode, RunningNode
from mvloc_ros.demo.demo_run import shipped_model
from mvloc_ros.model.frame import Frame
from mvloc_ros.node.debug_outputs import DebugOutputs
from mvloc_ros.node.loaded_model import LoadedModel, load_model
from mvloc_ros.node.qos import latest
from mvloc_ros.parameters.table import NodeParameters
from mvloc_ros.pipeline.debug_image import debug_image, words_of
from mvloc_ros.pipeline.scan import scan_of

EXAMPLE = """example:
  python -m bench.debug_outputs --rate 10 --rounds 6 --seconds 10"""
_STEPS = ("decode_ms", "wait_ms", "preprocess_ms", "inference_ms", "refinement_ms", "verification_ms", "publish_ms")
_TOPICS = {"map_points": PointCloud2, "scan_points": PointCloud2, "debug_image": Image}


class Viewer:
    """Subscribes to all three and counts what comes."""

    def __init__(self, robot: RobotNode) -> None:
        self._robot = robot
        self.counts = dict.fromkeys(_TOPICS, 0)
        self._subscriptions: list[Any] = []

    def look(self) -> None:
        """Subscribe."""
        for name, kind in _TOPICS.items():
            qos = latest(is_kept=name == "map_points")
            # As bytes: what unpacking costs here would be taken for the node's.
            self._subscriptions.append(
                self._robot.create_subscription(kind, f"mvloc/{name}", self._counter(name), qos, raw=True)
            )

    def look_away(self) -> None:
        """Subscribe to nothing."""
        while self._subscriptions:
            self._robot.destroy_subscription(self._subscriptions.pop())

    def _counter(self, name: str) -> Any:
        def count(_: bytes) -> None:
            self.counts[name] += 1

        return count


def unwatched_ms(model: LoadedModel, frames: int) -> list[float]:
    """What one frame pays where nobody subscribes."""
    node = LifecycleNode("mvloc")
    outputs = DebugOutputs(node, NodeParameters(debug_rate=100.0), lambda: model)
    node.trigger_configure()
    node.trigger_activate()
    outputs.start()
    frame = Frame(1, "camera", *rendered(0))
    found = localized(model.localizer, frame)
    times = []
    for _ in range(frames):
        began = time.perf_counter()
        outputs.note_read(frame)
        outputs.show(found)
        times.append(1e3 * (time.perf_counter() - began))
    outputs.stop()
    outputs.close()
    node.destroy_node()
    return times


def making_ms(model: LoadedModel, frames: int) -> list[float]:
    """How long making points, residuals and picture of one frame takes in the thread that does it."""
    frame = Frame(1, "camera", *rendered(0))
    found = localized(model.localizer, frame)
    assert frame.depth is not None
    times = []
    for _ in range(frames):
        began = time.perf_counter()
        scan = scan_of(frame.depth, found.estimate, model.localizer)
        debug_image(frame, scan, model.localizer.rig, words_of(found))
        times.append(1e3 * (time.perf_counter() - began))
    return times


def watched_ms(model: Path, rate_hz: float, rounds: int, seconds: float) -> dict[str, Any]:
    """Times of the poses without and with subscribers, in turns."""
    times: dict[bool, list[float]] = {False: [], True: []}
    steps: dict[bool, list[list[float]]] = {False: [], True: []}
    accepted = {False: 0, True: 0}
    dropped = {False: 0, True: 0}
    parameters = ("status_period:=0.2",)
    with RunningNode(model, parameters, refine="required"), RobotNode(rate_hz) as robot:
        robot.wait_until_heard()
        viewer = Viewer(robot)
        robot.start_camera()
        time.sleep(2.0)
        for number in range(2 * rounds):
            is_watched = number % 2 == 1
            if is_watched:
                before = viewer.counts["debug_image"]
                robot.in_executor(viewer.look)
                robot.wait_for(lambda before=before: viewer.counts["debug_image"] > before, 30)
            else:
                robot.in_executor(viewer.look_away)
                time.sleep(1.5)
            assert robot.status is not None
            begun, busy = time.monotonic(), robot.status.dropped_busy
            time.sleep(seconds)
            found = [s for at, s in robot.statuses if at >= begun and s.inference_ms > 0.0]
            times[is_watched] += [s.callback_to_publication_ms for s in found]
            steps[is_watched] += [[getattr(s, name) for name in _STEPS] for s in found]
            accepted[is_watched] += sum(s.pose_valid for s in found)
            dropped[is_watched] += robot.status.dropped_busy - busy
        robot.pause_camera()
        counts, skipped = dict(viewer.counts), robot.skipped
    without, with_ = (summary(times[is_watched]) for is_watched in (False, True))
    return {
        "without_subscriber": {**without, "accepted": accepted[False], "frames_replaced": dropped[False]},
        "with_subscriber": {**with_, "accepted": accepted[True], "frames_replaced": dropped[True]},
        "later_median_ms": round(with_["median_ms"] - without["median_ms"], 3),
        "ratio_of_medians": round(with_["median_ms"] / without["median_ms"], 3),
        "medians_of_steps_without": _medians(steps[False]),
        "medians_of_steps_with": _medians(steps[True]),
        "received": counts,
        "frames_that_the_camera_skipped": skipped,
    }


def _medians(rows: list[list[float]]) -> dict[str, float]:
    return {name: round(float(value), 2) for name, value in zip(_STEPS, np.median(rows, axis=0), strict=True)}


def summary(milliseconds: list[float]) -> dict[str, float]:
    """Median, 95th percentile and count; raises SystemExit where nothing was measured."""
    if not milliseconds:
        raise SystemExit("no frame was localized, so there is nothing to compare; give more --seconds")
    median, p95 = np.percentile(milliseconds, (50, 95))
    return {"median_ms": round(float(median), 3), "p95_ms": round(float(p95), 3), "frames": len(milliseconds)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, default=None, help="bundle with a scene map (default: models/demo)")
    parser.add_argument("--rate", type=float, default=10.0, help="of the camera in Hz (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=6, help="of each kind (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=8.0, help="of each round (default: %(default)s)")
    args = parser.parse_args()
    if args.rate <= 0.0 or args.rounds < 1 or args.seconds <= 0.0:
        parser.error("--rate and --seconds must be more than 0, --rounds at least 1")
    path = args.model or shipped_model()
    isolate()
    rclpy.init()
    try:
        values = NodeParameters(model=str(path), threads=1, backend="onnxruntime")
        model = load_model(values, values.model, lambda _: None)
        unwatched, making = summary(unwatched_ms(model, 5000)), summary(making_ms(model, 50))
        model.close()
        report = {
            "load_average_before": [round(value, 1) for value in os.getloadavg()],
            "cores": os.cpu_count(),
            "camera_hz": args.rate,
            "a_frame_without_subscriber": unwatched,
            "making_points_and_picture": making,
            **watched_ms(path, args.rate, args.rounds, args.seconds),
        }
    finally:
        rclpy.shutdown()
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
