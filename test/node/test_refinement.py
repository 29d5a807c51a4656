# SPDX-License-Identifier: Apache-2.0
"""What the status says where refinement was asked for and cannot be."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from mvloc_ros.msg import LocalizationStatus

from mvloc_ros.inference.bundle import add_scene_map, read_bundle
from mvloc_ros.inference.map_spec import SceneMapSpec
from mvloc_ros.localization.depth_points import CORRECTION_SHAPE
from mvloc_ros.localization.scene_map import MapPoints, SceneMap

pytestmark = pytest.mark.dds


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
    process = start_node(*(word for option in options for word in ("-p", option)))
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
