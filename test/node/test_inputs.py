# SPDX-License-Identifier: Apache-2.0
"""Every input a camera driver sends, and what is said when it does not come: the node in its own process, real DDS."""

from __future__ import annotations

import array
import random
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from geometry_msgs.msg import TransformStamped
from mvloc_ros.msg import LocalizationStatus
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2, PointField
from tf2_msgs.msg import TFMessage

from mvloc_ros.frontend.rvl import encode_rvl

pytestmark = pytest.mark.dds
PERIOD = 33_000_000
COLOR = np.full((48, 64, 3), 51, np.uint8)
DEPTH = np.full((48, 64), 1500, np.uint16)
COLOR_FRAME, DEPTH_FRAME = "camera_color_optical_frame", "camera_depth_optical_frame"
POSE = (10.4, 23.0, 32.0)
"""Of the tiny network: 10 + 2 * 51/255, 20 + 2 * 1.5 m, 30 + 2 * 1."""


@pytest.fixture
def start(start_node, tiny_bundle: Path, peer, wait_for) -> Callable[..., Any]:
    """Start the node on the tiny model; options are parameters (`name:=value`) or remappings (`a:=b` with a slash)."""

    def start(*options: str) -> Any:
        defaults = ("publish_frame:=camera", "gate:=false", "starvation_timeout:=0.5", "status_period:=0.2")
        words = [f"model:={tiny_bundle}", *defaults, *options]
        arguments = [part for word in words for part in ("-r" if "/" in word.split(":=")[0] else "-p", word)]
        process = start_node(*arguments)
        wait_for(lambda: peer.statuses, 30, "the node to be active")
        return process

    return start


def stamped(message: Any, stamp_ns: int, frame: str) -> Any:
    message.header.frame_id = frame
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, 1_000_000_000)
    return message


def matched(publisher: Any, count: int = 1) -> Callable[[], bool]:
    return lambda: publisher.get_subscription_count() >= count


def last_position(peer) -> tuple[float, float, float]:
    point = peer.poses[-1].pose.position
    return point.x, point.y, point.z


def send_until(send: Callable[[int], None], done: Callable[[], object], seconds: float, what: str) -> object:
    """Send frames at 30 Hz until something is true."""
    deadline, start, n = time.monotonic() + seconds, time.time_ns(), 0
    while time.monotonic() < deadline:
        send(start + n * PERIOD)
        n += 1
        until = time.monotonic() + 0.033
        while time.monotonic() < until:
            if value := done():
                return value
            time.sleep(0.002)
    pytest.fail(f"waited {seconds} s in vain for {what}")


def send_both(peer) -> Callable[[int], None]:
    def send(stamp: int) -> None:
        peer.send_color(stamp)
        peer.send_depth(stamp)

    return send


def find(peer, words: str, state: int | None = None) -> Callable[[], LocalizationStatus | None]:
    return lambda: next((s for s in peer.statuses if words in s.reason and (state is None or s.state == state)), None)


def compressed_depth(code: str, encoding: str) -> bytes:
    a, b = 100.0 * 101.0, 1.0 - 100.0 * 101.0 / 10.0
    raw = DEPTH if encoding == "16UC1" else np.full(DEPTH.shape, round(a / 1.5 + b), np.uint16)
    head = struct.pack("<iff", 0, a, b)
    if code == "png":
        return head + cv2.imencode(".png", raw)[1].tobytes()
    return head + struct.pack("<II", 64, 48) + encode_rvl(raw).tobytes()


def test_compressed_colour_and_depth_in_every_code(peer, start, wait_for):
    """Four codes of depth and two of colour through one node: the code may change from image to image."""
    color = peer.node.create_publisher(CompressedImage, "cam/rgb/compressed", 10)
    depth = peer.node.create_publisher(CompressedImage, "cam/depth/compressedDepth", 10)
    start("color_transport:=compressed", "depth_source:=compressed", "color/image:=cam/rgb", "depth/image:=cam/depth")
    wait_for(lambda: matched(color)() and matched(depth)(), 20, "the subscriptions beside the remapped base topics")
    cases = [(s, c, e) for s in (".png", ".jpg") for c in ("png", "rvl") for e in ("16UC1", "32FC1")]
    for suffix, code, encoding in cases:
        jpeg = CompressedImage(format="rgb8; jpeg compressed bgr8")
        jpeg.data = array.array("B", cv2.imencode(suffix, COLOR)[1].tobytes())
        packed = CompressedImage(format=f"{encoding}; compressedDepth {code}")
        packed.data = array.array("B", compressed_depth(code, encoding))
        peer.poses.clear()

        def send(stamp: int, jpeg: CompressedImage = jpeg, packed: CompressedImage = packed) -> None:
            color.publish(stamped(jpeg, stamp, COLOR_FRAME))
            depth.publish(stamped(packed, stamp, DEPTH_FRAME))

        send_until(send, lambda: peer.poses, 20, f"a pose from {suffix} and {code} of {encoding}")
        assert last_position(peer) == pytest.approx(POSE, abs=0.02)
    # A damaged image costs its modality, not the frame.
    peer.statuses.clear()
    packed.data = packed.data[:40]
    status = send_until(send, find(peer, "cannot be decoded", LocalizationStatus.DEGRADED), 10, "the damage to be said")
    assert (status.color_used, status.depth_used) == (True, False)
    assert status.dropped_invalid >= 1


def test_a_cloud_is_projected_with_camera_info_and_tf(peer, start, wait_for):
    """Points on a plane 1.5 m before the camera, sent in a frame 0.5 m behind it."""
    cloud = peer.node.create_publisher(PointCloud2, "depth/points", 10)
    info = peer.node.create_publisher(CameraInfo, "color/camera_info", 10)
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    tf_static = peer.node.create_publisher(TFMessage, "/tf_static", latched)
    start("depth_source:=cloud")
    wait_for(lambda: matched(cloud)() and matched(info)() and matched(peer.color)(), 20, "the subscriptions")
    v, u = np.mgrid[:48, :64]
    points = np.stack([(u - 31.5) * 1.5 / 60, (v - 23.5) * 1.5 / 60, np.full(u.shape, 1.5 + 0.5)], axis=-1)
    points = np.random.default_rng(0).permutation(points.reshape(-1, 3)).astype(np.float32)
    message = PointCloud2(height=1, width=len(points), point_step=16, row_step=16 * len(points), is_dense=True)
    # z before x, and four bytes of something else between.
    for name, offset in (("z", 0), ("x", 8), ("y", 12)):
        message.fields.append(PointField(name=name, offset=offset, datatype=PointField.FLOAT32, count=1))
    rows = np.column_stack([points[:, 2], np.full(len(points), 7.0), points[:, 0], points[:, 1]]).astype(np.float32)
    message.data = array.array("B", rows.tobytes())
    camera = CameraInfo(width=64, height=48, k=[60.0, 0.0, 31.5, 0.0, 60.0, 23.5, 0.0, 0.0, 1.0])

    def send(stamp: int) -> None:
        peer.send_color(stamp)
        cloud.publish(stamped(message, stamp, "lidar"))
        info.publish(stamped(camera, stamp, COLOR_FRAME))

    status = send_until(send, find(peer, "TF does not tell", LocalizationStatus.DEGRADED), 10, "the missing transform")
    assert "'lidar'" in status.reason
    transform = TransformStamped(child_frame_id="lidar")
    transform.header.frame_id = COLOR_FRAME
    transform.transform.translation.z = -0.5
    tf_static.publish(TFMessage(transforms=[transform]))
    peer.statuses.clear()
    send_until(send, lambda: [s for s in peer.statuses if s.depth_used], 10, "a pose with the cloud")
    assert last_position(peer) == pytest.approx(POSE, abs=1e-3)


@pytest.mark.parametrize(("dead", "living"), [("depth", "color"), ("color", "depth")])
def test_a_topic_dies_and_returns(peer, start, wait_for, dead: str, living: str):
    """Depth (colour) is gone for a while: DEGRADED poses within the wait and 200 ms, and back without a restart."""
    start("single_modality_wait:=0.5")
    wait_for(peer.is_connected, 20, "the subscriptions")
    send_until(send_both(peer), lambda: peer.statuses[-1].state == LocalizationStatus.TRACKING, 10, "poses of both")
    last_pair = max(s.header.stamp.sec * 10**9 + s.header.stamp.nanosec for s in peer.statuses if s.pose_valid)
    died = time.monotonic()
    alone = peer.send_color if living == "color" else peer.send_depth
    status = send_until(alone, lambda: next((s for s in peer.statuses if s.single_modality), None), 5, "a single")
    assert time.monotonic() - died > 0.3
    assert status.state == LocalizationStatus.DEGRADED
    assert (status.color_used, status.depth_used) == (living == "color", living == "depth")
    assert ("depth" if dead == "depth" else "colour") in status.reason
    assert f"/{dead}/image" in status.reason
    assert status.header.frame_id == COLOR_FRAME
    assert status.header.stamp.sec * 10**9 + status.header.stamp.nanosec > last_pair
    wait_for(lambda: peer.covariances and peer.covariances[-1].pose.covariance[0] > 0.08, 5, "a larger covariance")
    assert peer.covariances[-1].pose.covariance[0] == pytest.approx(9 * 0.01)
    peer.statuses.clear()
    send_until(send_both(peer), lambda: any(s.state == LocalizationStatus.TRACKING for s in peer.statuses), 5, "both")


def test_encodings_change_under_way(peer, start, wait_for):
    process = start()
    wait_for(peer.is_connected, 20, "the subscriptions")
    bgra = np.dstack([COLOR, COLOR[..., 0]])
    kinds = [
        (COLOR, {"encoding": "rgb8"}, DEPTH, {"encoding": "16UC1"}),
        (bgra, {"encoding": "bgra8"}, (DEPTH / 1000.0).astype(np.float32), {"encoding": "32FC1"}),
        (COLOR[..., 0], {"encoding": "mono8"}, DEPTH.astype(">u2"), {"encoding": "16UC1", "is_bigendian": 1}),
        (COLOR.astype(np.uint16) * 257, {"encoding": "rgb16"}, DEPTH, {}),
    ]  # fmt: skip
    for color, color_fields, depth, depth_fields in kinds:
        peer.poses.clear()

        def send(stamp: int, values: tuple = (color, color_fields, depth, depth_fields)) -> None:
            peer.send_color(stamp, values[0], **values[1])
            peer.send_depth(stamp, values[2], **values[3])

        send_until(send, lambda: len(peer.poses) >= 2, 10, f"poses from {color_fields} and {depth_fields}")
        assert last_position(peer) == pytest.approx(POSE, abs=0.02)
    assert "the colour images changed from rgb8 64x48 to bgra8 64x48" in process.text()


def test_a_publisher_with_another_qos_is_named(peer, start, wait_for):
    best_effort = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
    peer.node.create_publisher(Image, "other/color", best_effort)
    process = start("image_reliability:=reliable", "color/image:=other/color")
    status = wait_for(find(peer, "incompatible QoS"), 5, "the QoS to be named")
    assert "1 publisher(s) on /other/color" in status.reason
    assert "RELIABILITY" in status.reason
    wait_for(lambda: "RELIABILITY" in process.text(), 5, "the log to name it")
    entry = wait_for(
        lambda: next(
            (s for d in peer.diagnostics for s in d.status if s.name.endswith("colour") and "QoS" in s.message), None
        ),
        5,
        "diagnostics",
    )
    assert entry.level == b"\x02"
    assert {value.key: value.value for value in entry.values}["incompatible_qos"] == "RELIABILITY"


def test_best_available_follows_a_publisher_that_comes_later(peer, start, wait_for):
    start("image_reliability:=best_available", "color/image:=later/color")
    best_effort = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
    later = peer.node.create_publisher(Image, "later/color", best_effort)
    wait_for(matched(later), 10, "the subscription to follow")


def test_a_topic_of_another_type_is_named(peer, start, wait_for):
    peer.node.create_publisher(CompressedImage, "packed/color", 10)
    start("color/image:=packed/color")
    status = wait_for(find(peer, "CompressedImage"), 5, "the type to be named")
    assert "set color_transport" in status.reason


def test_another_camera_is_noticed_and_can_be_rescaled(peer, start, wait_for):
    """A camera with twice the resolution and a wider view; its middle shows what the training camera saw."""
    info = peer.node.create_publisher(CameraInfo, "color/camera_info", 10)
    wide = CameraInfo(width=128, height=96, k=[60.0, 0.0, 63.5, 0.0, 60.0, 47.5, 0.0, 0.0, 1.0])
    wide.d, wide.distortion_model = [0.2, 0.0, 0.0, 0.0, 0.0], "plumb_bob"
    bright, far = np.full((96, 128, 3), 255, np.uint8), np.full((96, 128), 6000, np.uint16)
    bright[24:72, 32:96], far[24:72, 32:96] = 51, 1500

    def send(stamp: int) -> None:
        peer.send_color(stamp, bright)
        peer.send_depth(stamp, far)
        info.publish(stamped(wide, stamp, COLOR_FRAME))

    process = start("rescale_input:=true")
    wait_for(lambda: peer.is_connected() and matched(info)(), 20, "the subscriptions")
    send_until(send, lambda: peer.poses and abs(last_position(peer)[1] - POSE[1]) < 0.01, 10, "a rescaled frame")
    assert last_position(peer) == pytest.approx(POSE, abs=1e-3)
    wait_for(lambda: "not rectified (plumb_bob distortion of up to" in process.text(), 5, "the distortion to be named")
    assert "focal length" not in process.text()
    assert "cannot be rescaled before color/camera_info comes" in process.text()
    assert {round(message.pose.position.y, 2) for message in peer.poses} == {round(POSE[1], 2)}  # the first ones too


def test_a_camera_that_differs_is_told_with_what_that_means(peer, start, wait_for):
    info = peer.node.create_publisher(CameraInfo, "color/camera_info", 10)
    tele = CameraInfo(width=640, height=480, k=[750.0, 0.0, 319.5, 0.0, 750.0, 239.5, 0.0, 0.0, 1.0])
    process = start()
    wait_for(lambda: peer.is_connected() and matched(info)(), 20, "the subscriptions")

    def send(stamp: int) -> None:
        send_both(peer)(stamp)
        info.publish(stamped(tele, stamp, COLOR_FRAME))

    # One impossible camera_info must end nothing: it is named, and the next one is read.
    broken = CameraInfo(width=640, height=480, k=tele.k, binning_x=1000, binning_y=1000)
    huge = CameraInfo(width=100_000, height=100_000, k=tele.k)
    for impossible, why in ((broken, "binned by 1000x1000 nothing is left"), (huge, "at most 67108864 pixels")):

        def send_impossible(stamp: int, impossible: CameraInfo = impossible) -> None:
            send_both(peer)(stamp)
            info.publish(stamped(impossible, stamp, COLOR_FRAME))

        # The second one is of the same kind, and is said when that may be said again.
        send_until(send_impossible, lambda why=why: why in process.text(), 15, why)
    words = "focal length is 1.25 times the training's"
    send_until(send, lambda: words in process.text(), 5, "the focal length")
    assert "poses come out too near to what is seen" in process.text()
    wait_for(
        lambda: "the colour images are 64x48, but their camera_info is for 640x480" in process.text(), 5, "the size"
    )
    send_until(send, lambda: "no camera_info of the depth images comes" in process.text(), 5, "the missing info")
    assert process.text().count("no camera_info of the depth images comes") == 1


def test_the_unit_of_depth_is_told_questioned_and_can_be_stated(peer, start, wait_for):
    """Depth in tenths of a millimetre: 15 m in millimetres, which is beyond the model's range."""
    tenths = np.full((48, 64), 15_000, np.uint16)

    def send(stamp: int) -> None:
        peer.send_color(stamp)
        peer.send_depth(stamp, tenths)

    process = start()
    wait_for(peer.is_connected, 20, "the subscriptions")
    words = (
        "the values look like tenths of a millimetre (0.0001 m), in which the median would be 1.5 m: set depth_unit_m"
    )
    send_until(send, lambda: words in process.text(), 10, "the likely unit")
    assert "depth is read as 0.001 m a unit (REP 118), median 15 m" in process.text()
    process.end()
    peer.poses.clear()
    peer.statuses.clear()
    process = start("depth_unit_m:=0.0001")
    wait_for(peer.is_connected, 20, "the subscriptions")
    send_until(send, lambda: peer.poses, 10, "a pose")
    assert last_position(peer) == pytest.approx(POSE, abs=1e-3)
    words = "depth is read as 0.0001 m a unit (by depth_unit_m), median 1.5 m"
    send_until(send, lambda: words in process.text(), 5, "the unit")


def test_a_fifth_lost_skewed_and_jittering_is_counted_to_the_image(peer, start, wait_for):
    """20 % of each topic's images are never sent; depth lags by 6 ms, stamps jitter by 1 ms, arrivals are shuffled."""
    process = start("single_modality_wait:=2.0", "image_queue_size:=100", "image_reliability:=reliable")
    wait_for(lambda: peer.is_connected() and peer.node_sees_it(), 20, "the subscriptions")
    rng = random.Random(5)
    # Sent faster than their stamps go on, they must not come to lie in the future.
    start_ns, frames = time.time_ns() - 10_000_000_000, 150
    sent: dict[str, list[int]] = {"color": [], "depth": []}
    for n in range(frames):
        for name, lag in (("color", 0), ("depth", 6_000_000)):
            if n in (0, frames - 1) or rng.random() >= 0.2:
                stamp = start_ns + n * PERIOD + lag + rng.randrange(-500_000, 500_000)
                (peer.send_color if name == "color" else peer.send_depth)(stamp)
                sent[name].append(n)
        time.sleep(rng.uniform(0.005, 0.02))
    status = wait_for(
        lambda: (s := peer.statuses[-1]) and s.color_received == len(sent["color"])
        and s.depth_received == len(sent["depth"]) and s.state == LocalizationStatus.STARVED and s,
        10, f"all of {len(sent['color'])} and {len(sent['depth'])} images",
    )  # fmt: skip
    both = len(set(sent["color"]) & set(sent["depth"]))
    assert status.lost_in_transport == 2 * frames - len(sent["color"]) - len(sent["depth"])
    assert both - 1 <= status.pairs <= both
    assert status.pairs + status.single_modality == (
        status.published + status.rejected + status.dropped_busy + status.dropped_failed
    )
    waiting = status.color_received + status.depth_received - 2 * status.pairs - status.single_modality
    assert 0 <= waiting - status.dropped_unpaired - status.dropped_invalid <= 40
    assert "config/fastdds.xml" in process.text()


def test_images_without_a_frame_are_of_the_camera_frame_that_is_set(peer, start, make_image, wait_for):
    start("camera_frame:=cam_optical")
    wait_for(peer.is_connected, 20, "the subscriptions")

    def send(stamp: int) -> None:
        peer.color.publish(make_image(COLOR, stamp, "", encoding="rgb8"))
        peer.depth.publish(make_image(DEPTH, stamp, "", encoding="16UC1"))

    send_until(send, lambda: peer.poses and peer.transforms, 10, "a pose")
    assert peer.transforms[-1].child_frame_id == "cam_optical"
