# SPDX-License-Identifier: Apache-2.0
"""Initial poses: taken as a hint on `initialpose`, and given to another localizer on `initialpose_out`."""

from __future__ import annotations

from collections.abc import Callable

from geometry_msgs.msg import PoseWithCovarianceStamped
from rclpy.lifecycle import LifecycleNode

from mvloc_ros.foreign_text import shown
from mvloc_ros.frontend.input_log import InputLog
from mvloc_ros.frontend.message_checks import MessageError
from mvloc_ros.node.messages import pose_messages, pose_of
from mvloc_ros.node.services import Answer
from mvloc_ros.node.subscriptions import logged_events
from mvloc_ros.pipeline.robot_tracking import Placement, RobotTracking


class InitialPose:
    """Both topics of one configuration."""

    def __init__(self, node: LifecycleNode, log: InputLog) -> None:
        """Create the publisher; `listen` subscribes. `log` is told what becomes of the poses that come."""
        self._node, self._log = node, log
        self._publisher = node.create_lifecycle_publisher(PoseWithCovarianceStamped, "initialpose_out", 1)
        self._own: PoseWithCovarianceStamped | None = None
        self._tracker: RobotTracking | None = None

    def close(self) -> None:
        """Remove the publisher."""
        self._node.destroy_lifecycle_publisher(self._publisher)

    def listen(self, tracker: RobotTracking, map_frame: Callable[[], str]) -> None:
        """Give hints to a tracker; `map_frame` tells the frame that they must be in."""
        self._tracker, self._map_frame = tracker, map_frame
        events = logged_events(self._log, self._node.resolve_topic_name("initialpose"))
        self._subscription = self._node.create_subscription(
            PoseWithCovarianceStamped, "initialpose", self.take, 1, event_callbacks=events
        )

    def stop_listening(self) -> None:
        """The reverse of `listen`."""
        self._node.destroy_subscription(self._subscription)
        self._tracker = None

    def publish(self, placement: Placement | str) -> Answer:
        """Publish one pose, or say why there is none."""
        topic = self._publisher.topic_name
        if isinstance(placement, str):
            return False, placement
        own = self._subscription.topic_name == topic  # this node listens there too and is nobody to tell
        if self._publisher.get_subscription_count() <= own:
            return False, f"nothing subscribes to {topic}; remap initialpose_out to the topic of the localizer"
        assert placement.pose is not None
        try:
            _, self._own = pose_messages(placement.pose, placement.map_frame)
        except MessageError as error:
            return False, str(error)
        self._publisher.publish(self._own)
        return True, f"published the pose of {placement.child} on {topic}"

    def take(self, message: PoseWithCovarianceStamped) -> None:
        """Give a pose from outside to the tracker as a hint; what cannot be one is logged."""
        if message == self._own:
            return  # where initialpose_out is remapped to the topic that this node listens to
        if self._tracker is None:
            self._log.warn("initial poses while inactive", "an initial pose is ignored: the node is not active")
            return
        frame = message.header.frame_id
        if frame != self._map_frame():
            text = f"an initial pose in {shown(frame)!r} is ignored: it must be in {self._map_frame()!r}"
            self._log.warn("initial poses of another frame", text)
            return
        try:
            pose = pose_of(message)
        except MessageError as error:
            self._log.warn("initial poses that are none", f"an initial pose is ignored: {error}")
            return
        self._tracker.hint(pose)
        x, y, z = pose.T[:3, 3]
        text = f"initial pose {x:.2f}, {y:.2f}, {z:.2f} taken as a hint: the next pose near it is accepted"
        self._log.tell("initial poses", text)
