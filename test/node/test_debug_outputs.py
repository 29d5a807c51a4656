# SPDX-License-Identifier: Apache-2.0
"""What people look at: map, points and pictures come to who subscribes, and are made for nobody else."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rclpy
from child_process import parameter_words
from lifecycle_msgs.msg import Transition
from mvloc_ros.msg import LocalizationStatus
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image, PointCloud2
from sensor_msgs_py import point_cloud2
from wall_map import T_MAP_CAMERA, WALL_Z, textured, with_wall

from mvloc_ros.frontend.front_end import PairedFrame
from mvloc_ros.frontend.message_checks import to_nanoseconds
from mvloc_ros.localization.estimate import PoseEstimate
from mvloc_ros.localization.tracker import State, Verdict
from mvloc_ros.model.frame import ColorImage, DepthImage, Frame
from mvloc_ros.node.debug_outputs import DRAWER, DebugOutputs
from mvloc_ros.node.loaded_model import LoadedModel, load_model
from mvloc_ros.parameters.table import NodeParameters
from mvloc_ros.pipeline.localized import Localized
from mvloc_ros.pipeline.robot_tracking import Placement

pytestmark = pytest.mark.dds
LATCHED = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
PERIOD_NS = 50_000_000
POINTS = 75 * 75


@pytest.fixture
def wall(tiny_bundle: Path, tmp_path: Path) -> Path:
    return with_wall(shutil.copytree(tiny_bundle, tmp_path / "wall"))


class Viewer:
    """Subscribes to the three topics, as RViz does."""

    def __init__(self, peer: Any, wait_for: Callable) -> None:
        self._peer, self._wait_for = peer, wait_for
        self.maps: list[PointCloud2] = []
        self.scans: list[PointCloud2] = []
        self.images: list[Image] = []
        self._subscriptions: list[Any] = []

    def look(self) -> None:
        self._in_executor(self._subscribe)

    def look_away(self) -> None:
        self._in_executor(self._unsubscribe)

    def _in_executor(self, change: Callable[[], None]) -> None:
        """The executor may be waiting for messages of what is to go."""
        self._wait_for(self._peer.executor.create_task(change).done, 15, "the executor")

    def _subscribe(self) -> None:
        create = self._peer.node.create_subscription
        self._subscriptions = [
            create(PointCloud2, "mvloc/map_points", self.maps.append, LATCHED),
            create(PointCloud2, "mvloc/scan_points", self.scans.append, 1),
            create(Image, "mvloc/debug_image", self.images.append, 1),
        ]

    def _unsubscribe(self) -> None:
        while self._subscriptions:
            self._peer.node.destroy_subscription(self._subscriptions.pop())


class Camera:
    """Sends pairs with known stamps, one at a time."""

    def __init__(self, peer: Any, wait_for: Callable) -> None:
        self._peer, self._wait_for = peer, wait_for
        self.stamp_ns = time.time_ns() - 10_000_000_000
        self.accepted: set[int] = set()
        self.rejected: set[int] = set()

    def show(self, depth_m: float = 1.5) -> LocalizationStatus:
        self.stamp_ns += PERIOD_NS
        stamp_ns, seen = self.stamp_ns, len(self._peer.statuses)
        self._peer.send_color(stamp_ns, textured())
        self._peer.send_depth(stamp_ns, np.full((48, 64), round(1000 * depth_m), np.uint16))

        def answer() -> LocalizationStatus | None:
            return next((s for s in self._peer.statuses[seen:] if to_nanoseconds(s.header.stamp) == stamp_ns), None)

        status = self._wait_for(answer, 15, "the status of the frame")
        (self.accepted if status.pose_valid else self.rejected).add(stamp_ns)
        return status

    def show_until(self, condition: Callable[[], object], what: str, depth_m: float = 1.5) -> None:
        def step() -> object:
            self.show(depth_m)
            return condition()

        self._wait_for(step, 30, what)


def stamps(messages: list[Any]) -> set[int]:
    return {to_nanoseconds(message.header.stamp) for message in messages}


def xyz(cloud: PointCloud2) -> np.ndarray:
    return point_cloud2.read_points_numpy(cloud, ["x", "y", "z"])


def test_a_viewer_gets_the_map_the_points_and_the_pictures(peer, start_node, wall, tiny_bundle, tmp_path, wait_for):
    options = (
        f"model:={wall}", "publish_frame:=camera", "gate:=false", "status_period:=0.1", "starvation_timeout:=0.3",
        "refine_budget_ms:=10000.0", "debug_rate:=100.0", "map_points_limit:=2000",
    )  # fmt: skip
    process = start_node(*parameter_words(*options))
    wait_for(lambda: peer.is_connected() and peer.node_sees_it(), 30, "the node and the peer to find each other")
    camera, viewer = Camera(peer, wait_for), Viewer(peer, wait_for)
    assert [camera.show().state for _ in range(3)] == [LocalizationStatus.TRACKING] * 3
    before = camera.stamp_ns

    viewer.look()
    wait_for(lambda: viewer.maps, 15, "the map, for a subscriber that came late")
    points = viewer.maps[-1]
    assert points.header.frame_id == "map"
    assert [field.name for field in points.fields] == ["x", "y", "z", "intensity"]
    assert points.width == 2000 < POINTS
    np.testing.assert_allclose(xyz(points)[:, 2], WALL_Z, atol=1e-3)
    second = Viewer(peer, wait_for)
    second.look()
    wait_for(lambda: second.maps, 15, "the map, for a second subscriber")
    second.look_away()

    camera.show_until(lambda: viewer.images and viewer.scans, "a picture and points")
    image, scan = viewer.images[-1], viewer.scans[-1]
    assert (image.encoding, image.width, image.step) == ("bgr8", 400, 1200)
    assert len(image.data) == image.step * image.height
    assert image.header.frame_id == "camera_color_optical_frame"
    assert scan.header.frame_id == "map"
    assert [field.name for field in scan.fields] == ["x", "y", "z", "residual"]
    np.testing.assert_allclose(xyz(scan)[:, 2], WALL_Z, atol=0.01)
    assert point_cloud2.read_points_numpy(scan, ["residual"]).max() < 0.01

    # Not each frame is shown: one that comes too soon after another, or that another replaces, is not.
    camera.show_until(lambda: stamps(viewer.images) & camera.rejected, "the picture of a rejected frame", depth_m=0.2)
    assert stamps(viewer.images) <= camera.accepted | camera.rejected
    assert min(stamps(viewer.images)) > before  # of no frame before somebody subscribed
    assert stamps(viewer.scans) <= camera.accepted

    assert peer.transition(Transition.TRANSITION_DEACTIVATE)
    viewer.images.clear()
    assert peer.transition(Transition.TRANSITION_ACTIVATE)
    wait_for(peer.node_sees_it, 30, "the node to see the peer again")
    maps = len(viewer.maps)
    camera.show_until(lambda: viewer.images, "pictures after the node was activated again")
    assert len(viewer.maps) == maps  # who has the map is not sent it again

    other = with_wall(shutil.copytree(tiny_bundle, tmp_path / "other"), spacing_m=0.1)
    assert peer.set_string("model", str(other)).successful
    wait_for(lambda: viewer.maps[-1].width == 30 * 30, 30, "the map of the new model")
    assert process.end() == 0
    assert "ERROR" not in process.text()
    assert "Traceback" not in process.text()


class Stand:
    """The outputs on a lifecycle node of this process, fed by hand."""

    def __init__(self, node: LifecycleNode, model: LoadedModel, rate_hz: float) -> None:
        self.model = model
        self.outputs = DebugOutputs(node, NodeParameters(debug_rate=rate_hz), lambda: self.model)
        node.trigger_configure()
        node.trigger_activate()
        self.outputs.start()
        self.stamp_ns = 0

    def frame(self) -> Frame:
        self.stamp_ns += PERIOD_NS
        color = ColorImage(textured(), "rgb")
        return Frame(self.stamp_ns, "camera", color, DepthImage(np.full((48, 64), 1500, np.uint16), 0.001))

    def localized(self, frame: Frame, estimate: PoseEstimate) -> Localized:
        paired = PairedFrame(frame.stamp_ns, frame.frame_id, 0, {}, 0.0, 0.0, 0.0)
        verdict = Verdict(True, State.TRACKING, "", T_MAP_CAMERA)
        return Localized(paired, estimate, Placement(verdict, "map", "camera", estimate.pose, np.eye(4), ()))

    def take(self) -> Frame:
        frame = self.frame()
        self.outputs.note_read(frame)
        self.outputs.show(self.localized(frame, self.model.localizer.process(frame)))
        return frame

    def fail(self, reads: bool) -> None:
        frame = self.frame()
        if reads:
            self.outputs.note_read(frame)
        paired = PairedFrame(frame.stamp_ns, frame.frame_id, 0, {}, 0.0, 0.0, 0.0)
        self.outputs.show_failure(paired, "The network's answer is not a number.")


@pytest.fixture
def make_stand(ros_context: rclpy.Context, wall: Path) -> Iterator[Callable[[float], Stand]]:
    values = NodeParameters(model=str(wall), threads=1, backend="onnxruntime", refine_budget_ms=10000.0)
    node = LifecycleNode("mvloc", context=ros_context, enable_rosout=False)
    made: list[Stand] = []

    def make(rate_hz: float) -> Stand:
        made.append(Stand(node, load_model(values, values.model, lambda _: None), rate_hz))
        return made[-1]

    yield make
    for stand in made:
        stand.outputs.stop()
        stand.outputs.close()
        stand.model.close()
    node.destroy_node()


@pytest.fixture
def stand(make_stand: Callable[[float], Stand]) -> Stand:
    return make_stand(100.0)


def drawers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == DRAWER]


def test_nothing_is_made_and_no_image_kept_without_a_subscriber(stand: Stand, peer, wait_for):
    for _ in range(3):
        frame = stand.take()
        stand.fail(reads=True)
        stand.fail(reads=False)
        stand.outputs.look()
    assert stand.outputs._frame is None
    assert not drawers()
    viewer = Viewer(peer, wait_for)
    viewer.look()

    def shown() -> bool:
        nonlocal frame
        frame = stand.take()
        return bool(viewer.images)

    wait_for(shown, 15, "a picture")
    assert drawers()
    viewer.look_away()
    publisher = stand.outputs._image
    wait_for(lambda: publisher.get_subscription_count() == 0, 15, "the subscriber to go")
    count = len(viewer.images)
    stand.take()
    assert stand.outputs._frame is None
    stand.outputs.stop()
    assert not drawers()
    assert len(viewer.images) <= count + 1  # one may have been on its way


def test_a_frame_without_a_pose_is_shown_with_its_images_or_without(stand: Stand, peer, wait_for):
    viewer = Viewer(peer, wait_for)
    viewer.look()
    for reads, width in ((True, 400), (False, 640)):  # an image is enlarged; without one the picture is of its own size

        def shown(reads: bool = reads, width: int = width) -> Image | None:
            stand.fail(reads)
            return next((image for image in viewer.images if image.width == width), None)

        image = wait_for(shown, 15, "a picture")
        assert np.asarray(image.data, np.uint8)[: image.step * 100].any() == reads
    assert not viewer.scans


def test_a_model_that_is_exchanged_while_nobody_looks_leaves_no_old_map(stand: Stand, peer, wait_for, tiny_bundle):
    viewer = Viewer(peer, wait_for)
    viewer.look()
    wait_for(lambda: stand.outputs.look() or viewer.maps, 15, "the map")
    assert viewer.maps[-1].width == POINTS
    viewer.look_away()
    publisher = stand.outputs._map
    wait_for(lambda: publisher.get_subscription_count() == 0, 15, "the subscriber to go")
    values = NodeParameters(model=str(tiny_bundle), threads=1, backend="onnxruntime")
    before, stand.model = stand.model, load_model(values, values.model, lambda _: None)
    before.close()
    stand.outputs.look()
    late = Viewer(peer, wait_for)
    late.look()
    wait_for(lambda: late.maps, 15, "what the publisher holds")
    assert late.maps[0].width == 0


def test_pictures_keep_to_their_rate(make_stand, peer, wait_for):
    stand = make_stand(0.1)
    viewer = Viewer(peer, wait_for)
    viewer.look()
    wait_for(lambda: stand.take() and viewer.images, 15, "a picture")
    for _ in range(20):
        stand.take()
        assert stand.outputs._frame is None
    assert len(viewer.images) == 1
