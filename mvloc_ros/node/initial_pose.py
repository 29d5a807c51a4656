# SPDX-License-Identifier: Apache-2.0
"""Initial poses: taken as a hint on `initialpose`, and given to another localizer on `initialpose_out`."""

from __future__ import annotations

from collections.abc import Callable

from geometry_msgs.msg import PoseWithCovarianceStamped
from rclpy.lifecycle import LifecycleNode

from mvloc_ros.node.messages import MessageError, pose_messages, pose_of
from mvloc_ros.node.services import Answer
from mvloc_ros.node.tracking import Placement, RobotTracking


class InitialPose:
    """Both topics of one configuration."""

    def __init__(self, node: LifecycleNode) -> None:
        """Create the publisher; `listen` subscribes."""
        self._node = node
        self._publisher = node.create_lifecycle_publisher(PoseWithCovarianceStamped, "initialpose_out", 1)
        self._own: PoseWithCovarianceStamped | None = None

    def close(self) -> None:
        """Remove the publisher."""
        self._node.destroy_lifecycle_publisher(self._publisher)

    def listen(self, tracker: RobotTracking, map_frame: Callable[[], str]) -> None:
        """Give hints to a tracker; `map_frame` tells the frame that they must be in."""
        self._tracker, self._map_frame = tracker, map_frame
        self._subscription = self._node.create_subscription(PoseWithCovarianceStamped, "initialpose", self._take, 1)

    def stop_listening(self) -> None:
        """The reverse of `listen`."""
        self._node.destroy_subscription(self._subscription)

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

    def _take(self, message: PoseWithCovarianceStamped) -> None:
        if message == self._own:
            return  # where initialpose_out is remapped to the topic that this node listens to
        log = self._node.get_logger()
        frame = message.header.frame_id
        if frame != self._map_frame():
            log.warning(f"an initial pose in {frame!r} is ignored: it must be in {self._map_frame()!r}")
            return
        try:
            pose = pose_of(message)
        except MessageError as error:
            log.warning(f"an initial pose is ignored: {error}")
            return
        self._tracker.hint(pose)
        x, y, z = pose.T[:3, 3]
        log.info(f"initial pose {x:.2f}, {y:.2f}, {z:.2f} taken as a hint: the next pose near it is accepted")
