# SPDX-License-Identifier: Apache-2.0
"""All that an active node has from its cameras: subscriptions, camera_info, the fallback's timer, the watchdog."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo

from mvloc_ros.foreign_text import shown
from mvloc_ros.frontend.front_end import TICK_S
from mvloc_ros.frontend.input_log import InputLog
from mvloc_ros.frontend.transport_names import info_topic
from mvloc_ros.limits import MOST_LOG_CHARACTERS
from mvloc_ros.model.manifest import Manifest
from mvloc_ros.node.lasting_problems import Level, Problem, ProblemLog
from mvloc_ros.node.odometry import RobotTransforms
from mvloc_ros.node.pipeline import Pipeline
from mvloc_ros.node.subscriptions import (
    ImageSubscription,
    Topic,
    info_subscription,
    pair_info,
    pair_topic,
    sensor_topic,
)
from mvloc_ros.node.throttled_group import ThrottledGroup
from mvloc_ros.node.topic_monitor import TopicMonitor
from mvloc_ros.node.watchdog import Watchdog
from mvloc_ros.parameters.table import NodeParameters

_LOOK_S = 1.0
_INFO_S = 1.0


class Inputs:
    """From activate to deactivate; used by the executor's thread."""

    def __init__(
        self,
        node: Node,
        values: NodeParameters,
        manifest: Callable[[], Manifest],
        pipeline: Pipeline,
        log: InputLog,
        transforms: RobotTransforms | None = None,
    ) -> None:
        """Subscribe and begin to watch.

        Args:
            node: whose subscriptions and timers these are.
            values: the parameters.
            manifest: of the model that runs.
            pipeline: gets the messages.
            log: told what is said about input.
            transforms: the robot's, where they are listened to.

        Raises:
            QosError: this distribution lacks the QoS that is asked for.
        """
        self._node, self._manifest, self._log = node, manifest, log
        self._server = pipeline.server
        self.color, self.depth = TopicMonitor("colour"), TopicMonitor("depth")
        self.further = {name: TopicMonitor(name) for name in self._server.sensor_topics}
        self._monitors = [self.color, self.depth, *self.further.values()]
        self._info_groups = {monitor.name: ThrottledGroup(_INFO_S) for monitor in self._monitors}
        self._images, self._infos = list[ImageSubscription](), list[Subscription]()
        takes = {"color": pipeline.take_color, "depth": pipeline.take_depth}
        for (side, take), monitor in zip(takes.items(), (self.color, self.depth), strict=True):
            infos = pair_info(node, side), node.resolve_topic_name(f"{side}/image")
            self._subscribe(values, side, pair_topic(node, values, side), infos, monitor, take)
        for name, topic in self._server.sensor_topics.items():
            infos = info_topic(topic), node.resolve_topic_name(topic)
            take = partial(pipeline.take_further, name)
            self._subscribe(values, name, sensor_topic(topic), infos, self.further[name], take)
        self.watchdog = Watchdog(node, values, self._server, self._monitors, transforms)
        front = self._server.front
        front.topics = {"color": self.color.topic, "depth": self.depth.topic}
        front.topics |= {name: monitor.topic for name, monitor in self.further.items()}
        front.explain_missing = self.watchdog.explain_missing
        self._findings = ProblemLog(log)
        # Of the steady clock: what does not come must be noticed where simulated time stands still too.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timers = [
            node.create_timer(TICK_S, pipeline.tick, clock=steady),
            node.create_timer(_LOOK_S, self._watch, clock=steady),
        ]

    def _subscribe(
        self,
        values: NodeParameters,
        modality: str,
        topic: Topic,
        infos: tuple[str, str],
        monitor: TopicMonitor,
        take: Callable[[Any], None],
    ) -> None:
        """Subscribe to images, and to the first of `infos`, which are the camera_info and the full image topic."""

        def take_image(message: Any) -> None:
            self._note(monitor, message)
            take(message)

        def take_info(message: CameraInfo) -> None:
            self._server.infos.take(modality, message, infos[1])

        self._images.append(ImageSubscription(self._node, values, topic, monitor, take_image))
        group = self._info_groups[monitor.name]
        self._infos.append(info_subscription(self._node, values, infos[0], take_info, group, self._log))

    def close(self) -> None:
        """Unsubscribe."""
        for timer in self._timers:
            self._node.destroy_timer(timer)
        for image in self._images:
            image.close()
        for info in self._infos:
            self._node.destroy_subscription(info)

    @property
    def lost(self) -> int:
        """Images of all topics that never came."""
        return sum(monitor.gaps.lost for monitor in self._monitors)

    def _watch(self) -> None:
        self.watchdog.check_losses()
        self.look()
        self._log.flush()

    def look(self) -> None:
        """Let the watchdog look, and log what it finds."""
        for image in self._images:
            image.renew()
        now = time.monotonic()
        said, found = bool(self.watchdog.depth_text), self.watchdog.look(self._manifest(), now)
        if self.watchdog.depth_text and not said:
            self._log.tell("depth unit", f"depth is read as {self.watchdog.depth_text}")
        self._findings.update(found)

    def reason(self) -> str:
        """What is wrong, worst first, in one line; empty if nothing is."""
        found = sorted(self.watchdog.findings, key=lambda finding: -finding.level)
        return "; ".join(finding.text for finding in found if finding.level > Level.OK)

    def diagnostics(self, node_name: str, hardware: str, missing: Mapping[str, str]) -> list[DiagnosticStatus]:
        """One REP-107 status for each input, for their pairing, and for the transforms.

        `missing`: why TF does not tell what the robot's pose needs; empty texts for what it tells.
        """
        parts: dict[str, dict[str, object]] = {
            monitor.name: {
                "topic": monitor.topic,
                "received": monitor.received,
                "lost_in_transport": monitor.gaps.lost,
                "rate_hz": "" if (rate := monitor.gaps.rate_hz()) is None else f"{rate:.1f}",
                "image": monitor.look,
                "publishers": self._node.count_publishers(monitor.topic),
                "incompatible_qos": ", ".join(monitor.policies),
            }
            for monitor in self._monitors
        }
        parts["depth"]["measurements"] = self.watchdog.depth_text
        miss_ns = self._server.front.synchronizer.smallest_miss_ns
        parts["synchronization"] = {
            "pairs": self._server.front.counts.pairs,
            "single_modality": self._server.front.counts.single,
            "smallest_gap_ms": "" if miss_ns is None else f"{1e-6 * miss_ns:.1f}",
        }
        if self._manifest().sensors:
            absent = [item.sensor.name for item in self._manifest().sensors if item.sensor.name not in self.further]
            parts["synchronization"] |= {
                "without_pair": self._server.front.counts.without_pair,
                "sensors_without_topic": ", ".join(absent),
            }
        parts["transforms"] = {"clouds": self._server.reader.cloud_problem, **missing}
        found = [
            *self.watchdog.findings,
            *(Problem("transforms", what, Level.WARN, text) for what, text in missing.items() if text),
        ]
        return [_status(part, f"{node_name}: {part}", hardware, values, found) for part, values in parts.items()]

    def sensor_states(self) -> list[str]:
        """Of each further sensor of the model, `OK` or what is wrong with it, in the words of its diagnostics."""
        names = [item.sensor.name for item in self._manifest().sensors]
        found = self.watchdog.findings
        return [
            _words(name, found) if name in self.further else f"sensor_topics names no topic of {name}" for name in names
        ]

    def _note(self, monitor: TopicMonitor, message: Any) -> None:
        monitor.note(message, time.monotonic())
        if monitor.changed:
            self._log.warn(f"{monitor.name} images changed", monitor.changed)
            monitor.changed = ""
            self._info_groups[monitor.name].open()


def _status(
    part: str, name: str, hardware: str, values: Mapping[str, object], findings: Iterable[Problem]
) -> DiagnosticStatus:
    found = [finding for finding in findings if finding.part == part]
    return DiagnosticStatus(
        level=bytes([max((finding.level for finding in found), default=Level.OK)]),
        name=name,
        hardware_id=hardware,
        message=shown(_words(part, found), MOST_LOG_CHARACTERS),
        values=[KeyValue(key=key, value=shown(value, MOST_LOG_CHARACTERS)) for key, value in values.items()],
    )


def _words(part: str, findings: Iterable[Problem]) -> str:
    """What is wrong with a part, or `OK`."""
    return "; ".join(finding.text for finding in findings if finding.part == part) or "OK"
