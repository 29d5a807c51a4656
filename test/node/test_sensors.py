# SPDX-License-Identifier: Apache-2.0
"""Further sensors in the node: subscribed to by name, missed aloud, and a front camera that dies costs no pose."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from geometry_msgs.msg import TransformStamped
from mvloc_ros.msg import LocalizationStatus
from rclpy.qos import DurabilityPolicy, QoSProfile
from rig_bundle import write_rig_bundle
from sensor_msgs.msg import CompressedImage, Image
from std_srvs.srv import Trigger
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


def require_told(status: LocalizationStatus, color: bool, depth: bool) -> None:
    """Of a frame with rear and without thermal, whose network's precisions are 1, 2 of color, and 1 of each other."""
    assert list(status.sensors) == ["rear", "thermal"]
    assert list(status.sensors_used) == [True, False]
    precisions = np.array([1.0, 2.0 * color, 1.0 * depth, 1.0, 0.0])
    shares = [status.prior_share, status.color_share, status.depth_share, *status.sensor_shares]
    np.testing.assert_allclose(shares, precisions / precisions.sum(), atol=1e-6)
    assert sum(shares) == pytest.approx(1.0, abs=1e-6)
    assert status.sensor_skews[0] == 0.0
    assert np.isnan(status.sensor_skews[1])
    received, used = status.sensors_received, status.sensors_in_frames
    lost = np.add(status.sensors_dropped_unpaired, status.sensors_dropped_invalid)
    assert received[1] == used[1] == lost[1] == 0
    assert 0 < used[0] <= received[0] - lost[0]
    assert received[0] - used[0] - lost[0] <= 5, "at most a few wait"


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

    while not uses(status := send(front=True), 30.0 + 2 * 0.07):  # color, depth and rear
        pass
    assert status is not None
    assert "no image of thermal, for which no covariance was measured" in status.reason
    require_told(status, color=True, depth=True)
    assert list(status.sensors_silent) == [False, True]
    assert status.sensor_states[1] == "sensor_topics names no topic of thermal"
    assert not status.without_pair
    while not uses(status := send(front=False), 30.0 + 2 * 0.04):  # rear alone
        pass
    assert status is not None
    assert status.state == LocalizationStatus.DEGRADED
    assert status.header.frame_id == COLOR_FRAME
    assert "no colour image" in status.reason
    assert "no depth image" in status.reason
    require_told(status, color=False, depth=False)
    assert status.without_pair
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
    wait_for(lambda: "no rear image for" in peer.statuses[-1].sensor_states[0], 10, "the status to name it")
    silent = peer.statuses[-1]
    assert list(silent.sensors_silent) == [True, True]
    assert not any(silent.sensors_used)
    assert not any(silent.sensor_shares)
    assert np.isnan(silent.sensor_skews).all()


def test_a_name_that_the_model_does_not_have_is_refused(start_node, bundle: Path, wait_for) -> None:
    process = start_node(*words(f"model:={bundle}", "sensor_topics:=reer:=/rear/image"))
    sentence = "sensor_topics names reer, but the model bundle has the sensors rear, thermal."
    wait_for(lambda: sentence in process.log.read_text(), 30, "the refusal")


def test_a_damaged_image_of_a_sensor_is_counted_as_its_own(start_node, bundle: Path, peer, wait_for) -> None:
    rear = peer.node.create_publisher(CompressedImage, "/rear/image/compressed", 5)
    start_node(
        *words(f"model:={bundle}", "gate:=false", "publish_frame:=camera", "status_period:=0.2",
               "sensor_topics:=rear:=/rear/image/compressed")
    )  # fmt: skip
    wait_for(lambda: peer.is_connected() and rear.get_subscription_count(), 30, "the node to subscribe")

    def counted() -> bool:
        stamp = time.time_ns()
        damaged = CompressedImage(format="jpeg")
        damaged.header = image(stamp, 0).header
        damaged.data.frombytes(b"no image")
        rear.publish(damaged)
        peer.send_color(stamp)
        peer.send_depth(stamp)
        return bool(peer.statuses and any(peer.statuses[-1].sensors_dropped_invalid))

    wait_for(counted, 20, "a frame with a damaged image")
    status = peer.statuses[-1]
    assert status.sensors_dropped_invalid[0] <= status.sensors_in_frames[0] <= status.sensors_received[0]
    assert status.dropped_invalid == 0, "none of color or depth was damaged"


@pytest.mark.parametrize("further", [True, False])
def test_a_model_of_other_sensors_does_not_take_the_place_of_the_one_that_runs(
    start_node, bundle: Path, tiny_bundle: Path, tmp_path: Path, peer, wait_for, further: bool
) -> None:
    running, other = (bundle, tiny_bundle) if further else (tiny_bundle, bundle)
    rear = peer.node.create_publisher(Image, "/rear/image", 5)
    topic = ["sensor_topics:=rear:=/rear/image"] if further else []
    start_node(*words(f"model:={running}", "gate:=false", "publish_frame:=camera", "status_period:=0.2", *topic))
    wait_for(
        lambda: peer.is_connected() and peer.statuses and (rear.get_subscription_count() or not further),
        30,
        "the node to subscribe",
    )

    def is_localized() -> bool:
        stamp, count = time.time_ns(), len(peer.statuses)
        peer.send_color(stamp)
        peer.send_depth(stamp)
        rear.publish(image(stamp, 51))
        return any(
            status.pose_valid and list(status.sensors_used) == ([True, False] if further else [])
            for status in peer.statuses[count - 1 :]
        )

    wait_for(is_localized, 20, "poses with all images")
    assert peer.set_string("model", str(other)).successful, "the manifest alone can be used"
    answer = peer.call("load_model", Trigger.Request())
    assert not answer.success
    with_rear, without = "color, depth, rear, thermal", "color, depth"
    theirs, ours = (without, with_rear) if further else (with_rear, without)
    assert f"takes other sensors ({theirs}) than the running model ({ours})" in answer.message
    assert "deactivate, clean up, set it, configure again" in answer.message
    wait_for(lambda: peer.get_string("model") == str(running), 10, "the parameter to go back")
    wait_for(is_localized, 20, "the model of before to go on")
    same = tmp_path / "same"
    shutil.copytree(running, same)
    assert peer.set_string("model", str(same)).successful
    answer = peer.call("load_model", Trigger.Request())
    assert answer.success, answer.message
    wait_for(lambda: is_localized() and peer.statuses[-1].model == "same", 20, "the other model of the same sensors")
