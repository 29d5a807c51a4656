# SPDX-License-Identifier: Apache-2.0
"""One case: a camera at one rate and size, one node, and what came of it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from bench.latency.figures import inside, outside, uncounted_images
from bench.latency.listener import Listener
from bench.latency.processes import Contestant, Cost, cost_of, running

POLL_S = 0.02
START_S = 120.0
QUIET_S = 1.5  # after the camera has ended: nothing more comes


@dataclass(frozen=True)
class View:
    """What the camera sends: pairs a second, and for how long after a lead that is not measured."""

    width: int
    height: int
    rate_hz: float
    seconds: float
    lead_s: float = 2.0


def run_case(contestant: Contestant, view: View, scratch: Path) -> dict[str, Any]:
    """Start the node and a camera, listen, end both; the figures of what was measured."""
    stamps_file = scratch / "stamps.json"
    stamps_file.unlink(missing_ok=True)
    with listening(contestant.pose_topic) as listener, running(*contestant.command) as node:
        _wait_for(lambda: listener.count_publishers(contestant.pose_topic) or node.poll() is not None, START_S)
        camera = ("-m", "bench.latency.camera", "--stamps", str(stamps_file), *_arguments(view))
        with running(*camera) as sender:
            _wait_for(lambda: listener.poses or node.poll() is not None or sender.poll() is not None, START_S)
            if node.poll() is not None or not listener.poses:
                raise SystemExit(f"the node {contestant.name!r} gave no pose; its output is above")
            time.sleep(view.lead_s)
            before, poses_before = cost_of(node.pid), len(listener.poses)
            _wait_for(lambda: sender.poll() is not None, view.seconds + START_S)
            after, poses_after = cost_of(node.pid), len(listener.poses)
        _wait_until_quiet(listener)
        cost = _cost(before, after, poses_after - poses_before)
    return _result(contestant, view, json.loads(stamps_file.read_text()), listener, cost)


@contextmanager
def listening(pose_topic: str) -> Iterator[Listener]:
    """A listener, in a thread of its own."""
    listener, executor = Listener(pose_topic), SingleThreadedExecutor()
    executor.add_node(listener)
    thread = threading.Thread(target=executor.spin)
    thread.start()
    try:
        yield listener
    finally:
        executor.shutdown()
        thread.join()
        listener.destroy_node()


@contextmanager
def ros() -> Iterator[None]:
    """ROS for this process, with one participant from beginning to end."""
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)  # Ctrl-C reaches this thread, which ends the node
    anchor = rclpy.create_node("bench", enable_rosout=False, start_parameter_services=False)
    try:
        yield
    finally:
        anchor.destroy_node()
        rclpy.shutdown()


def _arguments(view: View) -> tuple[str, ...]:
    values = {"width": view.width, "height": view.height, "rate": view.rate_hz, "seconds": view.lead_s + view.seconds}
    return tuple(word for name, value in values.items() for word in (f"--{name}", str(value)))


def _wait_for(condition: Any, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(POLL_S)


def _wait_until_quiet(listener: Listener) -> None:
    count = -1
    while count != len(listener.poses):
        count = len(listener.poses)
        time.sleep(QUIET_S)


def _cost(before: Cost, after: Cost, poses: int) -> dict[str, float | None]:
    return {
        "cpu_ms_per_pose": round(1e3 * (after.cpu_s - before.cpu_s) / poses, 2) if poses else None,
        "resident_mb": round(after.resident_mb, 1),
        "of_that_shared_mb": round(after.shared_mb, 1),
        "peak_resident_mb": round(after.peak_mb, 1),
    }


def _result(
    contestant: Contestant, view: View, stamps: list[int], listener: Listener, cost: dict[str, Any]
) -> dict[str, Any]:
    begin = stamps[0] + round(1e9 * view.lead_s)
    sent = [stamp for stamp in stamps if stamp >= begin]
    measured = [pose for pose in listener.poses if pose.stamp_ns >= begin]
    steps = [step for stamp, step in listener.steps.items() if stamp >= begin]
    lasted = 1e-9 * (stamps[-1] - begin) or view.seconds
    counters = listener.counters
    return {
        "node": contestant.name,
        "width": view.width,
        "height": view.height,
        "rate_hz": view.rate_hz,
        "sent": len(sent),
        "sent_hz": round(len(sent) / lasted, 2),
        "poses": len(measured),
        "poses_hz": round(len(measured) / lasted, 2),
        "without_pose": len(set(sent) - {pose.stamp_ns for pose in measured}),
        **outside(measured),
        "steps": inside(steps),
        **cost,
        "counters": counters,
        "sent_with_lead": len(stamps),
        "uncounted_images": uncounted_images(counters) if counters else None,
    }
