# SPDX-License-Identifier: Apache-2.0
"""The node in a process of its own, and the robot around it: what the benchmarks over DDS have in common."""

from __future__ import annotations

import signal
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np
import rclpy
from geometry_msgs.msg import PoseStamped
from mvloc_ros.msg import LocalizationStatus
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.subscription import MessageInfo
from sensor_msgs.msg import Image
from tf2_ros import StaticTransformBroadcaster, TransformBroadcaster

from bench.harness.child_process import NODE, NodeProcess, parameter_words
from bench.harness.image_message import image_message
from mvloc_ros.demo.renderer import demo_renderer
from mvloc_ros.demo.sequence_plans import plan_test
from mvloc_ros.node.messages import transform_message

ROOT = Path(__file__).resolve().parents[1]
CAMERA = "camera_optical_frame"
HEIGHT, WIDTH = 480, 640
_PICTURES = 16
_FRAME = 40
_KEPT = 1000
_ODOMETRY_PERIOD_S = 0.02
START_S = 60.0


@dataclass(frozen=True)
class HeardPose:
    """When a pose came (monotonic, s), and how old its image was by the middleware's time of its publication."""

    arrived_s: float
    age_ms: float


class RunningNode(NodeProcess):
    """The localization node with a model; ends with the `with` block."""

    def __init__(
        self, model: Path, parameters: Sequence[str] = (), refine: str = "off", program: Sequence[str] = NODE
    ) -> None:
        """Start it, or what stands for it, with `name:=value` parameters; its output is kept until the block's end."""
        self._folder = tempfile.TemporaryDirectory(prefix="mvloc-bench-")
        # The images that it is sent are of the demo's room; only the demo's scene map bears their poses out.
        values = (f"model:={model.resolve()}", f"refine:={refine}", *parameters)
        super().__init__(Path(self._folder.name) / "node.log", *parameter_words(*values), program=program, folder=ROOT)

    def end(self, number: int = signal.SIGINT, seconds: float = 20.0) -> int:
        """As `NodeProcess.end`, with more time."""
        return super().end(number, seconds)

    def __enter__(self) -> RunningNode:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _value: BaseException | None, _trace: TracebackType | None
    ) -> None:
        try:
            self.end()
        finally:
            if kind is not None:
                sys.stderr.write(self.text())
            self._folder.cleanup()


class RobotNode(Node):
    """A camera at a steady rate, odometry at 50 Hz, and the ear for what the localization node says.

    Attributes:
        sent: images sent, by topic (`color`, `depth`).
        silent: topics that are to send nothing for a while.
        skipped: frames that were never taken, because this process was not given the time.
        status: the newest.
        poses: the last ones with the monotonic time of their arrival; `pose_count` is of all.
        heard: of the same poses, when they came and how old they were when they were published.
        statuses: the same of the status messages.
    """

    def __init__(self, rate_hz: float, context: rclpy.Context | None = None) -> None:
        super().__init__("bench_robot", context=context)
        self._period_s = 1.0 / rate_hz
        qos = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
        self._topics = {name: self.create_publisher(Image, f"{name}/image", qos) for name in ("color", "depth")}
        self._pictures = _pictures()
        self._odometry, self._fixed = TransformBroadcaster(self), StaticTransformBroadcaster(self)
        self._fixed.sendTransform(transform_message(np.eye(4), 0, "base_link", CAMERA))
        self.sent = {"color": 0, "depth": 0}
        self.silent: set[str] = set()
        self.skipped = 0
        self.status: LocalizationStatus | None = None
        self.poses: deque[tuple[float, PoseStamped]] = deque(maxlen=_KEPT)
        self.pose_count = 0
        self.heard: deque[HeardPose] = deque(maxlen=_KEPT)
        self.statuses: deque[tuple[float, LocalizationStatus]] = deque(maxlen=_KEPT)
        self.create_subscription(PoseStamped, "mvloc/pose", self._take_pose, 100)
        self.create_subscription(LocalizationStatus, "mvloc/status", self._take_status, 100)
        self.create_timer(_ODOMETRY_PERIOD_S, self._drive)
        self._executor_ = SingleThreadedExecutor(context=context)
        self._executor_.add_node(self)
        self._ending = threading.Event()
        self._threads = [threading.Thread(target=self._executor_.spin), threading.Thread(target=self._film)]
        self._filming = threading.Event()

    def __enter__(self) -> RobotNode:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._filming.set()
        self._executor_.shutdown()
        for thread in self._threads:
            thread.join()
        self.destroy_node()

    def wait_until_heard(self, seconds: float = START_S) -> None:
        """Until the node sees both topics; raises SystemExit if it does not."""
        self.wait_for(lambda: self.status is not None and self.status.reason.count("1 publisher(s) on") == 2, seconds)

    def start_camera(self) -> None:
        """Film from now on."""
        self._filming.set()

    def pause_camera(self) -> None:
        """Film no more until the next start."""
        self._filming.clear()

    def call(self, client: Any, request: Any, seconds: float = 30.0) -> Any:
        """The answer of a service; raises SystemExit if there is none in time."""
        if not client.wait_for_service(seconds):
            raise SystemExit(f"there is no service {client.srv_name}")
        future = client.call_async(request)
        self.wait_for(future.done, seconds)
        return future.result()

    def stop_camera(self, settle_s: float = 5.0) -> LocalizationStatus:
        """Film no more; the status when nothing is on its way any more."""
        self._filming.clear()
        time.sleep(2 * self._period_s)
        self.wait_for(lambda: self.status is not None and self.status.state == LocalizationStatus.STARVED, START_S)
        time.sleep(settle_s)
        assert self.status is not None
        return self.status

    def in_executor(self, change: Callable[[], None]) -> None:
        """Run what makes or removes subscriptions where no wait for messages is going on."""
        future = self._executor_.create_task(change)
        self.wait_for(future.done, START_S)

    def wait_for(self, condition: Callable[[], object], seconds: float) -> None:
        """Poll; raises SystemExit with the node's last status if it takes longer."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                said = self.status.reason if self.status else "nothing"
                raise SystemExit(f"the node was not ready within {seconds:g} s; its status says: {said}")
            time.sleep(0.005)

    def _take_pose(self, message: PoseStamped, info: MessageInfo) -> None:
        now, stamp = time.monotonic(), message.header.stamp
        self.poses.append((now, message))
        self.pose_count += 1
        age_ns = info["source_timestamp"] - (stamp.sec * 1_000_000_000 + stamp.nanosec)
        self.heard.append(HeardPose(now, 1e-6 * age_ns))

    def _take_status(self, message: LocalizationStatus) -> None:
        self.status = message
        self.statuses.append((time.monotonic(), message))

    def _drive(self, stamp_ns: int | None = None) -> None:
        self._odometry.sendTransform(transform_message(np.eye(4), stamp_ns or time.time_ns(), "odom", "base_link"))

    def _film(self) -> None:
        """Stamps are of the schedule, so that a frame that this process has no time for shows as a gap."""
        while not self._ending.is_set():
            self._filming.wait()
            start, start_ns, n = time.monotonic(), time.time_ns(), 0
            while self._filming.is_set() and not self._ending.is_set():
                late = time.monotonic() - start - n * self._period_s
                missed = int(late / self._period_s)
                n, self.skipped = n + missed, self.skipped + missed
                self._send(start_ns + round(1e9 * n * self._period_s), n)
                n += 1
                time.sleep(max(0.0, start + n * self._period_s - time.monotonic()))

    def _send(self, stamp_ns: int, n: int) -> None:
        self._drive(stamp_ns)  # a busy machine's timer must not make the pose wait
        for name, publisher in self._topics.items():
            if name not in self.silent:
                message = self._pictures[name][n % _PICTURES]
                message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, 10**9)
                publisher.publish(message)
                self.sent[name] += 1


def _pictures() -> dict[str, list[Image]]:
    """The demo's room from one place, each time with another noise, in twice the demo camera's resolution."""
    plan = plan_test(0, _FRAME + 1)
    renderer = demo_renderer()
    renderer.set_light(plan.light, plan.exposure)
    frames = [renderer.measure(plan.poses[_FRAME], np.random.default_rng((n, _FRAME))) for n in range(_PICTURES)]
    size = (WIDTH, HEIGHT)
    colors = [cv2.resize(frame.color, size, interpolation=cv2.INTER_LINEAR) for frame in frames]
    depths = [cv2.resize(frame.depth, size, interpolation=cv2.INTER_NEAREST) for frame in frames]
    return {
        "color": [image_message(pixels, 0, CAMERA, encoding="rgb8") for pixels in colors],
        "depth": [image_message((1e3 * metres).astype(np.uint16), 0, CAMERA, encoding="16UC1") for metres in depths],
    }
