# SPDX-License-Identifier: Apache-2.0
"""What becomes of each frame and of silence, told: poses, statuses, diagnostics, and words in the log.

The methods about frames are called by the worker's thread, the others by the executor's.
"""

from __future__ import annotations

import time

from rclpy.node import Node
from std_msgs.msg import Header

from mvloc_ros.frontend.front_end import PairedFrame
from mvloc_ros.frontend.input_log import InputLog
from mvloc_ros.localization.estimate import PoseEstimate
from mvloc_ros.localization.tracker import State
from mvloc_ros.msg import LocalizationStatus
from mvloc_ros.node import status
from mvloc_ros.node.available_maps import AvailableMaps
from mvloc_ros.node.debug_outputs import DebugOutputs
from mvloc_ros.node.inputs import Inputs
from mvloc_ros.node.model_exchange import ModelSlot
from mvloc_ros.node.outputs import Outputs
from mvloc_ros.node.pipeline import Pipeline
from mvloc_ros.node.ros_clock import RosClock
from mvloc_ros.node.sensor_status import add_frame_sensors, add_sensor_counters
from mvloc_ros.parameters.table import NodeParameters
from mvloc_ros.pipeline.localized import Localized


class Reporter:
    """Lives as long as one activation."""

    def __init__(
        self,
        node: Node,
        values: NodeParameters,
        models: ModelSlot,
        maps: AvailableMaps,
        outputs: Outputs,
        clock: RosClock,
        log: InputLog,
        debug: DebugOutputs,
    ) -> None:
        """Nothing has come yet, and nothing is told before `attach`."""
        self._node, self._values, self._models, self._maps, self._outputs = node, values, models, maps, outputs
        self._time, self._log, self._debug = clock, log, debug
        self._started = time.monotonic()
        self._pipeline: Pipeline | None = None
        self._inputs: Inputs | None = None
        self._last_status: LocalizationStatus | None = None
        self._last_invalid, self._invalid_seen = "", 0

    def attach(self, pipeline: Pipeline, inputs: Inputs) -> None:
        """Tell of these from now on."""
        self._pipeline, self._inputs = pipeline, inputs

    # Frames ---------------------------------------------------------------------------------------------

    def publish(self, localized: Localized) -> None:
        """Publish a pose that was accepted, or that is asked for while LOST."""
        placement = localized.placement
        if localized.accepted or (self._values.publish_lost_pose and placement.verdict.state is State.LOST):
            self._outputs.publish_pose(placement)

    def report_pose(self, localized: Localized, wait_ms: float, publish_ms: float) -> None:
        """Tell the status after the pose that was published last."""
        # Taken first: the status is no part of what it measures.
        callback_to_publication_ms = 1e3 * (time.perf_counter() - localized.paired.callback_time)
        stamp_to_publication_ms = 1e-6 * (self._time.now_ns() - localized.estimate.pose.stamp_ns)
        message = status.frame_status(localized, wait_ms)
        message.publish_ms = publish_ms
        message.callback_to_publication_ms = callback_to_publication_ms
        message.stamp_to_publication_ms = stamp_to_publication_ms
        if localized.rejection:
            self._log.warn("rejected poses", f"a pose was rejected: {localized.rejection}")
        self._publish_status(message, localized.paired, localized.estimate)
        self._debug.show(localized)

    def report_failure(self, paired: PairedFrame, reason: str) -> None:
        """Tell that a frame gave no pose."""
        self._log.warn("frames without a pose", reason)
        self._publish_status(status.failed_status(paired, reason), paired)
        self._debug.show_failure(paired, reason)

    # Images that cannot be used, and silence --------------------------------------------------------------

    def note_invalid(self, name: str, _stamp_ns: int, reason: str) -> None:
        """An image of `colour`, `depth` or a further sensor could not be used."""
        self._last_invalid = reason
        self._log.warn(f"{name} images not used", reason)

    def tick(self) -> None:
        """Tell of silence, and publish diagnostics; to be called every `status_period`."""
        pipeline, inputs = self._pipeline, self._inputs
        if pipeline is None or inputs is None:
            return
        if not self._time.is_simulated:
            pipeline.server.stamps.compare_clocks()
        working_for = pipeline.working_for_s
        quiet_for = time.monotonic() - (pipeline.server.front.last_frame_s or self._started)
        header = Header(stamp=self._node.get_clock().now().to_msg(), frame_id=self._models.current.map_frame)
        if not pipeline.enabled:
            self._publish_idle(header, LocalizationStatus.INITIALISING, "disabled by ~/set_enabled")
        elif self._time.is_missing:
            self._publish_idle(header, LocalizationStatus.STARVED, "use_sim_time is set, but nothing comes on /clock")
        elif working_for > max(self._values.lost_after, self._values.starvation_timeout):
            reason = f"the frame in work has not been finished for {working_for:.0f} s, and the next ones wait"
            self._publish_idle(header, LocalizationStatus.LOST, reason)
        elif quiet_for > self._values.starvation_timeout:
            self._publish_idle(header, LocalizationStatus.STARVED, self._explain_silence(pipeline, inputs))
        elif self._last_status is None:
            self._publish_idle(header, LocalizationStatus.INITIALISING, "waiting for the first images")
        if self._last_status is not None:
            name = self._node.get_fully_qualified_name().lstrip("/")
            self._maps.look()
            maps = {"map": self._models.current.bundle.map_name, "maps_available": self._maps.in_words}
            message = status.diagnostics(self._last_status, name, header, maps)
            message.status += inputs.diagnostics(
                name, self._models.current.bundle.name, pipeline.server.tracking.missing
            )
            self._outputs.publish_diagnostics(message)

    def _explain_silence(self, pipeline: Pipeline, inputs: Inputs) -> str:
        counts = pipeline.server.front.counts
        invalid = counts.color_invalid + counts.depth_invalid + sum(counts.further_invalid.values())
        if self._last_invalid and invalid > self._invalid_seen:
            self._invalid_seen = invalid
            return self._last_invalid
        inputs.look()
        return inputs.reason() or "images stopped coming"

    def _publish_idle(self, header: Header, state: int, reason: str) -> None:
        self._publish_status(LocalizationStatus(header=header, state=state, reason=reason))

    def _publish_status(
        self, message: LocalizationStatus, paired: PairedFrame | None = None, estimate: PoseEstimate | None = None
    ) -> None:
        pipeline, inputs = self._pipeline, self._inputs
        if pipeline is None or inputs is None:
            return
        model = self._models.current
        message.model, message.backend = model.bundle.name, model.backend.description
        status.add_counters(message, pipeline)
        sensors = [item.sensor.name for item in model.bundle.manifest.sensors]
        add_frame_sensors(message, sensors, paired, estimate)
        add_sensor_counters(message, sensors, pipeline.server.front, inputs.sensor_states())
        message.lost_in_transport = inputs.lost
        status.add_trust(message, pipeline.server)
        status.bound(message)
        self._last_status = message
        self._outputs.publish_status(message)
