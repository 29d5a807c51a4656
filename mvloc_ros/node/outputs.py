# SPDX-License-Identifier: Apache-2.0
"""The topics that a configured node publishes on, TF apart (see `tf_publisher`)."""

from __future__ import annotations

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped, PoseWithCovarianceStamped
from rclpy.lifecycle import LifecycleNode

from mvloc_ros.msg import LocalizationStatus
from mvloc_ros.node.messages import pose_messages
from mvloc_ros.node.qos import kept
from mvloc_ros.pipeline.robot_tracking import Placement


class Outputs:
    """From configure to cleanup; any thread may publish."""

    def __init__(self, node: LifecycleNode, amcl_interface: bool = False) -> None:
        """Create the publishers, which say nothing while the node is inactive; with AMCL's topic if it is wanted."""
        self._node = node
        self._pose = node.create_lifecycle_publisher(PoseStamped, "~/pose", kept())
        self._pose_with_covariance = node.create_lifecycle_publisher(
            PoseWithCovarianceStamped, "~/pose_with_covariance", kept()
        )
        self._status = node.create_lifecycle_publisher(LocalizationStatus, "~/status", kept())
        self._amcl_pose = (
            node.create_lifecycle_publisher(PoseWithCovarianceStamped, "amcl_pose", kept()) if amcl_interface else None
        )
        self._diagnostics = node.create_lifecycle_publisher(DiagnosticArray, "/diagnostics", 10)

    def close(self) -> None:
        """Remove them."""
        publishers = self._pose, self._pose_with_covariance, self._status, self._diagnostics, self._amcl_pose
        for publisher in publishers:
            if publisher is not None:
                self._node.destroy_lifecycle_publisher(publisher)

    def publish_pose(self, placement: Placement) -> None:
        """Tell the pose; one that is rejected (with variances that filters ignore) only with its covariance.

        Raises MessageError where a number is not finite.
        """
        if placement.pose is None:
            return
        pose, pose_with_covariance = pose_messages(placement.pose, placement.map_frame)
        if placement.verdict.accepted:
            self._pose.publish(pose)
            if self._amcl_pose is not None:
                self._amcl_pose.publish(pose_with_covariance)
        self._pose_with_covariance.publish(pose_with_covariance)

    def publish_status(self, message: LocalizationStatus) -> None:
        """Tell the node's state."""
        self._status.publish(message)

    def publish_diagnostics(self, message: DiagnosticArray) -> None:
        """Tell the same to whoever watches all nodes."""
        self._diagnostics.publish(message)
