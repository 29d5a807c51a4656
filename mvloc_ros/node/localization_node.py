# SPDX-License-Identifier: Apache-2.0
"""The lifecycle node: colour and depth in; pose, transform, status and diagnostics out.

configure   parameters, model bundle, backend, warm-up, publishers, listening to TF
activate    subscriptions, worker, timers
deactivate  the reverse of activate; cleanup: the reverse of configure
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from contextlib import ExitStack

from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter

from mvloc_ros.errors import MvlocError
from mvloc_ros.foreign_text import shown, shown_lines
from mvloc_ros.frontend.front_end import PairedFrame
from mvloc_ros.frontend.input_log import InputLog
from mvloc_ros.frontend.transform_watch import TransformWatch
from mvloc_ros.limits import MOST_LOG_CHARACTERS
from mvloc_ros.model.manifest import Manifest
from mvloc_ros.node import parameters
from mvloc_ros.node.amcl_services import AmclServices
from mvloc_ros.node.available_maps import AvailableMaps
from mvloc_ros.node.debug_outputs import LOOK_S, DebugOutputs
from mvloc_ros.node.initial_pose import InitialPose
from mvloc_ros.node.inputs import Inputs
from mvloc_ros.node.kept_pose import PERIOD_S, KeptPose
from mvloc_ros.node.lifecycle_bond import LifecycleBond, bond_messages
from mvloc_ros.node.memory import give_back
from mvloc_ros.node.model_exchange import ModelSlot
from mvloc_ros.node.odometry import RobotTransforms
from mvloc_ros.node.outputs import Outputs
from mvloc_ros.node.pipeline import STOP_S, Pipeline, may_overlap
from mvloc_ros.node.qos import image_qos
from mvloc_ros.node.reporter import Reporter
from mvloc_ros.node.ros_clock import RosClock
from mvloc_ros.node.services import Answer, create_services
from mvloc_ros.node.tf_publisher import TfPublisher
from mvloc_ros.node.transitions import logged
from mvloc_ros.parameters.sensor_topics import absence_text, read_sensor_topics
from mvloc_ros.pipeline.robot_tracking import RobotTracking
from mvloc_ros.pipeline.server import LocalizationServer, Surroundings

_NOT_ACTIVE = "the node is not active"
_STUCK = "a frame that was in work when the node was deactivated has not ended; clean up and configure, or start again"


class LocalizationNode(LifecycleNode):
    """Localizes a camera in the map that its model was trained in."""

    def __init__(self, is_ending: Callable[[], bool] = lambda: False) -> None:
        """Declare the parameters and offer the services; `is_ending` tells whether the process is to end.

        Raises ParameterError for a value that cannot be used.
        """
        super().__init__("mvloc")
        self._is_ending = is_ending
        parameters.declare(self)
        for sentence in parameters.ignored(self):
            self.get_logger().warning(f"{sentence} Its value is ignored.")
        # What ends the configured and the active state again; None outside of them.
        self._configured: ExitStack | None = None
        self._active: ExitStack | None = None
        self._pipeline: Pipeline | None = None
        self._left_behind: Pipeline | None = None  # whose worker hangs
        self._time = RosClock(self, self._on_clock_jump)
        logger = self.get_logger()
        self._log = InputLog(logger.warning, logger.info)
        self._watch = TransformWatch(self._log, ros_now_ns=self._time.now_ns)
        self._tf = TfPublisher(self, self._time.now_ns, self._watch.note_own)
        self.add_on_set_parameters_callback(self._on_set_parameters)
        create_services(self, self._relocalize, self._set_enabled, self._publish_initialpose, self._await_model)

    # Transitions ------------------------------------------------------------------------------------

    @logged
    def on_configure(self, _state: LifecycleState) -> TransitionCallbackReturn:
        """Read the parameters, load and warm up the model, create the publishers."""
        with ExitStack() as undo:
            self._settings = parameters.read(self)
            if self._settings.amcl_interface and self._settings.poses_are_of_camera:
                raise MvlocError(
                    "amcl_interface needs the robot's pose, as AMCL publishes it: set pose_frame to base_link."
                )
            image_qos(self._settings)  # a QoS that this distribution lacks is told now
            self._models = ModelSlot(self._settings, self._on_model_loaded, self._report_loading, self._is_ending)
            undo.callback(self._close_models)
            self._announce_model("")
            self._check_sensor_topics()
            self._outputs = Outputs(self, self._settings.amcl_interface)
            undo.callback(self._outputs.close)
            self._debug = DebugOutputs(self, self._settings, lambda: self._models.current)
            undo.callback(self._debug.close)
            self._initial_pose = InitialPose(self, self._log)
            undo.callback(self._initial_pose.close)
            self._bond = self._make_bond(undo)
            self._maps = AvailableMaps(self._settings.models_folder)
            self._kept_pose = KeptPose(self._settings.pose_file, self._log)
            if self._settings.amcl_interface:
                undo.callback(AmclServices(self, self._relocalize, self._initial_pose.take, self._log).close)
            self._tf.tolerance_ns = round(1e9 * self._settings.transform_tolerance)
            # Also for publish_frame camera: whether the camera has a parent already is seen on TF alone.
            sends = self._settings.publish_frame != "none"
            listens = sends or self._settings.needs_tf or self._settings.depth_source == "cloud"
            self._transforms = RobotTransforms(self, self._settings.transform_timeout, self._watch) if listens else None
            if self._transforms is not None:
                undo.callback(self._transforms.close)
            self._configured = undo.pop_all()
        return TransitionCallbackReturn.SUCCESS

    @logged
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe and start working."""
        if self._is_stuck:
            raise MvlocError(f"{_STUCK}.")
        with ExitStack() as undo:
            super().on_activate(state)
            undo.callback(super().on_deactivate, state)
            self._start(undo)
            if self._bond is not None:
                self._bond.start()
                undo.callback(self._bond.stop)
            self._active = undo.pop_all()
        topics = [monitor.topic for monitor in (self._inputs.color, self._inputs.depth)]
        further = "".join(f", {name} on {monitor.topic}" for name, monitor in self._inputs.further.items())
        self.get_logger().info(
            f"active: localizing images of {' and '.join(topics)}{further} in {self._models.current.map_frame!r}"
        )
        return TransitionCallbackReturn.SUCCESS

    @logged
    def on_deactivate(self, _state: LifecycleState) -> TransitionCallbackReturn:
        """Stop working; the model stays loaded."""
        self._stop()
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
        return self._configured is not None

    def close(self) -> None:
        """Stop the worker and release the model at the end of the process, whatever the state."""
        self._stop()
        self._release()
        self._time.close()

    # Parts of the transitions -----------------------------------------------------------------------

    def _check_sensor_topics(self) -> None:
        """Raises ParameterError for names that are none of the model's sensors; tells which ones have no topic."""
        bundle = self._models.current.bundle
        names = [item.sensor.name for item in bundle.manifest.sensors]
        text = absence_text(read_sensor_topics(self._settings.sensor_topics, names, bundle.name), names)
        if text:
            self.get_logger().warning(text)

    def _make_bond(self, undo: ExitStack) -> LifecycleBond | None:
        """None where it is not wanted, or nobody can ask for one."""
        period_s = self._settings.bond_heartbeat_period
        if period_s == 0.0 or bond_messages() is None:
            return None
        bond = LifecycleBond(self, period_s, self._log)
        undo.callback(bond.close)
        return bond

    def _start(self, undo: ExitStack) -> None:
        """Everything that works while the node is active; `undo` is told how each part ends, as soon as it is there."""
        undo.callback(self._tf.withdraw)
        reporter = Reporter(
            self, self._settings, self._models, self._maps, self._outputs, self._time, self._log, self._debug
        )

        def make_server(put: Callable[[PairedFrame], None]) -> LocalizationServer:
            around = Surroundings(self._time.now_ns, self._transforms, self._tf, self._watch, self._log)
            localizer = self._models.current.localizer
            return LocalizationServer(self._settings, localizer, self._manifest, around, put, reporter.note_invalid)

        pipeline = self._pipeline = Pipeline(
            make_server,
            reporter.publish,
            reporter.report_pose,
            reporter.report_failure,
            may_overlap(self._settings.threads),
        )
        self._server = server = pipeline.server
        server.on_read = self._debug.note_read
        self._debug.start()
        undo.callback(self._debug.stop)
        undo.callback(self._end_pipeline)
        self._models.attach(pipeline)
        undo.callback(self._models.detach)
        if self._transforms is not None:
            self._transforms.resume()
            undo.callback(self._transforms.stop_waiting)
        self._initial_pose.listen(server.tracking, lambda: self._models.current.map_frame)
        undo.callback(self._initial_pose.stop_listening)
        self._hint_kept_pose(server.tracking)
        undo.callback(self._keep_pose, now=True)
        self._inputs = Inputs(self, self._settings, self._manifest, pipeline, self._log, self._transforms)
        undo.callback(self._inputs.close)
        reporter.attach(pipeline, self._inputs)
        # Of the steady clock: the status must say that simulated time does not come.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        undo.callback(self.destroy_timer, self.create_timer(self._settings.status_period, reporter.tick, clock=steady))
        undo.callback(self.destroy_timer, self.create_timer(PERIOD_S, self._keep_pose, clock=steady))
        undo.callback(self.destroy_timer, self.create_timer(LOOK_S, self._debug.look, clock=steady))
        if self._settings.publish_frame == "odom":  # the one transform that is held and repeated
            period = 1.0 / self._settings.transform_publish_rate
            # A timer of a system clock that is set back waits until that has caught up; simulated time may run faster.
            clock = None if self._time.is_simulated else steady
            undo.callback(self.destroy_timer, self.create_timer(period, self._tf.repeat, clock=clock))
        undo.callback(pipeline.begin_to_end)  # the first that is called: what follows may wait for the frame in work

    def _hint_kept_pose(self, tracking: RobotTracking) -> None:
        """Look first where the robot was when the node ran last."""
        model = self._models.current
        frame = "" if self._settings.poses_are_of_camera else self._settings.base_frame
        pose = self._kept_pose.read(model.map_frame, model.bundle.map_identity, frame)
        if pose is not None:
            tracking.hint(pose)

    def _keep_pose(self, *, now: bool = False) -> None:
        self._kept_pose.write(self._server.tracking.last_accepted, self._models.current.bundle.name, now=now)

    def _end_pipeline(self) -> None:
        """The frame in work still publishes its pose, if it ends in time."""
        pipeline, self._pipeline = self._pipeline, None
        if pipeline is not None and not pipeline.stop():
            self._left_behind = pipeline
            self.get_logger().error(
                f"the frame in work did not end within {STOP_S:g} s and is left behind: network or decoder hangs; "
                "start the node again"
            )

    @property
    def _is_stuck(self) -> bool:
        return self._left_behind is not None and self._left_behind.is_stuck

    def _close_models(self) -> None:
        """Release the model, but not under a frame that hangs in it."""
        self._models.close(is_in_use=self._is_stuck)
        self._left_behind = None

    def _manifest(self) -> Manifest:
        return self._models.current.bundle.manifest

    def _stop(self) -> None:
        active, self._active = self._active, None
        if active is not None:
            active.close()

    def _release(self) -> None:
        configured, self._configured = self._configured, None
        if configured is not None:
            configured.close()
            gc.collect()  # callbacks and their owners refer to each other; their memory goes now, not at some frame
            give_back()

    # Time ---------------------------------------------------------------------------------------------

    def _on_clock_jump(self, delta_ns: int) -> None:
        if self._pipeline is not None:
            self._server.stamps.clock_jumped(delta_ns)

    # Services -----------------------------------------------------------------------------------------

    def _relocalize(self) -> Answer:
        if self._pipeline is None:
            return False, _NOT_ACTIVE
        self._server.tracking.forget()
        return True, "forgot where the camera was; the next pose starts afresh"

    def _set_enabled(self, enabled: bool) -> Answer:
        if self._pipeline is None:
            return False, _NOT_ACTIVE
        self._pipeline.enabled = enabled
        self._server.front.reset()
        return True, "localizing" if enabled else "images are ignored until ~/set_enabled is called with true"

    def _publish_initialpose(self) -> Answer:
        if self._pipeline is None:
            return False, _NOT_ACTIVE
        return self._initial_pose.publish(self._server.tracking.validated(self._time.now_ns()))

    # The model ----------------------------------------------------------------------------------------

    def _on_set_parameters(self, changes: list[Parameter]) -> SetParametersResult:
        result = parameters.check_change(changes, self.is_configured)
        if not (result.successful and self.is_configured):
            return result
        models = [change.value for change in changes if change.name == "model"]
        refusals = [f"{_STUCK}." if self._is_stuck else self._models.begin(path) for path in models]
        return SetParametersResult(successful=not any(refusals), reason="; ".join(refusals))

    async def _await_model(self) -> Answer:
        if not self.is_configured:
            return False, "the node is not configured"
        return (False, f"{_STUCK}.") if self._is_stuck else await self._models.outcome()

    def _announce_model(self, begin: str) -> None:
        model = self._models.current
        self.get_logger().info(shown(f"{begin}{model.summary}", MOST_LOG_CHARACTERS))
        if model.localizer.map_problem:
            self.get_logger().warning(shown(model.localizer.map_problem, MOST_LOG_CHARACTERS))

    def _report_loading(self, text: str) -> None:
        self.get_logger().info(shown(text, MOST_LOG_CHARACTERS))

    def _on_model_loaded(self, failure: str) -> None:
        if not failure:
            self._announce_model("from now on: ")
            return
        self.get_logger().error(f"{shown_lines(failure)} {self._models.current.bundle.name} keeps running.")
        # The parameter tells what runs; it is set where all parameters are, in the executor's thread.
        assert self.executor is not None
        self.executor.create_task(self.set_parameters, [Parameter("model", value=self._models.path)])
