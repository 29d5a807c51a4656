# SPDX-License-Identifier: Apache-2.0
"""Services and initial poses: what an operator, and another localizer, ask of the node."""

from __future__ import annotations

import os
import shutil
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from child_process import parameter_words
from geometry_msgs.msg import PoseWithCovarianceStamped
from lifecycle_msgs.msg import Transition
from manifests import edit_manifest
from mvloc_ros.msg import LocalizationStatus
from std_srvs.srv import SetBool, Trigger

from mvloc_ros.frontend.message_checks import to_nanoseconds
from mvloc_ros.geometry import se3
from mvloc_ros.localization.pose import Pose
from mvloc_ros.node.messages import pose_messages

pytestmark = pytest.mark.dds
PERIOD = 50_000_000
DEMO_MODEL = Path(__file__).resolve().parents[2] / "models" / "demo"


def frame(peer, wait_for, depth_m: float = 1.5) -> LocalizationStatus:
    """Send one pair stamped now and return the status that answers it."""
    stamp, seen = time.time_ns(), len(peer.statuses)
    peer.send_color(stamp)
    peer.send_depth(stamp, np.full((48, 64), round(1000 * depth_m), np.uint16))
    return wait_for(
        lambda: next((s for s in peer.statuses[seen:] if to_nanoseconds(s.header.stamp) == stamp), None), 10, "a status"
    )


def trigger(peer, name: str):
    return peer.call(name, Trigger.Request())


def test_disabled_means_no_work_until_enabled_again(peer, robot_node, wait_for):
    robot_node("publish_frame:=camera")
    frame(peer, wait_for)
    assert peer.call("set_enabled", SetBool.Request(data=False)).success
    wait_for(lambda: "disabled by" in peer.statuses[-1].reason, 10, "the status to say so")
    for n in range(5):
        peer.send_color(time.time_ns() + n)
        peer.send_depth(time.time_ns() + n)
    count = len(peer.statuses)
    wait_for(lambda: len(peer.statuses) >= count + 5, 10, "five more status messages")
    assert len(peer.poses) == 1
    assert (peer.statuses[-1].color_received, peer.statuses[-1].dropped_unpaired) == (1, 0)
    assert peer.call("set_enabled", SetBool.Request(data=True)).success
    assert frame(peer, wait_for).state == LocalizationStatus.TRACKING


def test_services_say_what_they_cannot_do(peer, robot_node, wait_for):
    robot_node("publish_frame:=camera")
    answer = trigger(peer, "publish_initialpose")
    assert (answer.success, answer.message) == (False, "no pose has been accepted yet")
    assert peer.transition(Transition.TRANSITION_DEACTIVATE)
    for name in ("relocalize", "publish_initialpose"):
        answer = trigger(peer, name)
        assert (answer.success, answer.message) == (False, "the node is not active")
    assert not peer.call("set_enabled", SetBool.Request(data=True)).success
    assert peer.transition(Transition.TRANSITION_CLEANUP)
    assert trigger(peer, "load_model").message == "the node is not configured"


def hint(T: np.ndarray, frame_id: str = "map", stamp_ns: int = 0) -> PoseWithCovarianceStamped:
    """An initial pose as rviz sends it: spread in x, y and yaw, zeros elsewhere."""
    return pose_messages(Pose(stamp_ns, T, np.diag([0.25, 0.25, 0.0, 0.0, 0.0, 0.07])), frame_id)[1]


def test_an_initial_pose_decides_which_pose_is_believed(peer, robot_node, wait_for):
    process = robot_node("publish_frame:=camera", "gate_max_speed:=0.1")
    publisher = peer.node.create_publisher(PoseWithCovarianceStamped, "initialpose", 1)
    wait_for(lambda: publisher.get_subscription_count() > 0, 10, "the node to listen")
    assert frame(peer, wait_for, depth_m=1.5).state == LocalizationStatus.TRACKING
    assert not frame(peer, wait_for, depth_m=8.0).pose_valid

    # What makes no sense is refused in words and changes nothing.
    bad = hint(np.eye(4))
    bad.pose.pose.orientation.w = 0.0
    not_finite = hint(np.eye(4))
    not_finite.pose.pose.position.x = np.nan
    for message, words in (
        (hint(np.eye(4), frame_id="odom"), "an initial pose in 'odom' is ignored"),
        (bad, "its quaternion has the length 0"),
        (not_finite, "its numbers are not finite"),
    ):
        wait_for(lambda m=message, words=words: publisher.publish(m) or words in process.text(), 10, words)
    assert not frame(peer, wait_for, depth_m=8.0).pose_valid

    publisher.publish(hint(se3.from_parts([10.0, 36.5, 31.0], [0, 0, 0, 1])))
    wait_for(lambda: "taken as a hint" in process.text(), 10, "the hint to be taken")
    elsewhere = frame(peer, wait_for, depth_m=1.5)
    assert (elsewhere.pose_valid, elsewhere.state) == (False, LocalizationStatus.INITIALISING)
    assert "from the initial pose that was given" in elsewhere.reason
    assert frame(peer, wait_for, depth_m=8.0).state == LocalizationStatus.TRACKING
    peer.node.destroy_publisher(publisher)


def test_one_validated_pose_for_another_localizer(peer, robot, robot_node, wait_for):
    robot_node("transform_timeout:=2.0", "gate_confirmations:=3", "lost_after:=30.0")
    robot.mount_camera(np.eye(4))
    received: list[PoseWithCovarianceStamped] = []

    def tracked() -> bool:
        now = time.time_ns()
        robot.drive(now - PERIOD, np.eye(4))
        robot.drive(now + 20 * PERIOD, np.eye(4))  # odometry holds however late the frame is on a busy machine
        return frame(peer, wait_for).state == LocalizationStatus.TRACKING

    wait_for(tracked, 20, "tracking")
    assert trigger(peer, "relocalize").success  # poses of the camera, before the robot's transforms came, counted too
    assert tracked(), peer.statuses[-1]
    answer = trigger(peer, "publish_initialpose")
    assert not answer.success
    assert "only 1 poses in a row were accepted, 3 are asked for" in answer.message, peer.statuses[-1]
    assert tracked(), peer.statuses[-1]
    assert tracked(), peer.statuses[-1]
    assert "nothing subscribes to /initialpose_out" in trigger(peer, "publish_initialpose").message
    subscription = peer.node.create_subscription(PoseWithCovarianceStamped, "initialpose_out", received.append, 1)
    wait_for(lambda: trigger(peer, "publish_initialpose").success, 10, "the node to see the subscriber")
    wait_for(lambda: received, 10, "the pose")
    assert received[0] == peer.covariances[-1]
    peer.node.destroy_subscription(subscription)


def test_a_node_that_would_tell_only_itself_says_that_nobody_listens(peer, start_node, tiny_bundle, wait_for):
    options = ("publish_frame:=camera", "gate_confirmations:=1", "base_frame:=camera_color_optical_frame")
    words = parameter_words(f"model:={tiny_bundle}", "status_period:=0.1", *options)
    start_node("-r", "initialpose_out:=initialpose", *words)
    wait_for(lambda: peer.is_connected() and peer.node_sees_it(), 30, "the node and the peer to find each other")
    assert frame(peer, wait_for).state == LocalizationStatus.TRACKING
    assert "nothing subscribes to /initialpose;" in trigger(peer, "publish_initialpose").message
    received: list[PoseWithCovarianceStamped] = []
    subscription = peer.node.create_subscription(PoseWithCovarianceStamped, "initialpose", received.append, 1)

    def told() -> bool:
        assert frame(peer, wait_for).state == LocalizationStatus.TRACKING
        return trigger(peer, "publish_initialpose").success and bool(received)

    wait_for(told, 20, "the pose to reach another listener")
    peer.node.destroy_subscription(subscription)


class SteadyCamera:
    """Sends pairs at 20 Hz in a thread of its own, whatever the node does."""

    def __init__(self, peer) -> None:
        self.peer, self.stop, self.sent = peer, threading.Event(), 0
        self.thread = threading.Thread(target=self.run)

    def run(self) -> None:
        while not self.stop.wait(0.05):
            stamp = time.time_ns()
            self.peer.send_color(stamp)
            self.peer.send_depth(stamp)
            self.sent += 1

    def __enter__(self) -> SteadyCamera:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.thread.join()


def variant(bundle: Path, folder: Path, **frames: str) -> Path:
    """A copy of a bundle, with other frames in its manifest."""
    copy = shutil.copytree(bundle, folder)
    edit_manifest(copy, lambda values: values["frames"].update(frames))
    return copy


def test_the_model_is_exchanged_under_load_and_a_bad_one_changes_nothing(
    peer, robot_node, tiny_bundle, tmp_path, wait_for
):
    process = robot_node("publish_frame:=camera", "gate:=false")
    threads = psutil.Process(process.process.pid).num_threads()
    second = variant(tiny_bundle, tmp_path / "second")
    third = variant(tiny_bundle, tmp_path / "third", map="upstairs")
    damaged = variant(tiny_bundle, tmp_path / "damaged")
    (damaged / "model.onnx").write_bytes(b"rubbish")
    other_camera = variant(tiny_bundle, tmp_path / "other_camera", pose_of="depth")
    pipe = variant(tiny_bundle, tmp_path / "pipe")
    (pipe / "manifest.json").unlink()
    os.mkfifo(pipe / "manifest.json")
    with SteadyCamera(peer) as camera:
        wait_for(lambda: len(peer.poses) > 5, 20, "poses")

        # What is plainly wrong is refused at once; the rest is loaded beside the running model.
        refused = peer.set_string("model", "/nowhere")
        assert not refused.successful
        assert "No model bundle found at /nowhere" in refused.reason
        # A pipe that nobody writes to would keep who opens it waiting for ever, and the node with it.
        refused = peer.set_string("model", str(pipe))
        assert not refused.successful
        assert "manifest.json cannot be read (it is a named pipe, not a regular file)" in refused.reason
        assert peer.set_string("model", str(second)).successful
        answer = trigger(peer, "load_model")
        assert answer.success, answer.message
        assert answer.message.startswith("model second on onnxruntime")
        wait_for(lambda: peer.statuses[-1].model == "second" and peer.statuses[-1].pose_valid, 10, "the new model")

        for path, words in ((damaged, "damaged or was replaced"), (other_camera, "gives the pose of the depth camera")):
            assert peer.set_string("model", str(path)).successful
            answer = trigger(peer, "load_model")
            assert not answer.success
            assert words in answer.message
            wait_for(lambda words=words: words in process.text(), 10, "the log to tell it too")
            wait_for(lambda: peer.get_string("model") == str(second), 10, "the parameter to tell what runs")
        count = len(peer.poses)
        wait_for(lambda: len(peer.poses) > count + 5, 10, "poses of the model that stayed")
        assert peer.statuses[-1].model == "second"

        # Without a change, it is loaded again; another map is another frame.
        assert trigger(peer, "load_model").success
        assert peer.set_string("model", str(third)).successful
        assert trigger(peer, "load_model").success
        wait_for(lambda: peer.poses[-1].header.frame_id == "upstairs", 10, "poses in the other map")
        sent = camera.sent

    def settled() -> LocalizationStatus | None:
        status = peer.statuses[-1]
        there = status.color_received + status.lost_in_transport >= sent - 3
        return status if there and status.state == LocalizationStatus.STARVED else None

    last = wait_for(settled, 10, f"all but 3 of {sent}; {peer.statuses[-1]}")
    # The images came on although five models were loaded meanwhile, and every pair was accounted for.
    assert last.pairs == last.published + last.dropped_busy
    assert last.dropped_failed == last.dropped_invalid == 0
    gaps = np.diff([to_nanoseconds(p.header.stamp) for p in peer.poses])
    assert gaps.max() < 2e9
    assert psutil.Process(process.process.pid).num_threads() <= threads + 1
    assert process.end() == 0


def test_the_node_listens_and_ends_in_order_while_a_model_is_being_loaded(peer, robot_node, tiny_bundle):
    process = robot_node("publish_frame:=camera")
    client = peer.services["load_model"]
    assert client.wait_for_service(10)
    assert peer.set_string("model", str(DEMO_MODEL)).successful
    loaded = client.call_async(Trigger.Request())
    # Back to the model that runs is a change too, and would be undone when the other one is loaded.
    back = peer.set_string("model", str(tiny_bundle))
    assert (back.successful, "A model is being loaded" in back.reason) == (False, True)
    # The same again is no other wish: a client whose answer was lost asks again.
    assert peer.set_string("model", str(DEMO_MODEL)).successful
    for _ in range(3):  # the first may be answered together with the request to load
        assert trigger(peer, "relocalize").success
    assert not loaded.done()
    assert process.end(seconds=10) == 0
    assert "Traceback" not in process.text()
