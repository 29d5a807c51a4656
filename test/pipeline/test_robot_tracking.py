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
    """Transforms that nobody hears."""

    def hold(self, *_: object) -> None: ...

    def send(self, *_: object) -> None: ...

    def withdraw(self) -> None: ...


def test_the_last_accepted_pose_is_kept_while_forgotten_but_not_into_another_map():
    values = NodeParameters(publish_frame="none", pose_frame="camera")
    log = InputLog(lambda _: None, lambda _: None)
    tracking = RobotTracking(
        values, Tracker(values.gate_limits), "map", None, Sent(), lambda _: False, log, TransformWatch()
    )
    pose = Pose(5, np.eye(4), 0.01 * np.eye(6))
    tracking.place(PoseEstimate(pose, pose, True, True, (0.2, 0.4, 0.4), StepTimes(0.0, 0.0, 0.0)), "camera")
    assert tracking.last_accepted.pose.stamp_ns == 5
    tracking.forget()
    tracking.use_map("map")
    assert tracking.last_accepted is not None
    tracking.use_map("garage")
    assert tracking.last_accepted is None
