# SPDX-License-Identifier: Apache-2.0
"""All that an active node has from its cameras: subscriptions, camera_info, the fallback's timer, the watchdog."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo

from mvloc_ros.foreign_text import shown
from mvloc_ros.inference.manifest import Manifest
from mvloc_ros.limits import MOST_DISTORTION_COEFFICIENTS, MOST_LOG_CHARACTERS
from mvloc_ros.node.image_reader import ImageReader
from mvloc_ros.node.input_log import InputLog
from mvloc_ros.node.lasting_problems import Level, Problem, ProblemLog
from mvloc_ros.node.messages import MessageError, require_frame
from mvloc_ros.node.odometry import RobotTransforms
from mvloc_ros.node.pipeline import TICK_S, Pipeline
from mvloc_ros.node.subscriptions import ImageSubscription, info_subscription
from mvloc_ros.node.throttled_group import ThrottledGroup
from mvloc_ros.node.topic_monitor import TopicMonitor
from mvloc_ros.node.watchdog import Watchdog
from mvloc_ros.parameters.table import NodeParameters
from mvloc_ros.sensors.camera_info import CameraInfoError, CameraModel, read_camera_info

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
        reader: ImageReader,
        log: InputLog,
        transforms: RobotTransforms | None = None,
    ) -> None:
        """Subscribe and begin to watch.

        Args:
            node: whose subscriptions and timers these are.
            values: the parameters.
            manifest: of the model that runs.
            pipeline: gets the images; it reads them with `reader`.
            reader: told what camera_info says.
            log: told what is said about input.
            transforms: the robot's, where they are listened to.

        Raises:
            QosError: this distribution lacks the QoS that is asked for.
        """
        self._node, self._pipeline, self._reader, self._manifest = node, pipeline, reader, manifest
        self.color, self.depth = TopicMonitor("colour"), TopicMonitor("depth")
        self._pose_of, self._rescales = manifest().frames.pose_of, values.rescale_input
        pipeline.carrier_frame = values.camera_frame
        self._images = [
            ImageSubscription(node, values, "color", self.color, self._take_color),
            ImageSubscription(node, values, "depth", self.depth, self._take_depth),
        ]
        self._info_groups = {monitor.name: ThrottledGroup(_INFO_S) for monitor in (self.color, self.depth)}
        self._infos = [
            info_subscription(node, values, "color", self._take_color_info, self._info_groups["colour"], log),
            info_subscription(node, values, "depth", self._take_depth_info, self._info_groups["depth"], log),
        ]
        self._raw_infos: dict[str, str] = {}
        self.watchdog = Watchdog(node, values, pipeline, reader, [self.color, self.depth], transforms)
        pipeline.explain_missing = self.watchdog.explain_missing
        self._log, self._findings = log, ProblemLog(log)
        # Of the steady clock: what does not come must be noticed where simulated time stands still too.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timers = [
            node.create_timer(TICK_S, pipeline.tick, clock=steady),
            node.create_timer(_LOOK_S, self._watch, clock=steady),
        ]

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
        """Images of both topics that never came."""
        return self.color.gaps.lost + self.depth.gaps.lost

    def _watch(self) -> None:
        self.watchdog.judge_losses()
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
            for monitor in (self.color, self.depth)
        }
        parts["depth"]["measurements"] = self.watchdog.depth_text
        miss_ns = self._pipeline.synchronizer.smallest_miss_ns
        parts["synchronization"] = {
            "pairs": self._pipeline.counts.pairs,
            "single_modality": self._pipeline.counts.single,
            "smallest_gap_ms": "" if miss_ns is None else f"{1e-6 * miss_ns:.1f}",
        }
        parts["transforms"] = {"clouds": self._reader.cloud_problem, **missing}
        found = [
            *self.watchdog.findings,
            *(Problem("transforms", what, Level.WARN, text) for what, text in missing.items() if text),
        ]
        return [_status(part, f"{node_name}: {part}", hardware, values, found) for part, values in parts.items()]

    def _take_color(self, message: Any) -> None:
        self._note(self.color, message)
        self._pipeline.take_color(message)

    def _take_depth(self, message: Any) -> None:
        self._note(self.depth, message)
        self._pipeline.take_depth(message)

    def _note(self, monitor: TopicMonitor, message: Any) -> None:
        monitor.note(message, time.monotonic())
        if monitor.changed:
            self._log.warn(f"{monitor.name} images changed", monitor.changed)
            monitor.changed = ""
            self._info_groups[monitor.name].open()

    def _take_color_info(self, message: CameraInfo) -> None:
        model = self._read_info("color", message)
        if model is not None:
            self._reader.color_model = model

    def _take_depth_info(self, message: CameraInfo) -> None:
        model = self._read_info("depth", message)
        if model is not None:
            self._reader.depth_model = model

    def _read_info(self, side: str, message: CameraInfo) -> CameraModel | None:
        """The camera, if anything but the stamp is new."""
        region, bins = message.roi, (message.binning_x, message.binning_y)
        matrices = (*message.k, *message.d[: MOST_DISTORTION_COEFFICIENTS + 1], *message.p)
        window = (region.x_offset, region.y_offset, region.width, region.height)
        # As text, in which NaN equals itself: what is unusable is told once, not with every message.
        content = repr((message.width, message.height, matrices, shown(message.distortion_model), window, bins))
        if content == self._raw_infos.get(side):
            return None
        self._raw_infos[side] = content
        name = (self.color if side == "color" else self.depth).name
        try:
            frame_id = require_frame(f"The camera_info of {name}", message.header.frame_id)
            model = read_camera_info(message, self._node.resolve_topic_name(f"{side}/image"))
        except (CameraInfoError, MessageError) as error:
            known = self._reader.color_model if side == "color" else self._reader.depth_model
            until_then = "not used" if self._rescales else "taken for the training camera's"
            until_then = "read by the camera_info before" if known is not None else until_then
            self._reader.info_problems[name] = f"{error} Until then its images are {until_then}."
            self._log.warn(f"{name} camera_info unusable", self._reader.info_problems[name])
            return None
        if side == self._pose_of and not self._pipeline.carrier_frame:
            self._pipeline.carrier_frame = frame_id
        self._reader.info_problems.pop(name, None)
        remark = f"; {model.remark}" if model.remark else ""
        text = f"camera_info of {side}: {model.camera} ({model.matrix}), {model.distortion_text}{remark}"
        self._log.tell(f"{name} camera_info", text)
        return model


def _status(
    part: str, name: str, hardware: str, values: Mapping[str, object], findings: Iterable[Problem]
) -> DiagnosticStatus:
    found = [finding for finding in findings if finding.part == part]
    return DiagnosticStatus(
        level=bytes([max((finding.level for finding in found), default=Level.OK)]),
        name=name,
        hardware_id=hardware,
        message=shown("; ".join(finding.text for finding in found) or "OK", MOST_LOG_CHARACTERS),
        values=[KeyValue(key=key, value=shown(value, MOST_LOG_CHARACTERS)) for key, value in values.items()],
    )
