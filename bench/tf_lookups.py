# SPDX-License-Identifier: Apache-2.0
"""Do lookups of map -> base_link at "now" ever fail while the camera is slow?

Starts the node, plays a robot (odometry at 50 Hz, a camera at 5 Hz) and asks tf2 at 20 Hz:

    python -m bench.tf_lookups --seconds 60

Two questions are asked each time. map -> odom at now, without waiting: what this node owes. map -> base_link
at now, waiting at most 0.3 s: what a costmap of Nav2 asks, with its default tolerance, since the odometry of
the moment must come first. Prints one JSON object; exit code 1 if a lookup failed.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
import rclpy
from geometry_msgs.msg import PoseStamped
from rclpy.duration import Duration
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from rclpy.time import Time
from sensor_msgs.msg import Image
from tf2_ros import Buffer, StaticTransformBroadcaster, TransformBroadcaster, TransformException, TransformListener

from bench.domain import isolate
from bench.harness.image_message import image_message
from bench.live_node import CAMERA, ROOT, START_S, RunningNode
from mvloc_ros.model.bundle import read_bundle
from mvloc_ros.node.messages import transform_message

NAV2_TOLERANCE_S = 0.3  # transform_tolerance of nav2_costmap_2d, by default


class SlowRobot(Node):
    """Odometry, a camera, and the one who asks."""

    def __init__(self, model: Path, camera_hz: float) -> None:
        super().__init__("bench_robot")
        camera = read_bundle(model).manifest.color_camera
        size = (camera.height, camera.width)
        self._color = image_message(np.full((*size, 3), 100, np.uint8), 0, CAMERA, encoding="rgb8")
        self._depth = image_message(np.full(size, 1285, np.uint16), 0, CAMERA, encoding="16UC1")
        self._topics = [self.create_publisher(Image, topic, 5) for topic in ("color/image", "depth/image")]
        self._odometry = TransformBroadcaster(self)
        self._fixed = StaticTransformBroadcaster(self)
        self._fixed.sendTransform(transform_message(np.eye(4), 0, "base_link", CAMERA))
        self.poses = 0
        self.create_subscription(PoseStamped, "mvloc/pose", self._count, 10)
        self.buffer = Buffer()
        TransformListener(self.buffer, self)
        self.create_timer(0.02, self._drive)
        self.create_timer(1.0 / camera_hz, self._see)

    def _count(self, _: PoseStamped) -> None:
        self.poses += 1

    def _drive(self) -> None:
        stamp_ns = self.get_clock().now().nanoseconds
        self._odometry.sendTransform(transform_message(np.eye(4), stamp_ns, "odom", "base_link"))

    def _see(self) -> None:
        stamp = self.get_clock().now().to_msg()
        for publisher, message in zip(self._topics, (self._color, self._depth), strict=True):
            message.header.stamp = stamp
            publisher.publish(message)

    def ask(self, parent: str, child: str, at: Time, wait_s: float = 0.0) -> str:
        """Why parent -> child at a time fails; empty if it does not."""
        try:
            self.buffer.lookup_transform(parent, child, at, Duration(seconds=wait_s))
        except TransformException as error:
            return str(error)
        return ""

    def margin(self) -> float:
        """Seconds for which the newest map -> odom still holds."""
        newest = self.buffer.get_latest_common_time("map", "odom")
        return 1e-9 * float(newest.nanoseconds - self.get_clock().now().nanoseconds)


def measure(robot: SlowRobot, seconds: float, rate_hz: float) -> dict[str, object]:
    """Ask for `seconds` from the first transform on."""
    deadline = time.monotonic() + START_S
    while reason := robot.ask("map", "odom", robot.get_clock().now()):
        if time.monotonic() > deadline:
            raise SystemExit(f"map -> odom did not come within {START_S:g} s: {reason}")
        time.sleep(0.05)
    counts: Counter[str] = Counter()
    first_failure, poses, margin_s, start = "", robot.poses, float("inf"), time.monotonic()
    while time.monotonic() < start + seconds:
        now = robot.get_clock().now()
        margin_s = min(margin_s, robot.margin())
        owed = robot.ask("map", "odom", now)
        asked = robot.ask("map", "base_link", now, NAV2_TOLERANCE_S)
        counts["failed_map_to_odom"] += bool(owed)
        counts["failed_map_to_base"] += bool(asked)
        # The odometry of this very process may be late where the machine has more to do than it can.
        counts["of_these_odometry_was_late"] += bool(asked and robot.ask("odom", "base_link", now))
        first_failure = first_failure or owed or asked
        counts["lookups"] += 1
        time.sleep(max(0.0, start + counts["lookups"] / rate_hz - time.monotonic()))
    return {
        "seconds": round(time.monotonic() - start, 1),
        "poses": robot.poses - poses,
        "smallest_margin_s": round(margin_s, 3),
        **counts,
        "first_failure": first_failure,
    }


def ask(model: Path, camera_hz: float, seconds: float, rate_hz: float) -> dict[str, object]:
    """The figures of `measure`, with the robot in a thread of its own."""
    robot, executor = SlowRobot(model, camera_hz), SingleThreadedExecutor()
    executor.add_node(robot)
    thread = threading.Thread(target=executor.spin)
    thread.start()
    try:
        return measure(robot, seconds, rate_hz)
    finally:
        executor.shutdown()
        thread.join()
        robot.destroy_node()


def main() -> int:
    """Run once and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "demo", help="bundle (default: models/demo)")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=20.0, help="lookups a second (default: 20)")
    parser.add_argument("--camera-hz", type=float, default=5.0)
    args = parser.parse_args()
    isolate()  # in the stock segment of shared memory two images do not fit: publishing the second, odometry too, waits
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)  # Ctrl-C reaches this thread, which ends the node
    try:
        with RunningNode(args.model) as node:
            figures = ask(args.model, args.camera_hz, args.seconds, args.rate)
            if figures["first_failure"]:
                sys.stderr.write(node.text())
    finally:
        rclpy.try_shutdown()
    print(json.dumps(figures))
    return int(bool(figures["failed_map_to_odom"] or figures["failed_map_to_base"]))


if __name__ == "__main__":
    sys.exit(main())
