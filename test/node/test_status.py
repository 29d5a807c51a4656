# SPDX-License-Identifier: Apache-2.0
"""What the status says of a pose that was refined."""

from __future__ import annotations

import numpy as np
import pytest

from mvloc_ros.frontend.front_end import PairedFrame
from mvloc_ros.geometry import se3
from mvloc_ros.localization.estimate import PoseEstimate, StepTimes
from mvloc_ros.localization.pose import Pose
from mvloc_ros.localization.tracker import State, Verdict
from mvloc_ros.node.status import frame_status
from mvloc_ros.pipeline.localized import Localized
from mvloc_ros.pipeline.robot_tracking import Placement

NETWORK = se3.from_parts([1.0, 2.0, 3.0], [0.0, 0.0, np.sin(0.2), np.cos(0.2)])
REFINED = se3.from_parts([1.1, 1.9, 3.0], [0.0, np.sin(0.3), 0.0, np.cos(0.3)])
T_CAMERA_BASE = se3.from_parts([0.1, -0.4, 0.7], [0.5, -0.5, 0.5, 0.5])


@pytest.mark.parametrize("refined", [True, False])
def test_the_networks_own_pose_is_of_the_frame_that_is_published(refined: bool):
    T_map_camera = REFINED if refined else NETWORK
    pose, network = (Pose(5, T, np.eye(6)) for T in (T_map_camera, NETWORK))
    estimate = PoseEstimate(pose, network, True, True, (0.2, 0.4, 0.4), StepTimes(0.0, 0.0, 0.0), refined=refined)
    verdict = Verdict(True, State.TRACKING, "", T_map_camera)
    placement = Placement(verdict, "map", "base_link", pose.of_child(T_CAMERA_BASE), T_CAMERA_BASE, ())
    paired = PairedFrame(5, "camera", 0, {}, 0.0, 0.0, 0.0)
    pose = frame_status(Localized(paired, estimate, placement), 0.0).network_pose
    p, q = pose.position, pose.orientation
    said = se3.from_parts([p.x, p.y, p.z], [q.x, q.y, q.z, q.w])
    np.testing.assert_allclose(said, NETWORK @ T_CAMERA_BASE, atol=1e-12)
