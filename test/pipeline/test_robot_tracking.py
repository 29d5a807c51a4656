# SPDX-License-Identifier: Apache-2.0
"""What is remembered of accepted poses over a change of the map."""

from __future__ import annotations

import numpy as np

from mvloc_ros.frontend.input_log import InputLog
from mvloc_ros.frontend.transform_watch import TransformWatch
from mvloc_ros.localization.estimate import PoseEstimate, StepTimes
from mvloc_ros.localization.pose import Pose
from mvloc_ros.localization.tracker import Tracker
from mvloc_ros.parameters.table import NodeParameters
from mvloc_ros.pipeline.robot_tracking import RobotTracking


class Sent:
    """Transforms that nobody hears; counts how often they are withdrawn."""

    withdrawn = 0

    def hold(self, *_: object) -> None: ...

    def send(self, *_: object) -> None: ...

    def withdraw(self) -> None:
        self.withdrawn += 1


def tracking_in(map_frame: str, sent: Sent | None = None) -> RobotTracking:
    values = NodeParameters(publish_frame="none", pose_frame="camera")
    log, tracker = InputLog(lambda _: None, lambda _: None), Tracker(values.gate_limits)
    return RobotTracking(values, tracker, map_frame, None, sent or Sent(), lambda _: False, log, TransformWatch())


def estimate(stamp_ns: int, x: float = 0.0) -> PoseEstimate:
    T = np.eye(4)
    T[0, 3] = x
    pose = Pose(stamp_ns, T, 0.01 * np.eye(6))
    return PoseEstimate(pose, pose, True, True, (0.2, 0.4, 0.4), StepTimes(0.0, 0.0, 0.0))


def test_the_last_accepted_pose_is_kept_while_forgotten_but_not_into_another_map():
    tracking = tracking_in("map")
    tracking.place(estimate(5), "camera")
    assert tracking.last_accepted.pose.stamp_ns == 5
    tracking.forget()
    tracking.use_map("map")
    assert tracking.last_accepted is not None
    tracking.use_map("garage")
    assert tracking.last_accepted is None


def test_two_maps_whose_frames_have_one_name_are_two_maps():
    """Nearly every map's frame is `map`: a pose on one floor says nothing of where the camera is on another."""
    sent = Sent()
    tracking = tracking_in("map", sent)
    tracking.use_map("map", "/ground")
    tracking.place(estimate(5), "camera")
    tracking.hint(Pose(0, np.eye(4), np.eye(6)))
    tracking.place(estimate(6), "camera")
    assert tracking.last_accepted.map_identity == "/ground"
    assert tracking.validated(6) != "no pose has been accepted yet"
    tracking.use_map("map", "/ground")
    assert tracking.last_accepted.pose.stamp_ns == 6
    tracking.hint(Pose(0, np.eye(4), np.eye(6)))
    before = sent.withdrawn
    tracking.use_map("map", "/upstairs")
    assert sent.withdrawn == before + 1  # map -> odom of the floor below
    assert tracking.last_accepted is None
    assert tracking.validated(6) == "no pose has been accepted yet"
    # Neither the hint nor the accepted pose holds a pose far away off, as the first one it is accepted.
    placed = tracking.place(estimate(7, x=50.0), "camera")
    assert placed.verdict.accepted
    assert placed.map_identity == "/upstairs"
