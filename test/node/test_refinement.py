# SPDX-License-Identifier: Apache-2.0
"""Refinement in the node: what the status says where there is none, and what map -> odom does without a verdict."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from child_process import parameter_words
from mvloc_ros.msg import LocalizationStatus
from wall_map import T_MAP_CAMERA, textured, with_wall

from mvloc_ros.frontend.message_checks import to_nanoseconds
from mvloc_ros.geometry import se3
from mvloc_ros.localization.depth_points import CORRECTION_SHAPE
from mvloc_ros.localization.scene_map import MapPoints, SceneMap
from mvloc_ros.model.bundle import read_bundle
from mvloc_ros.model.bundle_writer import add_scene_map
from mvloc_ros.model.map_spec import AcceptanceSpec, SceneMapSpec
from mvloc_ros.node.messages import matrix_of

pytestmark = pytest.mark.dds
PERIOD_NS = 50_000_000


@pytest.fixture
def show(peer, robot, wait_for):
    """Send one pair of a robot that stands, with depth of one distance, and return the status that answers it."""
    stamp_ns = time.time_ns() - 1_000_000_000

    def send(depth_m: float) -> LocalizationStatus:
        nonlocal stamp_ns
        stamp_ns += PERIOD_NS
        seen = len(peer.statuses)
        for around in (-1, 1):
            robot.drive(stamp_ns + around * PERIOD_NS // 2, np.eye(4))
        peer.send_color(stamp_ns, textured())
        peer.send_depth(stamp_ns, np.full((48, 64), round(1000 * depth_m), np.uint16))

        def answer() -> LocalizationStatus | None:
            return next((s for s in peer.statuses[seen:] if to_nanoseconds(s.header.stamp) == stamp_ns), None)

        return wait_for(answer, 15, "the status of the frame")

    return send


def started(robot_node, robot, model: Path):
    """The node with odometry; its budget and its waiting for transforms bind nowhere."""
    process = robot_node(f"model:={model}", "transform_timeout:=2.0", "refine_budget_ms:=10000.0")
    robot.mount_camera(np.eye(4))
    return process


def test_a_hand_in_front_of_the_camera_gives_no_pose_and_does_not_move_map_to_odom(
    peer, robot, robot_node, show, tiny_bundle, tmp_path, wait_for
):
    support = AcceptanceSpec(-5.0, {"support": 10.0}, {"support": 1.0}, 0.9, 0.005, {})
    process = started(robot_node, robot, with_wall(shutil.copytree(tiny_bundle, tmp_path / "wall"), support))
    first = [show(1.5) for _ in range(3)]
    assert [status.state for status in first] == [LocalizationStatus.TRACKING] * 3, first[-1].reason
    assert all(status.refined and status.score > 0.9 for status in first)
    wait_for(lambda: len(peer.poses) == 3, 10, "the poses")
    # The network puts the camera 2.6 m away, each time at the same place: the gate alone would be convinced.
    near = [show(0.2) for _ in range(12)]
    assert not any(status.pose_valid for status in near)
    assert near[0].state == LocalizationStatus.DEGRADED
    assert "100% of the depth image is nearer than the 0.3 m" in near[-1].reason
    assert near[-1].rejected == 12
    count = len(peer.transforms)
    wait_for(lambda: len(peer.transforms) >= count + 5, 10, "repetitions of map -> odom")
    sent = [t for t in peer.transforms if (t.header.frame_id, t.child_frame_id) == ("map", "odom")]
    moved = max(float(se3.translation_error(matrix_of(t), T_MAP_CAMERA)) for t in sent)
    assert moved < 0.01
    assert len(peer.poses) == 3
    again = show(1.5)
    assert (again.state, again.pose_valid) == (LocalizationStatus.TRACKING, True), again.reason
    assert process.end() == 0


def test_a_map_without_a_threshold_gives_no_pose_and_the_log_says_so(
    peer, robot, robot_node, show, tiny_bundle, tmp_path
):
    process = started(robot_node, robot, with_wall(shutil.copytree(tiny_bundle, tmp_path / "wall"), None))
    statuses = [show(1.5) for _ in range(3)]
    assert not any(status.pose_valid for status in statuses)
    assert not peer.poses
    assert "the scene map has no acceptance threshold" in statuses[-1].reason
    warnings = [line for line in process.text().splitlines() if "WARN" in line and "no acceptance threshold" in line]
    assert "[mvloc]: poses are rejected: " in warnings[0]
    assert process.end() == 0


def test_a_damaged_map_makes_the_state_degraded_with_the_reason(peer, start_node, tiny_bundle, tmp_path, wait_for):
    path = Path(shutil.copytree(tiny_bundle, tmp_path / "model"))
    points = np.random.default_rng(0).random((200, 3))
    content = MapPoints(points, np.tile([0.0, 0.0, 1.0], (200, 1)), np.full(200, 9, np.uint8))
    scene_map = SceneMap.from_points(content, np.zeros(CORRECTION_SHAPE, np.float32), 4.0, 0.02)
    spec = SceneMapSpec("", "", 0.02, 4.0, 200, 0.3, 4.5, tuple(np.eye(4).ravel()), 100.0, None)
    bundle = add_scene_map(read_bundle(path), scene_map.to_bytes(), spec)
    (path / bundle.manifest.scene_map.file).write_bytes(b"rubbish")
    options = (
        f"model:={path}",
        "publish_frame:=camera",
        "gate:=false",
        "status_period:=0.1",
        "starvation_timeout:=0.3",
    )
    process = start_node(*parameter_words(*options))
    wait_for(lambda: peer.is_connected() and peer.node_sees_it(), 30, "the node and the peer to find each other")
    peer.statuses.clear()
    stamp_ns = peer.node.get_clock().now().nanoseconds
    peer.send_color(stamp_ns)
    peer.send_depth(stamp_ns)
    wait_for(lambda: peer.poses, 10, "a pose")
    status = wait_for(lambda: next((s for s in peer.statuses if s.pose_valid), None), 10, "its status")
    assert status.state == LocalizationStatus.DEGRADED
    assert "the network's alone" in status.reason
    assert "damaged or of another scene" in status.reason
    assert not status.refined
    assert process.text().count("damaged or of another scene") == 1
    assert process.end() == 0
