# SPDX-License-Identifier: Apache-2.0
"""Do lookups of map -> base_link at "now" ever fail while the camera is slow?

Starts the node, plays a robot (odometry at 50 Hz, a camera at 5 Hz) and asks tf2 at 20 Hz:

    python bench/tf_lookups.py --seconds 60

Two questions are asked each time. map -> odom at now, without waiting: what this node owes. map -> base_link
at now, waiting at most 0.3 s: what a costmap of Nav2 asks, with its default tolerance, since the odometry of
the moment must come first. Prints one JSON object; exit code 1 if a lookup failed.
"""

from __future__ import annotations

import argparse
import array
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import rclpy
from geometry_msgs.msg import PoseStamped, TransformStamped
from rclpy.duration import Duration
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from rclpy.time import Time
from sensor_msgs.msg import Image
from tf2_ros import Buffer, StaticTransformBroadcaster, TransformBroadcaster, TransformException, TransformListener

from mvloc_ros import children, fastdds_profile
from mvloc_ros.inference.bundle import read_bundle

ROOT = Path(__file__).resolve().parents[1]
CAMERA = "camera_optical_frame"
START_S = 60.0
NAV2_TOLERANCE_S = 0.3  # transform_tolerance of nav2_costmap_2d, by default


class SlowRobot(Node):
    """Odometry, a camera, and the one who asks."""

    def __init__(self, model: Path, camera_hz: float) -> None:
        super().__init__("bench_robot")
        camera = read_bundle(model).manifest.color_camera
        self._color = image(camera.width, camera.height, "rgb8", 3)
        self._depth = image(camera.width, camera.height, "16UC1", 2)
        self._topics = [self.create_publisher(Image, topic, 5) for topic in ("color/image", "depth/image")]
        self._odometry = TransformBroadcaster(self)
        self._fixed = StaticTransformBroadcaster(self)
        self._fixed.sendTransform(transform("base_link", CAMERA))
        self.poses = 0
        self.create_subscription(PoseStamped, "mvloc/pose", self._count, 10)
        self.buffer = Buffer()
        TransformListener(self.buffer, self)
        self.create_timer(0.02, self._drive)
        self.create_timer(1.0 / camera_hz, self._see)

    def _count(self, _: PoseStamped) -> None:
        self.poses += 1

    def _drive(self) -> None:
        message = transform("odom", "base_link")
        message.header.stamp = self.get_clock().now().to_msg()
        self._odometry.sendTransform(message)

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


def image(width: int, height: int, encoding: str, bytes_per_pixel: int) -> Image:
    """A grey picture; a metre of distance and more."""
    message = Image(width=width, height=height, encoding=encoding, step=width * bytes_per_pixel)
    message.data = array.array("B", bytes([5 if bytes_per_pixel == 2 else 100]) * (message.step * height))
    message.header.frame_id = CAMERA
    return message


def transform(parent: str, child: str) -> TransformStamped:
    """Two frames in one place."""
    message = TransformStamped(child_frame_id=child)
    message.header.frame_id = parent
    message.transform.rotation.w = 1.0
    return message


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


def main() -> int:
    """Run once and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "demo", help="bundle (default: models/demo)")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=20.0, help="lookups a second (default: 20)")
    parser.add_argument("--camera-hz", type=float, default=5.0)
    args = parser.parse_args()
    # A domain of its own: it neither hears nor disturbs a robot.
    os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 100)
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    # In the stock segment of shared memory two images do not fit, and publishing the second waits, odometry with it.
    os.environ.update(fastdds_profile.settings())
    command = children.module_command("mvloc_ros.node.main", "--ros-args", "-p", f"model:={args.model.resolve()}")
    command += ["-p", "refine:=off"]  # the images are of no place
    with tempfile.TemporaryFile() as log:
        node = subprocess.Popen(command, stdout=log, stderr=log)
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)  # Ctrl-C reaches this thread, which ends the node
        robot = SlowRobot(args.model, args.camera_hz)
        executor = SingleThreadedExecutor()
        executor.add_node(robot)
        thread = threading.Thread(target=executor.spin)
        thread.start()
        figures: dict[str, object] = {}
        try:
            figures = measure(robot, args.seconds, args.rate)
        finally:
            node.send_signal(signal.SIGINT)
            executor.shutdown()
            thread.join()
            robot.destroy_node()
            rclpy.shutdown()
            node.wait(20)
            if not figures or figures["first_failure"]:
                log.seek(0)
                sys.stderr.write(log.read().decode())
    print(json.dumps(figures))
    return int(bool(figures["failed_map_to_odom"] or figures["failed_map_to_base"]))


if __name__ == "__main__":
    sys.exit(main())
