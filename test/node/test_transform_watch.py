# SPDX-License-Identifier: Apache-2.0
"""Transforms of others: what contradicts, what is taken from another parent, and what is the node's own."""

from __future__ import annotations

import time

import numpy as np
import pytest
from geometry_msgs.msg import Pose as PoseMessage
from geometry_msgs.msg import TransformStamped
from mvloc_ros.msg import LocalizationStatus
from tf2_msgs.msg import TFMessage
from tf2_ros import StaticTransformBroadcaster, TransformBroadcaster

from mvloc_ros.frontend.input_log import InputLog
from mvloc_ros.frontend.message_checks import MessageError
from mvloc_ros.frontend.transform_watch import TransformWatch
from mvloc_ros.geometry import se3
from mvloc_ros.limits import MOST_TRANSFORMS
from mvloc_ros.localization.pose import Pose
from mvloc_ros.node.messages import fill_pose, matrix_of, pose_messages, transform_message

MS = 1_000_000
NOW = 1_800_000_000_000 * MS


def place(x: float, yaw_deg: float = 0.0) -> np.ndarray:
    half = np.deg2rad(yaw_deg) / 2
    return se3.from_parts([x, 0.0, 0.0], [0.0, 0.0, np.sin(half), np.cos(half)])


@pytest.fixture
def watch() -> TransformWatch:
    return TransformWatch(now=lambda: 0.0)


def test_two_static_mounts_are_named_with_their_difference(watch):
    watch.take(transform_message(place(0.1), 0, "base_link", "camera"), True)
    watch.take(transform_message(place(0.1), 5, "base_link", "camera"), True)
    assert not watch.problems()
    watch.take(transform_message(place(0.1, 90.0), 0, "base_link", "camera"), True)
    (text,) = watch.problems()
    assert "base_link -> camera on /tf_static" in text
    assert "0.000 m and 90.0 degrees" in text


def test_two_publishers_of_odometry_are_named_and_a_fast_robot_is_not(watch):
    for n in range(20):
        watch.take(transform_message(place(0.3 * n), NOW + n * 10 * MS, "odom", "base_link"), False)  # 30 m/s
    assert not watch.problems()
    for n in range(20, 30):
        T = place(6.0 + 0.4 * (n % 2))
        watch.take(transform_message(T, NOW + n * 10 * MS, "odom", "base_link"), False)
    (text,) = watch.problems()
    assert "alternates between values 0.40 m" in text


def test_own_transforms_are_no_other_parent(watch):
    for n in range(5):
        watch.note_own("map", "odom", NOW + n)
        watch.take(transform_message(place(n), NOW + n, "map", "odom"), False)
    assert not watch.other_parent("odom", "map")
    for n in range(5):
        watch.take(transform_message(place(3.0), NOW + 100 + n, "map", "odom"), False)
    assert "second publisher" in watch.other_parent("odom", "map")


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_what_is_not_finite_is_not_taken(watch, value: float):
    message = transform_message(place(0.0), NOW, "odom", "base_link")
    message.transform.translation.z = value
    assert not watch.take(message, False)
    assert watch.take(transform_message(place(0.0), NOW + MS, "odom", "base_link"), False)


def test_one_transform_that_is_not_finite_is_said_once_and_a_static_one_is_replaced_by_a_good_one():
    said, now = [], [0.0]
    watch = TransformWatch(InputLog(said.append, said.append, lambda: now[0]), lambda: now[0])
    infinite = transform_message(place(np.inf), NOW, "base_link", "camera")
    for _ in range(3):
        assert not watch.take(infinite, True)
    assert len(said) == 1
    assert said[0].startswith("base_link -> camera on /tf_static has numbers that are not finite")
    assert watch.problems() == said
    assert watch.take(transform_message(place(0.3), NOW, "base_link", "camera"), True)
    assert not watch.problems()
    now[0] = 61.0
    assert not watch.take(infinite, True)
    assert len(said) == 2


def changed(message: TransformStamped, name: str, value: object) -> TransformStamped:
    *path, last = name.split(".")
    part = message
    for step in path:
        part = getattr(part, step)
    setattr(part, last, value)
    return message


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("child_frame_id", ""),
        ("child_frame_id", "odom"),
        ("child_frame_id", "x" * 1_000_000),
        ("child_frame_id", "base\n[ERROR] forged"),
        ("header.frame_id", "\x1b[2J"),
        ("header.stamp.sec", -1),
        ("header.stamp.nanosec", 4_000_000_000),
        ("transform.rotation.w", 0.5),
        ("transform.translation.x", 1e308 * 10),
        ("header.stamp.sec", 100),  # long before what tf2 keeps
    ],
)
def test_what_tf2_would_refuse_with_a_line_each_is_refused_with_few_lines(field: str, value: object):
    said, now = [], [0.0]
    watch = TransformWatch(InputLog(said.append, said.append, lambda: now[0]), lambda: now[0])
    assert watch.take(transform_message(place(0.0), NOW, "odom", "base_link"), False)
    for n in range(1000):
        now[0] = 0.01 * n
        assert not watch.take(changed(transform_message(place(0.0), NOW + n, "odom", "base_link"), field, value), False)
    assert len(said) == 2  # at 0 and 5 s
    assert "(and 499 more in the last 5 s)" in said[1]
    assert all(line.isprintable() and len(line) < 900 for line in said)


def test_a_repetition_is_not_taken_twice_and_a_jump_back_that_was_noticed_begins_anew(watch):
    message = transform_message(place(0.0), NOW, "odom", "base_link")
    assert [watch.take(message, False) for _ in range(3)] == [True, False, False]
    past = transform_message(place(0.0), NOW - 100_000 * MS, "odom", "base_link")
    assert not watch.take(past, False)
    watch.forget()
    assert watch.take(past, False)


def test_a_transform_far_ahead_of_the_clock_does_not_outdate_those_of_now():
    said, clock = [], [NOW]
    watch = TransformWatch(InputLog(said.append, said.append), ros_now_ns=lambda: clock[0])
    ahead = transform_message(place(0.0), NOW + 11_000 * MS, "odom", "base_link")
    assert not watch.take(ahead, False)
    assert "stamped 11 s ahead of the clock" in said[0]
    assert watch.take(transform_message(place(0.0), NOW + 1_000 * MS, "odom", "base_link"), False), "dated ahead"
    assert watch.take(transform_message(place(0.0), NOW, "odom", "base_link"), False)
    clock[0] = 0  # simulated time that has not begun
    assert watch.take(ahead, False)


def test_names_of_frames_do_not_pile_up():
    said = []
    watch = TransformWatch(InputLog(said.append, said.append))
    assert watch.take(transform_message(place(0.0), NOW, "odom", "base_link"), False)
    message = transform_message(place(0.0), NOW, "map", "")
    taken = 0
    for n in range(100_000):
        message.child_frame_id = f"frame{n}"
        taken += watch.take(message, n % 2 == 0)
        if n % 1000 == 0:
            watch.note_own("map", f"camera{n}", NOW)
            watch.forget()
    assert taken == MOST_TRANSFORMS - 1
    assert max(len(watch._edges), len(watch._stamps), len(watch._own)) <= MOST_TRANSFORMS
    assert len(said) <= 3
    assert watch.take(transform_message(place(0.0), NOW, "odom", "base_link"), False)
    watch.begin_anew()
    message.child_frame_id = "gripper"
    assert watch.take(message, False)


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_nothing_that_is_not_finite_leaves_the_node(value: float):
    bad, covariance = place(value), np.eye(6)
    covariance[2, 2] = value
    for T, C in ((bad, np.eye(6)), (place(0.0), covariance)):
        with pytest.raises(MessageError, match="not finite, and nothing is published"):
            pose_messages(Pose(NOW, T, C), "map")
    with pytest.raises(MessageError, match="not finite"):
        fill_pose(PoseMessage(), bad)


def image_pairs(peer, wait_for, robot=None, T=None):
    """Send a pair and return the newest status that has a pose."""
    stamp = time.time_ns() - 100 * MS
    if robot is not None:
        for shift in (-50 * MS, 50 * MS):
            robot.drive(stamp + shift, place(0.0) if T is None else T)
    count = len(peer.statuses)
    peer.send_color(stamp)
    peer.send_depth(stamp)
    return wait_for(lambda: next((s for s in peer.statuses[count:] if s.pairs), None), 15, "a status")


@pytest.mark.dds
def test_a_camera_that_has_a_parent_is_not_taken_from_it(peer, robot, robot_node, wait_for):
    robot_node("publish_frame:=camera")
    robot.mount_camera(place(0.3))
    status = wait_for(
        lambda: (s := image_pairs(peer, wait_for)) and "already has the parent 'base_link'" in s.reason and s, 20, "it"
    )
    assert (status.state, status.pose_valid) == (LocalizationStatus.DEGRADED, True)
    assert "publish_frame to odom" in status.reason
    peer.transforms.clear()
    image_pairs(peer, wait_for)
    assert not [t for t in peer.transforms if t.header.frame_id == "map"]


@pytest.mark.dds
def test_an_infinite_odometry_does_not_stay(peer, robot, robot_node, wait_for):
    robot_node("transform_timeout:=2.0")
    robot.mount_camera(place(0.3))
    infinite = place(0.0)
    infinite[0, 3] = np.inf
    image_pairs(peer, wait_for, robot, infinite)
    wait_for(lambda: image_pairs(peer, wait_for, robot).state == LocalizationStatus.TRACKING, 20, "tracking")
    sent = wait_for(lambda: [t for t in peer.transforms if t.child_frame_id == "odom"], 10, "map -> odom")
    assert all(np.isfinite(matrix_of(t)).all() for t in sent)


@pytest.mark.dds
def test_old_stamps_and_a_volatile_tf_static_are_named(peer, robot_node, wait_for):
    process = robot_node("publish_frame:=camera")
    volatile = peer.node.create_publisher(TFMessage, "/tf_static", 10)

    def named() -> bool:
        peer.send_color(uptime := 3_600_000 * MS + time.monotonic_ns())
        peer.send_depth(uptime)
        return "colour images are stamped" in process.text() and "publishes /tf_static with an inc" in process.text()

    wait_for(named, 20, "both to be named")
    peer.node.destroy_publisher(volatile)


@pytest.mark.dds
def test_a_second_publisher_of_map_to_odom_is_named(peer, robot, robot_node, wait_for):
    robot_node("transform_timeout:=2.0")
    robot.mount_camera(place(0.3))
    wait_for(lambda: image_pairs(peer, wait_for, robot).state == LocalizationStatus.TRACKING, 20, "tracking")
    for _ in range(3):
        assert "second publisher" not in image_pairs(peer, wait_for, robot).reason  # the node's own come back to it
    other = TransformBroadcaster(peer.node)

    def named() -> LocalizationStatus | None:
        other.sendTransform(transform_message(place(3.0), time.time_ns(), "map", "odom"))
        status = image_pairs(peer, wait_for, robot)
        return status if "a second publisher of this transform" in status.reason else None

    status = wait_for(named, 20, "the second publisher to be named")
    assert (status.state, status.pose_valid) == (LocalizationStatus.DEGRADED, True)


def degraded(peer, wait_for, words: str, robot=None, T=None) -> LocalizationStatus:
    """The status that has these words and a pose all the same, and is DEGRADED."""

    def named() -> LocalizationStatus | None:
        status = image_pairs(peer, wait_for, robot, T)
        if words not in status.reason:
            return None
        assert status.state == LocalizationStatus.DEGRADED
        return status if status.pose_valid else None  # a jump of the mount is one of the pose, until it is confirmed

    status = wait_for(named, 20, words)
    assert isinstance(status, LocalizationStatus)
    return status


@pytest.mark.dds
def test_an_infinite_mount_gives_no_pose_and_a_good_one_after_it_does(peer, robot, robot_node, wait_for):
    process = robot_node("transform_timeout:=2.0")
    robot.mount_camera(place(np.inf))
    words = "base_link -> camera_color_optical_frame on /tf_static has numbers that are not finite"
    status = wait_for(lambda: (s := image_pairs(peer, wait_for, robot)) and words in s.reason and s, 20, words)
    assert (status.state, status.pose_valid) == (LocalizationStatus.LOST, False)
    assert not peer.poses
    assert not peer.covariances
    wait_for(lambda: any(words in entry.message for a in peer.diagnostics for entry in a.status), 10, "diagnostics")
    mended = StaticTransformBroadcaster(peer.node)  # one broadcaster keeps to what it sent first
    mended.sendTransform(transform_message(place(0.3), 0, robot.base, robot.camera))
    wait_for(lambda: image_pairs(peer, wait_for, robot).state == LocalizationStatus.TRACKING, 20, "tracking")
    poses = wait_for(lambda: list(peer.covariances), 10, "a pose")
    for message in poses:
        p, q = message.pose.pose.position, message.pose.pose.orientation
        assert np.isfinite([p.x, p.y, p.z, q.x, q.y, q.z, q.w, *message.pose.covariance]).all()
    assert all(np.isfinite(matrix_of(t)).all() for t in peer.transforms if t.header.frame_id == "map")
    assert (
        process.text().count(
            f"{words}, or a quaternion of another length than 1, and is not used; mend its publisher\n"
        )
        == 1
    )


@pytest.mark.dds
def test_a_mount_too_large_to_be_chained_gives_no_pose(peer, robot, robot_node, wait_for):
    robot_node("transform_timeout:=2.0")
    robot.mount_camera(place(1e200))  # finite, but its covariance is not
    status = wait_for(lambda: (s := image_pairs(peer, wait_for, robot)) and "not finite" in s.reason and s, 20, "it")
    assert (status.state, status.pose_valid) == (LocalizationStatus.LOST, False)
    assert not peer.poses
    assert not peer.covariances
    assert not [t for t in peer.transforms if t.header.frame_id == "map"]


@pytest.mark.dds
def test_two_static_mounts_of_one_camera_and_a_fixed_map_to_odom_are_named(peer, robot, robot_node, wait_for):
    robot_node("transform_timeout:=2.0")
    robot.mount_camera(place(0.3))
    wait_for(lambda: image_pairs(peer, wait_for, robot).state == LocalizationStatus.TRACKING, 20, "tracking")
    second, third = StaticTransformBroadcaster(peer.node), StaticTransformBroadcaster(peer.node)
    second.sendTransform(transform_message(place(0.3, 90.0), 0, "base_link", robot.camera))
    degraded(peer, wait_for, "was sent with two values, 0.000 m and 90.0 degrees apart", robot)
    third.sendTransform(transform_message(np.eye(4), 0, "map", "odom"))
    degraded(peer, wait_for, "'odom' has another parent, 'map' on /tf_static (a second publisher of this", robot)


@pytest.mark.dds
def test_two_publishers_of_odometry_are_named_over_dds(peer, robot, robot_node, wait_for):
    robot_node("transform_timeout:=2.0")
    robot.mount_camera(place(0.3))
    wait_for(lambda: image_pairs(peer, wait_for, robot).state == LocalizationStatus.TRACKING, 20, "tracking")
    other = TransformBroadcaster(peer.node)

    def named() -> LocalizationStatus | None:
        stamp = time.time_ns() - 100 * MS
        for n in range(10):  # in turn, as two nodes do
            robot.drive(stamp - 100 * MS + n * 10 * MS, place(0.0))
            other.sendTransform(transform_message(place(0.4), stamp - 95 * MS + n * 10 * MS, robot.odom, robot.base))
        status = image_pairs(peer, wait_for, robot)
        return status if "alternates between values 0.40 m and 0.0 degrees apart" in status.reason else None

    status = wait_for(named, 20, "the second publisher to be named")
    assert (status.state, "odom -> base_link on /tf " in status.reason) == (LocalizationStatus.DEGRADED, True)


@pytest.mark.dds
def test_a_base_that_has_a_parent_is_not_taken_from_it(peer, robot, robot_node, wait_for):
    robot_node("publish_frame:=base_link", "transform_timeout:=2.0")
    robot.mount_camera(place(0.3))
    status = degraded(peer, wait_for, "'base_link' already has the parent 'odom' on /tf", robot)
    assert "publish_frame to odom" in status.reason
    peer.transforms.clear()
    image_pairs(peer, wait_for, robot)
    assert not [t for t in peer.transforms if t.header.frame_id == "map"]
