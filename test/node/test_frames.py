# SPDX-License-Identifier: Apache-2.0
"""map -> odom, the robot's pose and the gate, as Nav2 meets them."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from mvloc_ros.msg import LocalizationStatus
from std_srvs.srv import Trigger

from mvloc_ros.frontend.message_checks import to_nanoseconds
from mvloc_ros.geometry import quaternion, se3
from mvloc_ros.geometry.covariance import through_extrinsic
from mvloc_ros.node.messages import matrix_of, pose_of

pytestmark = pytest.mark.dds
ROOT = Path(__file__).resolve().parents[2]
PERIOD = 50_000_000
# The tiny network's pose for the peer's usual images, and where its residual variances put its covariance.
T_MAP_CAMERA = se3.from_parts([10.4, 23.0, 32.0], [0, 0, 0, 1])
COVARIANCE = np.diag([0.01, 0.02, 0.03, 0.001, 0.002, 0.003])
# A camera in front of and above the base, looking ahead (x right, y down, z ahead).
T_BASE_CAMERA = se3.from_parts([0.3, 0.1, 1.2], [-0.5, 0.5, -0.5, 0.5])
SLOW = "transform_timeout:=2.0"  # a loaded machine is no reason to fail


def driven(metres: float) -> np.ndarray:
    """The base in odom after some metres straight on, in a heading of 0.5 rad."""
    heading = quaternion.exp([0.0, 0.0, 0.25])
    return se3.from_parts([-4.0, 2.0, 0.0], heading) @ se3.from_parts([metres, 0.0, 0.0], [0, 0, 0, 1])


def place_of(depth_m: float) -> np.ndarray:
    """The tiny network's pose for a depth image of one distance."""
    return se3.from_parts([10.4, 20.0 + 2.0 * depth_m, 32.0], [0, 0, 0, 1])


class Drive:
    """Frames at 20 Hz with odometry around each; the robot stands unless told."""

    def __init__(self, peer, robot, wait_for) -> None:
        self.peer, self.robot, self.wait_for = peer, robot, wait_for
        self.stamp = time.time_ns() - 1_000_000_000
        self.sent = 0

    def frame(self, depth_m: float = 1.5, T_odom_base: np.ndarray | None = None) -> LocalizationStatus:
        """Send one pair and return the status that answers it."""
        self.stamp += PERIOD
        self.sent += 1
        self.seen = len(self.peer.statuses)
        T_odom_base = driven(0.0) if T_odom_base is None else T_odom_base
        if self.robot is not None:
            self.robot.drive(self.stamp - PERIOD // 2, T_odom_base)
            self.robot.drive(self.stamp + PERIOD // 2, T_odom_base)
        self.peer.send_color(self.stamp)
        self.peer.send_depth(self.stamp, np.full((48, 64), round(1000 * depth_m), np.uint16))
        return self.wait_for(self._answer, 15, f"the status of frame {self.sent}")

    def _answer(self) -> LocalizationStatus | None:
        recent = self.peer.statuses[self.seen :]
        return next((s for s in recent if to_nanoseconds(s.header.stamp) == self.stamp), None)


@pytest.fixture
def drive(peer, robot, wait_for) -> Drive:
    return Drive(peer, robot, wait_for)


def warned(entry):
    """The diagnostics' entry if it warns."""
    return entry if entry is not None and entry.level == b"\x01" else None


def on_tf(peer, child: str) -> list:
    return [t for t in peer.transforms if t.child_frame_id == child and t.header.frame_id == "map"]


def last_entry(peer, name: str):
    """The newest diagnostics of one part of the node."""
    entries = [entry for message in peer.diagnostics for entry in message.status if entry.name == name]
    return entries[-1] if entries else None


def test_map_to_odom_and_the_pose_of_the_robot(peer, robot, drive, robot_node, wait_for):
    robot_node(SLOW, "publish_lost_pose:=true", "lost_after:=0.4")
    robot.mount_camera(T_BASE_CAMERA)
    first = drive.frame()
    assert first.state == LocalizationStatus.TRACKING, first.reason
    wait_for(lambda: peer.covariances and on_tf(peer, "odom"), 10, "pose and transform")

    # The pose is the robot's, and the transform takes odometry away from it.
    found = pose_of(peer.covariances[0])
    T_map_base, covariance = found.T, found.covariance
    assert peer.covariances[0].header.frame_id == "map"
    assert np.allclose(T_map_base, T_MAP_CAMERA @ se3.inverse(T_BASE_CAMERA), atol=1e-5)
    assert np.allclose(covariance, through_extrinsic(COVARIANCE, T_MAP_CAMERA, se3.inverse(T_BASE_CAMERA)), atol=1e-6)
    T_map_odom = T_map_base @ se3.inverse(driven(0.0))
    assert np.allclose(matrix_of(on_tf(peer, "odom")[0]), T_map_odom, atol=1e-5)

    # It is dated ahead and repeated although no frame comes.
    peer.transforms.clear()
    wait_for(lambda: len(on_tf(peer, "odom")) >= 10, 10, "repetitions")
    stamps = [to_nanoseconds(t.header.stamp) for t in on_tf(peer, "odom")]
    assert np.all(np.diff(stamps) > 0)
    assert stamps[-1] > time.time_ns() - 100_000_000
    assert {t.child_frame_id for t in peer.transforms if t.header.frame_id == "map"} == {"odom"}

    # A pose that contradicts odometry is rejected: TF does not move, and the status says why.
    peer.poses.clear()
    doubted = drive.frame(depth_m=8.0)
    assert (doubted.state, doubted.pose_valid, doubted.rejected) == (LocalizationStatus.DEGRADED, False, 1)
    assert "13.00 m from where odometry puts it" in doubted.last_rejection
    peer.transforms.clear()
    wait_for(lambda: len(on_tf(peer, "odom")) >= 3, 10, "repetitions")
    assert np.allclose(matrix_of(on_tf(peer, "odom")[-1]), T_map_odom, atol=1e-5)
    assert not peer.poses

    # Nothing but contradictions: LOST, with a pose that filters ignore, where odometry puts the robot.
    # Ten at 20 Hz are half a second by their stamps, and no two of them agree.
    statuses = [drive.frame(depth_m=2.0 + n % 2 * 4.0 + 0.4 * n, T_odom_base=driven(1.0)) for n in range(10)]
    assert statuses[-1].state == LocalizationStatus.LOST, statuses[-1]
    assert statuses[-1].rejected == 11
    wait_for(lambda: peer.covariances[-1].pose.covariance[0] == 9999.0, 10, "the covariance of a lost pose")
    found = pose_of(peer.covariances[-1])
    T_expected, covariance = found.T, found.covariance
    assert np.allclose(covariance, 9999.0 * np.eye(6))
    assert np.allclose(T_expected, T_map_odom @ driven(1.0), atol=1e-5)
    assert not peer.poses
    assert np.allclose(matrix_of(on_tf(peer, "odom")[-1]), T_map_odom, atol=1e-5)

    # A robot that was carried: five poses that agree, then it is accepted and TF jumps.
    states = [drive.frame(depth_m=0.6, T_odom_base=driven(1.0)).state for _ in range(5)]
    assert states == [LocalizationStatus.LOST] * 4 + [LocalizationStatus.TRACKING]
    carried = place_of(0.6) @ se3.inverse(T_BASE_CAMERA) @ se3.inverse(driven(1.0))
    wait_for(lambda: np.allclose(matrix_of(on_tf(peer, "odom")[-1]), carried, atol=1e-5), 10, "the new transform")

    # Forgetting: TF falls silent until the next pose, which is accepted as it comes.
    assert peer.call("relocalize", Trigger.Request()).success
    peer.transforms.clear()
    count = len(peer.diagnostics)
    wait_for(lambda: len(peer.diagnostics) >= count + 5, 10, "half a second of life")
    assert not on_tf(peer, "odom")
    assert drive.frame(depth_m=1.5, T_odom_base=driven(1.0)).state == LocalizationStatus.TRACKING
    wait_for(lambda: on_tf(peer, "odom"), 10, "the transform of the new start")


def test_a_recording_that_loops_forgets_the_odometry_of_before(peer, robot, drive, robot_node, wait_for):
    robot_node(SLOW)
    robot.mount_camera(T_BASE_CAMERA)
    start = drive.stamp
    for _ in range(25):
        drive.frame()
    drive.stamp = start
    wait_for(lambda: drive.frame(T_odom_base=driven(5.0)).state == LocalizationStatus.TRACKING, 15, "tracking again")
    T_map_odom = T_MAP_CAMERA @ se3.inverse(T_BASE_CAMERA) @ se3.inverse(driven(5.0))
    wait_for(lambda: np.allclose(matrix_of(on_tf(peer, "odom")[-1]), T_map_odom, atol=1e-5), 10, "the new transform")
    assert peer.statuses[-1].clock_jumps == 1


def test_without_odometry_there_are_poses_only_until_there_is_some(peer, robot, robot_node, wait_for):
    process = robot_node(SLOW)
    robot.mount_camera(T_BASE_CAMERA)
    drive = Drive(peer, None, wait_for)
    statuses = [drive.frame() for _ in range(5)]
    used = [s for s in statuses if s.pose_valid]
    assert used, statuses[-1].reason
    assert all(s.state == LocalizationStatus.DEGRADED for s in used)
    assert "'odom'" in used[-1].reason
    assert not on_tf(peer, "odom")
    assert process.text().count("publishing poses only") == 1
    transforms = wait_for(lambda: warned(last_entry(peer, "mvloc: transforms")), 10, "a warning in the diagnostics")
    assert "no transform from 'odom'" in transforms.message
    drive.robot = robot
    wait_for(lambda: drive.frame().state == LocalizationStatus.TRACKING, 15, "odometry to be used")
    wait_for(lambda: on_tf(peer, "odom"), 10, "the transform")
    assert process.text().count("publishing poses only") == 1
    assert "odometry is on TF now" in process.text()
    wait_for(lambda: last_entry(peer, "mvloc: transforms").level == b"\x00", 10, "diagnostics that are well again")


def test_a_camera_that_is_not_on_the_robot_is_named(peer, robot, drive, robot_node, wait_for):
    process = robot_node(SLOW)
    lost = drive.frame()
    assert (lost.state, lost.dropped_failed) == (LocalizationStatus.LOST, 1)
    assert "TF does not tell where 'camera_color_optical_frame' is on 'base_link'" in lost.reason
    assert "static_transform_publisher" in lost.reason
    assert "static_transform_publisher" in process.text()
    assert not peer.poses
    robot.mount_camera(T_BASE_CAMERA)
    wait_for(lambda: drive.frame().state == LocalizationStatus.TRACKING, 15, "poses of the robot")


def test_the_pose_of_the_camera_where_that_is_allowed(peer, drive, robot_node, wait_for):
    process = robot_node(SLOW, "camera_pose_fallback:=true")
    status = drive.frame()
    assert (status.state, status.pose_valid) == (LocalizationStatus.DEGRADED, True)
    assert "TF does not tell" in status.reason
    wait_for(lambda: peer.covariances, 10, "a pose")
    assert np.allclose(pose_of(peer.covariances[0]).T, T_MAP_CAMERA, atol=1e-5)
    drive.frame()
    assert process.text().count("publishing the camera's pose instead") == 1


@pytest.mark.parametrize(
    ("options", "child", "T_child"),
    [
        (["publish_frame:=base_link"], "base_link", T_MAP_CAMERA @ se3.inverse(T_BASE_CAMERA)),
        (["publish_frame:=camera"], "camera_color_optical_frame", T_MAP_CAMERA),
        (["publish_frame:=none", "pose_frame:=camera"], None, T_MAP_CAMERA),
    ],
)
def test_other_children_of_the_map(peer, robot, drive, robot_node, wait_for, options, child, T_child):
    robot_node(SLOW, *options)
    if child == "camera_color_optical_frame":
        drive.robot = None  # a camera without a robot around it
    elif child == "base_link":
        drive.robot = None  # without odometry, which would be its parent
    if child != "camera_color_optical_frame":
        robot.mount_camera(T_BASE_CAMERA)
    wait_for(lambda: drive.frame().state == LocalizationStatus.TRACKING, 15, "tracking")
    wait_for(lambda: peer.covariances, 10, "a pose")
    assert np.allclose(pose_of(peer.covariances[-1]).T, T_child, atol=1e-5)
    sent = [t for t in peer.transforms if t.header.frame_id == "map"]
    if child is None:
        assert not sent
        return
    assert {t.child_frame_id for t in sent} == {child}
    assert np.allclose(matrix_of(sent[-1]), T_child, atol=1e-5)
    assert sent[-1].header.stamp == peer.covariances[-1].header.stamp


@pytest.mark.timeout(180)
def test_lookups_at_now_never_fail_although_the_camera_is_slow(tiny_bundle):
    command = [sys.executable, str(ROOT / "bench" / "tf_lookups.py"), "--model", str(tiny_bundle), "--seconds", "8"]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=150)
    assert result.returncode in (0, 1), result.stdout + result.stderr
    figures = json.loads(result.stdout)
    if figures["lookups"] < 155:
        pytest.skip(f"this machine is too busy to ask 20 times a second: {figures}")
    assert figures["poses"] >= 20
    assert figures["failed_map_to_odom"] == 0, figures
    assert figures["failed_map_to_base"] == figures["of_these_odometry_was_late"], figures
