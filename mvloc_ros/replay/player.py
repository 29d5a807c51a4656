# SPDX-License-Identifier: Apache-2.0
"""Publishes a recording over DDS in real time, as the camera's driver did: `mvloc play`."""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rclpy.duration import Duration
from rclpy.node import Node
from rosbags.interfaces import QosDurability, QosReliability
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import TimeReference

from mvloc_ros.geometry.stamp_text import SECOND_NS
from mvloc_ros.recordings import topics
from mvloc_ros.recordings.bag_reader import BagReader, BagTopic, RawMessage
from mvloc_ros.recordings.typestore import is_as_installed
from mvloc_ros.replay import played_time
from mvloc_ros.replay.errors import ReplayError
from mvloc_ros.replay.restamp import Restamper
from mvloc_ros.replay.ros import Stop, message_class, quality, ros_node, stop_on_signals
from mvloc_ros.replay.timeline import Timeline

CLOCK_PERIOD_NS = 10_000_000
READ_AHEAD = 16
"""Messages read before they are due, so that the disk's delays do not reach the schedule."""
LEAD_NS = 200_000_000
"""Time to read the first messages, so that these are not late themselves."""
SETTLE_S = 0.5
"""After a publisher has seen its subscriber, the subscriber may still have to see the publisher; a
best-effort subscriber gets nothing until then."""
LINGER_S = 0.3
"""After the last message, for subscribers that still have to read it from the shared memory."""
POLL_S = 0.05

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PlayOptions:
    """How to play; see `mvloc play --help`. `wait_topics` None = do not wait, () = for the images."""

    rate: float = 1.0
    loop: bool = False
    clock: bool = False
    restamp: bool = False
    delay_s: float = 0.0
    wait_topics: tuple[str, ...] | None = None
    wait_deadline_s: float = 30.0
    allow_damage: bool = False

    def __post_init__(self) -> None:
        if not (np.isfinite(self.rate) and self.rate > 0.0):
            raise ReplayError(f"The rate must be a positive number, not {self.rate}.")
        if self.clock and self.restamp:
            raise ReplayError(
                "--clock and --restamp exclude each other: with --clock the recording's own time is the time."
            )


@dataclass
class PlayReport:
    """Messages sent per topic, and by how many milliseconds each one was late."""

    sent: Counter[str] = field(default_factory=Counter)
    late_ms: list[float] = field(default_factory=list)
    interrupted: bool = False
    damage: tuple[str, ...] = ()

    def text(self) -> str:
        """A table for the terminal."""
        lines = [f"{count:>7}  {topic}" for topic, count in sorted(self.sent.items())]
        if self.late_ms:
            p50, p95, worst = np.percentile(self.late_ms, [50, 95, 100])
            lines.append(f"late by {p50:.2f} ms (median), {p95:.2f} ms (p95), {worst:.2f} ms (at most)")
        lines += [f"note: {note}" for note in self.damage]
        return "\n".join([*lines, "interrupted"] if self.interrupted else lines)


class _Ready(NamedTuple):
    """A message that only has to be sent."""

    due_ns: int
    stamp_ns: int
    topic: str
    data: bytes


def play(path: Path | str, options: PlayOptions) -> PlayReport:
    """Play a recording until its end, or until SIGINT or SIGTERM.

    Header stamps stay those of the recording, which is the time that /clock shows (`clock`), or are
    moved to the system's time (`restamp`). Raises RecordingError for a bad recording, at its end where too much of it
    is lost, and ReplayError where no subscriber comes within the deadline.
    """
    with stop_on_signals() as stop, BagReader(path, allow_damage=options.allow_damage) as reader:
        if reader.message_count == 0:
            raise ReplayError(f"The recording {path} is empty: there is nothing to play.")
        with ros_node("mvloc_player") as node:
            player = _Player(node, reader, options, stop)
            player.wait_for_subscribers()
            stop.wait(options.delay_s)
            print(f"playing {path}: {reader.message_count} messages", flush=True)
            while not stop.is_set():
                player.play_once()
                if not options.loop:
                    break
            player.finish()
            player.report.damage = reader.damage_notes()
            reader.require_whole()
            return player.report


class _Player:
    def __init__(self, node: Node, reader: BagReader, options: PlayOptions, stop: Stop) -> None:
        self._node, self._reader, self._options, self._stop = node, reader, options, stop
        self._publishers = _publishers(node, reader, () if not options.restamp else (played_time.TOPIC,))
        self._clock = node.create_publisher(Clock, "/clock", quality(1)) if options.clock else None
        latched = quality(1, reliable=True, latched=True)
        self._reference = node.create_publisher(TimeReference, played_time.TOPIC, latched) if options.restamp else None
        self._next_reference_ns = 0
        self._restamp = Restamper(reader.store)
        self.report = PlayReport()

    def wait_for_subscribers(self) -> None:
        """Return when every topic waited for has its subscriber, so that no first frame is lost."""
        wanted = self._options.wait_topics
        if wanted is None:
            return
        if not wanted:
            images = (topics.IMAGE, topics.COMPRESSED_IMAGE)
            wanted = tuple(name for name in self._publishers if self._reader.topics[name].type in images)
        deadline = time.monotonic() + self._options.wait_deadline_s
        while missing := [name for name in wanted if not self._connected(name)]:
            if self._stop.is_set():
                return
            if time.monotonic() > deadline:
                raise ReplayError(
                    f"Nobody subscribed to {', '.join(missing)} within {self._options.wait_deadline_s:g} s: is the "
                    "node active, does it remap its topics to these, and does it use the same ROS_DOMAIN_ID?"
                )
            self._tick(self._reader.start_ns)
            self._stop.wait(POLL_S)
        self._stop.wait(SETTLE_S)

    def _connected(self, topic: str) -> bool:
        """One's own topic: matched. Another's (a node's output, say): it has a publisher and a subscriber."""
        if topic in self._publishers:
            return bool(self._publishers[topic].get_subscription_count())
        return bool(self._node.count_publishers(topic) and self._node.count_subscribers(topic))

    def play_once(self) -> None:
        """One pass through the recording."""
        messages = self._reader.raw(set(self._publishers), check_losses=False)  # after the last message
        timeline = Timeline.starting_in(LEAD_NS, self._reader.start_ns, self._options.rate)
        self._next_reference_ns = 0
        ready: deque[_Ready] = deque()
        next_tick_ns = timeline.monotonic_start_ns
        exhausted = False
        while not self._stop.is_set():
            while not exhausted and len(ready) < READ_AHEAD and (not ready or ready[0].due_ns > time.monotonic_ns()):
                message = next(messages, None)
                exhausted = message is None
                if message is not None:
                    ready.append(self._prepare(message, timeline))
            if not ready:
                return
            if self._clock is not None and next_tick_ns < ready[0].due_ns:
                if self._wait_until(next_tick_ns):
                    self._tick(timeline.bag_ns(next_tick_ns))
                next_tick_ns += CLOCK_PERIOD_NS
            elif self._wait_until(ready[0].due_ns):
                self._refer(timeline)
                self._send(ready.popleft())
        self.report.interrupted = True

    def _prepare(self, message: RawMessage, timeline: Timeline) -> _Ready:
        data = self._restamp(message, timeline.wall_ns) if self._options.restamp else message.data
        return _Ready(timeline.due_ns(message.stamp_ns), message.stamp_ns, message.topic, data)

    def _wait_until(self, due_ns: int) -> bool:
        """Wait until a monotonic time; False if stopped meanwhile."""
        remaining = due_ns - time.monotonic_ns()
        return not (self._stop.wait(remaining / SECOND_NS) if remaining > 0 else self._stop.is_set())

    def _send(self, message: _Ready) -> None:
        self._tick(message.stamp_ns)
        self.report.late_ms.append((time.monotonic_ns() - message.due_ns) / 1e6)
        self._publishers[message.topic].publish(message.data)
        self.report.sent[message.topic] += 1

    def _refer(self, timeline: Timeline) -> None:
        """Say by how much the stamps are moved, now and then."""
        now = time.monotonic_ns()
        if self._reference is not None and now >= self._next_reference_ns:
            self._next_reference_ns = now + played_time.PERIOD_NS
            self._reference.publish(played_time.fill_reference(TimeReference(), timeline))

    def _tick(self, bag_ns: int) -> None:
        if self._clock is not None:
            message = Clock()
            message.clock.sec, message.clock.nanosec = divmod(bag_ns, SECOND_NS)
            self._clock.publish(message)

    def finish(self) -> None:
        """Give reliable subscribers time to confirm, and the others time to read."""
        if self._stop.is_set():
            self.report.interrupted = True
            return
        for publisher in self._publishers.values():
            publisher.wait_for_all_acked(Duration(seconds=1))
        self._stop.wait(LINGER_S)


def _publishers(node: Node, reader: BagReader, own: Collection[str]) -> dict[str, Any]:
    """A publisher for each topic whose type is installed as it was recorded; others are named in a warning.

    `own` are the player's topics.
    """
    publishers: dict[str, Any] = {}
    for topic in reader.topics.values():
        if topic.count == 0 or topic.name in own:
            continue
        try:
            kind = message_class(topic.type)
        except ReplayError as error:
            _log.warning("%s is not played: %s", topic.name, error)
            continue
        if not is_as_installed(reader.store, topic.type):  # its bytes would be read as something else
            _log.warning(
                "%s is not played: its messages were recorded with other fields than %s has here; install the version "
                "of the package that they were recorded with.",
                topic.name, topic.type,
            )  # fmt: skip
            continue
        publishers[topic.name] = node.create_publisher(kind, topic.name, _offered(topic))
    if not publishers:
        raise ReplayError(
            f"No topic of {reader.path} can be played: their message packages are not installed, or in other versions."
        )
    return publishers


def _offered(topic: BagTopic) -> Any:
    """The QoS that the recorded publishers offered; without a record, that of a camera driver."""
    latched = topic.name == topics.TF_STATIC or any(q.durability == QosDurability.TRANSIENT_LOCAL for q in topic.qos)
    reliable = not any(q.reliability == QosReliability.BEST_EFFORT for q in topic.qos)
    # A latched topic keeps all of its messages: several static broadcasters may be in one recording.
    return quality(max(topic.count, 1) if latched else 5, reliable=reliable, latched=latched)
