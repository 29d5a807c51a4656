# SPDX-License-Identifier: Apache-2.0
"""The lifecycle node: colour and depth in; pose, transform, status and diagnostics out.

configure   parameters, model bundle, backend, warm-up, publishers
activate    subscriptions, worker, timers
deactivate  the reverse of activate; cleanup: the reverse of configure
"""

from __future__ import annotations

import time

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped, PoseWithCovarianceStamped
from rcl_interfaces.msg import SetParametersResult
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from tf2_ros import TransformBroadcaster

from mvloc_ros.inference.backend import create_backend
from mvloc_ros.inference.bundle import read_bundle
from mvloc_ros.localization.localizer import Localizer, PoseEstimate
from mvloc_ros.msg import LocalizationStatus
from mvloc_ros.node import parameters, status
from mvloc_ros.node.messages import pose_messages
from mvloc_ros.node.pipeline import PairedFrame, Pipeline
from mvloc_ros.node.transitions import logged
from mvloc_ros.node.watchdog import explain_silence

_WARN_PERIOD_S = 5.0


class LocalizationNode(LifecycleNode):
    """Localizes a camera in the map that its model was trained in."""

    def __init__(self) -> None:
        super().__init__("mvloc")
        parameters.declare(self)
        self._configured = False
        self._pipeline: Pipeline | None = None
        self._transforms = TransformBroadcaster(self)
        self.add_on_set_parameters_callback(self._on_set_parameters)

    def _on_set_parameters(self, changes: list[Parameter]) -> SetParametersResult:
        return parameters.check_change(changes, self._configured)

    # Transitions ------------------------------------------------------------------------------------

    @logged
    def on_configure(self, _state: LifecycleState) -> TransitionCallbackReturn:
        """Read the parameters, load and warm up the model, create the publishers."""
        self._settings = parameters.read(self)
        self._load_model()
        self._create_publishers()
        self._configured = True
        return TransitionCallbackReturn.SUCCESS

    @logged
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe and start working."""
        super().on_activate(state)
        self._started = time.monotonic()
        self._last_status: LocalizationStatus | None = None
        self._last_invalid, self._invalid_seen = "", 0
        self._pipeline = Pipeline(
            self._localizer,
            self._bundle.manifest.frames.pose_of,
            round(1e9 * self._settings.pair_tolerance),
            self._settings.image_queue_size,
            self._publish_estimate,
            self._report_estimate,
            self._warn_invalid,
            self._publish_failure,
        )
        self._subscribe(self._pipeline)
        self._timer = self.create_timer(self._settings.status_period, self._tick)
        self.get_logger().info(
            f"active: localizing images of {self._color.topic_name} and {self._depth.topic_name} in {self._map_frame!r}"
        )
        return TransitionCallbackReturn.SUCCESS

    @logged
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop working; the model stays loaded."""
        self._stop()
        super().on_deactivate(state)
        return TransitionCallbackReturn.SUCCESS

    @logged
    def on_cleanup(self, _state: LifecycleState) -> TransitionCallbackReturn:
        """Unload the model and remove the publishers."""
        self._release()
        return TransitionCallbackReturn.SUCCESS

    @logged
    def on_shutdown(self, _state: LifecycleState) -> TransitionCallbackReturn:
        """Stop and release whatever the state."""
        self._stop()
        self._release()
        return TransitionCallbackReturn.SUCCESS

    @logged
    def on_error(self, _state: LifecycleState) -> TransitionCallbackReturn:
        """After a failed transition: release all, so that the next configure starts afresh."""
        self._stop()
        self._release()
        return TransitionCallbackReturn.SUCCESS

    @property
    def is_configured(self) -> bool:
        """Whether a model is loaded."""
        return self._configured

    def close(self) -> None:
        """Stop the worker and release the model at the end of the process, whatever the state."""
        self._stop()
        self._release()

    # Parts of the transitions -----------------------------------------------------------------------

    def _load_model(self) -> None:
        started = time.perf_counter()
        self._bundle = read_bundle(self._settings.model)
        self._backend = create_backend(
            self._settings.backend,
            self._bundle,
            self._settings.threads,
            precision=self._settings.precision,
            engine_cache=self._settings.engine_cache,
            report=self._log,
        )
        self._localizer = Localizer(self._bundle, self._backend)
        inference_ms = self._localizer.warm_up()
        self._map_frame = self._settings.map_frame or self._bundle.manifest.frames.map
        self.get_logger().info(
            f"model {self._bundle.name} on {self._backend.description}: {inference_ms:.1f} ms a frame, "
            f"loaded in {time.perf_counter() - started:.1f} s"
        )

    def _log(self, text: str) -> None:
        self.get_logger().info(text)

    def _create_publishers(self) -> None:
        self._pose = self.create_lifecycle_publisher(PoseStamped, "~/pose", 10)
        self._pose_with_covariance = self.create_lifecycle_publisher(
            PoseWithCovarianceStamped, "~/pose_with_covariance", 10
        )
        self._status = self.create_lifecycle_publisher(LocalizationStatus, "~/status", 10)
        self._diagnostics = self.create_lifecycle_publisher(DiagnosticArray, "/diagnostics", 10)

    def _subscribe(self, pipeline: Pipeline) -> None:
        qos = QoSProfile(
            history=HistoryPolicy.KEEP_LAST,
            depth=self._settings.image_queue_size,
            reliability=ReliabilityPolicy.RELIABLE
            if self._settings.image_reliability == "reliable"
            else ReliabilityPolicy.BEST_EFFORT,
        )
        self._color = self.create_subscription(Image, "color/image", pipeline.take_color, qos)
        self._depth = self.create_subscription(Image, "depth/image", pipeline.take_depth, qos)

    def _stop(self) -> None:
        if self._pipeline is None:
            return
        self.destroy_timer(self._timer)
        self.destroy_subscription(self._color)
        self.destroy_subscription(self._depth)
        self._pipeline.stop()
        self._pipeline = None

    def _release(self) -> None:
        if not self._configured:
            return
        self._configured = False
        self._backend.close()
        for publisher in (self._pose, self._pose_with_covariance, self._status, self._diagnostics):
            self.destroy_lifecycle_publisher(publisher)

    # Frames, in the worker's thread -------------------------------------------------------------------

    def _publish_estimate(self, paired: PairedFrame, estimate: PoseEstimate) -> None:
        child_frame = self._settings.camera_frame or paired.frame.frame_id
        pose, pose_with_covariance, transform = pose_messages(estimate, self._map_frame, child_frame)
        self._pose.publish(pose)
        if self._settings.publish_tf:
            self._transforms.sendTransform(transform)
        self._pose_with_covariance.publish(pose_with_covariance)

    def _report_estimate(self, paired: PairedFrame, estimate: PoseEstimate, wait_ms: float, publish_ms: float) -> None:
        message = status.frame_status(paired, estimate, wait_ms, self._bundle.name, self._backend.description)
        message.publish_ms = publish_ms
        message.callback_to_publication_ms = 1e3 * (time.perf_counter() - paired.callback_time)
        message.stamp_to_publication_ms = 1e-6 * (self.get_clock().now().nanoseconds - estimate.stamp_ns)
        self._publish_status(message)

    def _publish_failure(self, paired: PairedFrame, reason: str) -> None:
        self.get_logger().warning(reason, throttle_duration_sec=_WARN_PERIOD_S)
        self._publish_status(status.failed_status(paired, reason, self._bundle.name, self._backend.description))

    def _publish_status(self, message: LocalizationStatus) -> None:
        pipeline = self._pipeline
        if pipeline is None:
            return
        status.add_counters(message, pipeline)
        self._last_status = message
        self._status.publish(message)

    # Images that cannot be used, and silence, in the executor's thread --------------------------------

    def _warn_invalid(self, reason: str) -> None:
        self._last_invalid = reason
        self.get_logger().warning(reason, throttle_duration_sec=_WARN_PERIOD_S)

    def _tick(self) -> None:
        pipeline = self._pipeline
        if pipeline is None:
            return
        now = time.monotonic()
        quiet_for = now - (pipeline.last_pair_time or self._started)
        header = Header(stamp=self.get_clock().now().to_msg(), frame_id=self._map_frame)
        if quiet_for > self._settings.starvation_timeout:
            self._publish_idle(pipeline, header, LocalizationStatus.STARVED, self._explain_silence(pipeline))
        elif self._last_status is None:
            self._publish_idle(pipeline, header, LocalizationStatus.INITIALISING, "waiting for the first images")
        if self._last_status is not None:
            self._diagnostics.publish(status.diagnostics(self._last_status, self.get_name(), header))

    def _explain_silence(self, pipeline: Pipeline) -> str:
        counts = pipeline.counts
        if self._last_invalid and counts.color_invalid + counts.depth_invalid > self._invalid_seen:
            self._invalid_seen = counts.color_invalid + counts.depth_invalid
            return self._last_invalid
        reason = explain_silence(self, self._color, self._depth, pipeline.synchronizer)
        self.get_logger().warning(f"no pair of images: {reason}", throttle_duration_sec=_WARN_PERIOD_S)
        return reason

    def _publish_idle(self, pipeline: Pipeline, header: Header, state: int, reason: str) -> None:
        message = status.idle_status(state, reason, header, self._bundle.name, self._backend.description)
        status.add_counters(message, pipeline)
        self._last_status = message
        self._status.publish(message)
