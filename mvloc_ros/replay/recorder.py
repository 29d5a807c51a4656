# SPDX-License-Identifier: Apache-2.0
"""Stores what topics carry, byte for byte and with its time of receipt: `mvloc record`."""

from __future__ import annotations

import logging
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy

from mvloc_ros.errors import MvlocError
from mvloc_ros.recordings import topics
from mvloc_ros.recordings.bag_writer import BagWriter, qos_profile
from mvloc_ros.replay import played_time
from mvloc_ros.replay.ros import Stop, message_class, quality, ros_node, stop_on_signals

DEFAULT_TOPICS = {
    "/mvloc/pose": topics.POSE,
    "/mvloc/pose_with_covariance": topics.POSE_WITH_COVARIANCE,
    "/mvloc/status": topics.STATUS,
    topics.TF: topics.TF_MESSAGE,
    played_time.TOPIC: played_time.TYPE,
    topics.GROUND_TRUTH: topics.POSE,
}
"""What the evaluation needs. Their types are known, so the recorder subscribes before anyone publishes
and misses no first message."""
QUEUE = 1000
DISCOVERY_S = 0.2
SPIN_S = 0.1

_log = logging.getLogger(__name__)


@dataclass
class RecordReport:
    """Messages stored per topic."""

    received: Counter[str] = field(default_factory=Counter)
    silent: tuple[str, ...] = ()

    def text(self) -> str:
        """A table for the terminal."""
        lines = [f"{count:>7}  {topic}" for topic, count in sorted(self.received.items())]
        return "\n".join(lines + [f"{0:>7}  {topic}" for topic in self.silent])


def record(
    out: Path | str, wanted: list[str] | None = None, seconds: float | None = None, *, force: bool = False
) -> RecordReport:
    """Record topics (default: what the evaluation needs) until SIGINT or SIGTERM, or for some seconds.

    A topic of unknown type is subscribed as soon as a publisher of it shows up. The recording is
    complete when this returns. Raises RecordingError where it cannot be written.
    """
    names = list(DEFAULT_TOPICS) if wanted is None else wanted
    with stop_on_signals() as stop, BagWriter(out, force=force) as writer, ros_node("mvloc_recorder") as node:
        recorder = _Recorder(node, writer, names)
        recorder.run(stop, seconds)
        return recorder.report()


class _Recorder:
    def __init__(self, node: Node, writer: BagWriter, names: list[str]) -> None:
        self._node, self._writer, self._names = node, writer, names
        self._subscriptions: dict[str, Any] = {}
        self._refused: set[str] = set()
        self._received: Counter[str] = Counter()
        for name in names:
            if name in DEFAULT_TOPICS:
                self._subscribe(name, DEFAULT_TOPICS[name])

    def run(self, stop: Stop, seconds: float | None) -> None:
        """Receive until stopped."""
        executor = SingleThreadedExecutor(context=self._node.context)
        executor.add_node(self._node)
        print(f"recording {', '.join(self._names)}", flush=True)
        end = None if seconds is None else time.monotonic() + seconds
        next_discovery = 0.0
        try:
            while not stop.is_set() and (end is None or time.monotonic() < end):
                if time.monotonic() >= next_discovery:
                    self._discover()
                    next_discovery = time.monotonic() + DISCOVERY_S
                executor.spin_once(timeout_sec=SPIN_S)
        finally:
            executor.shutdown()

    def report(self) -> RecordReport:
        """What came so far."""
        return RecordReport(self._received, tuple(name for name in self._names if not self._received[name]))

    def _discover(self) -> None:
        """Subscribe to what has appeared, and meet publishers that offer less than a reliable topic."""
        graph = dict(self._node.get_topic_names_and_types())
        for name in self._names:
            if name in graph and name not in self._refused and self._should_subscribe(name):
                self._subscribe(name, DEFAULT_TOPICS.get(name, graph[name][0]))

    def _should_subscribe(self, name: str) -> bool:
        publishers = self._node.get_publishers_info_by_topic(name)
        if name not in self._subscriptions:
            return bool(publishers)
        asks = self._subscriptions[name].qos_profile.reliability
        return asks == ReliabilityPolicy.RELIABLE and not _all_reliable(publishers)

    def _subscribe(self, name: str, message_type: str) -> None:
        """Subscribe as the publishers allow: a stricter subscription would get nothing, silently."""
        publishers = self._node.get_publishers_info_by_topic(name)
        latched = bool(publishers) and all(
            info.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL for info in publishers
        )
        reliable = _all_reliable(publishers)
        try:
            kind = message_class(message_type)
            if name not in self._subscriptions:
                self._writer.add_topic(name, message_type, qos_profile(5, reliable=reliable, latched=latched))
        except MvlocError as error:
            self._refused.add(name)
            _log.warning("%s is not recorded: %s", name, error)
            return
        if name in self._subscriptions:
            self._node.destroy_subscription(self._subscriptions[name])
        self._subscriptions[name] = self._node.create_subscription(
            kind,
            name,
            lambda data: self._store(name, data),
            quality(QUEUE, reliable=reliable, latched=latched),
            raw=True,
        )

    def _store(self, name: str, data: bytes) -> None:
        self._writer.write_raw(name, time.time_ns(), data)
        self._received[name] += 1


def _all_reliable(publishers: list[Any]) -> bool:
    return all(info.qos_profile.reliability != ReliabilityPolicy.BEST_EFFORT for info in publishers)
