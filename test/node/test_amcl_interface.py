# SPDX-License-Identifier: Apache-2.0
"""AMCL's names, from the caller's side, and the pose that is kept over a restart."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from geometry_msgs.msg import PoseWithCovarianceStamped
from lifecycle_msgs.msg import Transition
from mvloc_ros.msg import LocalizationStatus
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_srvs.srv import Empty

from mvloc_ros.frontend.message_checks import to_nanoseconds
from mvloc_ros.geometry import se3
from mvloc_ros.node.messages import pose_of

pytestmark = pytest.mark.dds
STILL = se3.from_parts([0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0])
SLOW = "transform_timeout:=2.0"


def frame(peer, robot, wait_for, depth_m: float = 1.5) -> LocalizationStatus:
    """Send pairs with odometry around them until the node knows where the camera is, and return that status.

    A latched transform comes to a new node on another way than the images, and may come after them.
    """
    deadline = time.monotonic() + 20.0
    while True:
        status = answer(peer, robot, wait_for, depth_m)
        if "TF does not tell" not in status.reason or time.monotonic() > deadline:
            return status


def answer(peer, robot, wait_for, depth_m: float) -> LocalizationStatus:
    """The status that answers one pair."""
    stamp, seen = time.time_ns(), len(peer.statuses)
    for around in (-25_000_000, 25_000_000):
        robot.drive(stamp + around, STILL)
    peer.send_color(stamp)
    peer.send_depth(stamp, np.full((48, 64), round(1000 * depth_m), np.uint16))
    return wait_for(
        lambda: next((s for s in peer.statuses[seen:] if to_nanoseconds(s.header.stamp) == stamp), None), 15, "a status"
    )


def call(peer, name: str) -> None:
    client = peer.node.create_client(Empty, name)
    assert client.wait_for_service(20.0), f"no service {name}"
    done = threading.Event()
    client.call_async(Empty.Request()).add_done_callback(lambda _: done.set())
    assert done.wait(20.0), f"no answer from {name}"
    peer.node.destroy_client(client)


def test_amcls_topic_is_latched_and_its_services_act(peer, robot, robot_node, wait_for):
    process = robot_node(SLOW, "amcl_interface:=true")
    robot.mount_camera(STILL)
    assert frame(peer, robot, wait_for).pose_valid
    poses: list[PoseWithCovarianceStamped] = []
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    late = peer.node.create_subscription(PoseWithCovarianceStamped, "amcl_pose", poses.append, latched)
    wait_for(lambda: poses, 10, "the pose from before the subscription")
    np.testing.assert_allclose(pose_of(poses[0]).T[:3, 3], [10.4, 23.0, 32.0], atol=1e-5)
    peer.node.destroy_subscription(late)

    assert not frame(peer, robot, wait_for, 8.0).pose_valid, "13 m away, by odometry"
    call(peer, "request_nomotion_update")
    assert not frame(peer, robot, wait_for, 8.0).pose_valid
    call(peer, "reinitialize_global_localization")
    assert frame(peer, robot, wait_for, 8.0).pose_valid
    wait_for(lambda: "reinitialize_global_localization: forgot" in process.text(), 10, "the words")


def test_set_initial_pose_is_a_hint(peer, robot, robot_node, wait_for):
    service = pytest.importorskip("nav2_msgs.srv", reason="nav2_msgs comes with ROS, not from PyPI").SetInitialPose
    robot_node(SLOW, "amcl_interface:=true")
    robot.mount_camera(STILL)
    client = peer.node.create_client(service, "set_initial_pose")
    assert client.wait_for_service(20.0)
    request = service.Request()
    request.pose.header.frame_id = "map"
    request.pose.pose.pose.position.x = 50.0
    request.pose.pose.pose.orientation.w = 1.0
    done = threading.Event()
    client.call_async(request).add_done_callback(lambda _: done.set())
    assert done.wait(20.0)
    assert not frame(peer, robot, wait_for).pose_valid, "27 m from the hint"


def test_without_the_interface_none_of_its_names_is_there(peer, robot, robot_node, wait_for):
    robot_node(SLOW)
    robot.mount_camera(STILL)
    assert frame(peer, robot, wait_for).pose_valid
    names = {name for name, _ in (*peer.node.get_topic_names_and_types(), *peer.node.get_service_names_and_types())}
    assert not names & {"/amcl_pose", "/reinitialize_global_localization", "/request_nomotion_update"}


def test_the_last_pose_is_kept_over_a_restart_as_a_hint(peer, robot, robot_node, wait_for, tmp_path: Path):
    file = tmp_path / "pose.json"
    first = robot_node(SLOW, f"pose_file:={file}")
    robot.mount_camera(STILL)
    assert frame(peer, robot, wait_for).pose_valid
    assert peer.transition(Transition.TRANSITION_DEACTIVATE)
    kept = json.loads(file.read_text())
    assert (kept["map_frame"], kept["frame"], kept["model"]) == ("map", "base_link", "bundle")
    np.testing.assert_allclose(kept["position_m"], [10.4, 23.0, 32.0], atol=1e-5)
    assert first.end() == 0

    second = robot_node(SLOW, f"pose_file:={file}")
    assert "the last pose before the start, 10.40, 23.00, 32.00, is taken as a hint" in second.text()
    away = frame(peer, robot, wait_for, 8.0)
    assert (away.pose_valid, away.state) == (False, LocalizationStatus.INITIALISING), away.reason
    assert "from the initial pose" in away.reason
    assert frame(peer, robot, wait_for).pose_valid


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "cannot be used"),
        ('{"map_frame": "map"}', "cannot be used (KeyError: 'model'); remove it"),
        ("[1e999]", "cannot be used"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_and_no_hindrance(
    peer, robot, robot_node, wait_for, tmp_path: Path, content: str, words: str
):
    file = tmp_path / "pose.json"
    file.write_text(content)
    process = robot_node(SLOW, f"pose_file:={file}")
    robot.mount_camera(STILL)
    assert frame(peer, robot, wait_for).pose_valid
    assert words in process.text()
