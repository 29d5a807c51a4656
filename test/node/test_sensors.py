# SPDX-License-Identifier: Apache-2.0
"""Further sensors in the node: subscribed to by name, missed aloud, and a front camera that dies costs no pose."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from geometry_msgs.msg import TransformStamped
from mvloc_ros.msg import LocalizationStatus
from rclpy.qos import DurabilityPolicy, QoSProfile
from rig_bundle import write_rig_bundle
from sensor_msgs.msg import Image
from tf2_msgs.msg import TFMessage

pytestmark = pytest.mark.dds
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
COLOR_FRAME = "camera_color_optical_frame"


@pytest.fixture(scope="module")
def bundle(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_rig_bundle(tiny_bundle, tmp_path_factory.mktemp("rig"))


def image(stamp_ns: int, level: int) -> Image:
    message = Image(height=48, width=64, encoding="rgb8", step=192)
    message.header.frame_id = "rear_optical"
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, 1_000_000_000)
    message.data.frombytes(np.full((48, 64, 3), level, np.uint8).tobytes())
    return message


def words(*options: str) -> list[str]:
    return [part for option in options for part in ("-p", option)]


def test_the_rear_camera_goes_on_where_the_front_one_died(start_node, bundle: Path, peer, wait_for) -> None:
    rear = peer.node.create_publisher(Image, "/rear/image", 5)
    static = peer.node.create_publisher(TFMessage, "/tf_static", LATCHED)
    process = start_node(
        *words(
            f"model:={bundle}", "gate:=false", "publish_frame:=camera", "status_period:=0.2", "starvation_timeout:=0.5",
            "sensor_topics:=rear:=/rear/image",
        )
    )  # fmt: skip
    wait_for(lambda: peer.is_connected() and rear.get_subscription_count(), 30, "the node to subscribe")
    placed = TransformStamped(child_frame_id="rear_optical")
    placed.header.frame_id = COLOR_FRAME
    placed.transform.translation.z = -0.4  # the training's is at -0.3
    placed.transform.rotation.y, placed.transform.rotation.w = 1.0, 0.0
    static.publish(TFMessage(transforms=[placed]))
    peer.statuses.clear()
    stop = time.monotonic() + 20.0

    def next_status() -> LocalizationStatus:
        count = len(peer.statuses)
        wait_for(lambda: len(peer.statuses) > count, 5, "the next status")
        return peer.statuses[-1]

    def send(front: bool) -> LocalizationStatus | None:
        assert time.monotonic() < stop
        stamp = time.time_ns()
        if front:
            peer.send_color(stamp)
            peer.send_depth(stamp)
        rear.publish(image(stamp, 51))
        return next_status()

    def uses(status: LocalizationStatus | None, z: float) -> bool:
        return status is not None and status.pose_valid and abs(status.network_pose.position.z - z) < 1e-4

    while not uses(send(front=True), 30.0 + 2 * 0.07):  # color, depth and rear
        pass
    assert "no image of thermal, for which no covariance was measured" in peer.statuses[-1].reason
    while not uses(status := send(front=False), 30.0 + 2 * 0.04):  # rear alone
        pass
    assert status is not None
    assert status.state == LocalizationStatus.DEGRADED
    assert status.header.frame_id == COLOR_FRAME
    assert "no colour image" in status.reason
    assert "no depth image" in status.reason
    while not uses(send(front=True), 30.0 + 2 * 0.07):
        pass
    while "no rear image" not in peer.statuses[-1].reason:
        assert time.monotonic() < stop
        stamp = time.time_ns()
        peer.send_color(stamp)
        peer.send_depth(stamp)
        next_status()
    log = process.log.read_text()
    assert "the model takes thermal too, of which sensor_topics names no topic" in log
    assert "TF puts rear_optical 10.0 cm and 0.0 degrees from where the sensor rear was in training" in log
    wait_for(lambda: "no rear image for" in process.log.read_text(), 10, "the watchdog to name the silent sensor")


def test_a_name_that_the_model_does_not_have_is_refused(start_node, bundle: Path, wait_for) -> None:
    process = start_node(*words(f"model:={bundle}", "sensor_topics:=reer:=/rear/image"))
    sentence = "sensor_topics names reer, but the model bundle has the sensors rear, thermal."
    wait_for(lambda: sentence in process.log.read_text(), 30, "the refusal")
