# SPDX-License-Identifier: Apache-2.0
"""tf2_ros.Buffer: what goes in, what comes out, and what is raised."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from geometry_msgs.msg import TransformStamped
from rclpy.time import Time
from tf2_ros import (
    Buffer,
    ExtrapolationException,
    LookupException,
)

Stamped = Callable[..., TransformStamped]
QUARTER_TURN = (0.0, 0.0, math.sin(math.pi / 4), math.cos(math.pi / 4))  # about z
LATEST = Time()


def at(seconds: float) -> Time:
    return Time(nanoseconds=round(seconds * 1e9))


def stamp_of(message: TransformStamped) -> float:
    return message.header.stamp.sec + message.header.stamp.nanosec / 1e9


def translation_of(message: TransformStamped) -> tuple[float, float, float]:
    t = message.transform.translation
    return (t.x, t.y, t.z)


def test_the_answer_names_its_frames_and_its_time(robot: Buffer) -> None:
    found = robot.lookup_transform("map", "camera", at(11.25))
    assert (found.header.frame_id, found.child_frame_id) == ("map", "camera")
    assert stamp_of(found) == 11.25


def test_a_lookup_maps_source_coordinates_to_the_target(robot: Buffer) -> None:
    assert translation_of(robot.lookup_transform("map", "camera", at(11.25))) == pytest.approx((1.25, 2.0, 0.5))


def test_the_way_back_is_the_inverse(robot: Buffer) -> None:
    found = robot.lookup_transform("camera", "map", at(11.0))
    # Seen from the camera, whose x axis is the map's y axis.
    assert translation_of(found) == pytest.approx((-2.0, 1.0, -0.5))
    assert found.transform.rotation.z == pytest.approx(-math.sin(math.pi / 4))


def test_siblings_meet_at_their_common_ancestor(robot: Buffer, stamped: Stamped) -> None:
    robot.set_transform_static(stamped("base", "lidar", 0.0, (0.2, 0.0, 0.1)), "test")
    assert translation_of(robot.lookup_transform("lidar", "camera", at(11.0))) == pytest.approx((-0.2, 0.0, 0.4))


def test_siblings_need_no_data_above_their_ancestor(robot: Buffer, stamped: Stamped) -> None:
    robot.set_transform_static(stamped("base", "lidar", 0.0, (0.2, 0.0, 0.1)), "test")
    found = robot.lookup_transform("lidar", "camera", at(99.0))
    assert translation_of(found) == pytest.approx((-0.2, 0.0, 0.4))


def test_translation_is_linear_and_rotation_spherical_between_stamps(stamped: Stamped) -> None:
    buffer = Buffer()
    buffer.set_transform(stamped("a", "b", 1.0, (0.0, 0.0, 0.0)), "test")
    buffer.set_transform(stamped("a", "b", 2.0, (4.0, 0.0, 0.0), QUARTER_TURN), "test")
    found = buffer.lookup_transform("a", "b", at(1.25))
    assert translation_of(found) == pytest.approx((1.0, 0.0, 0.0))
    q = found.transform.rotation
    assert (q.x, q.y, q.z, q.w) == pytest.approx((0.0, 0.0, math.sin(math.pi / 16), math.cos(math.pi / 16)))


def test_interpolation_takes_the_short_way(stamped: Stamped) -> None:
    """The same rotation written with the opposite sign is no turn of 360 degrees."""
    buffer = Buffer()
    buffer.set_transform(stamped("a", "b", 1.0, rotation=QUARTER_TURN), "test")
    buffer.set_transform(stamped("a", "b", 2.0, rotation=[-value for value in QUARTER_TURN]), "test")
    q = buffer.lookup_transform("a", "b", at(1.5)).transform.rotation
    assert abs(q.z * QUARTER_TURN[2] + q.w * QUARTER_TURN[3]) == pytest.approx(1.0)


def test_data_that_arrives_out_of_order_is_used(stamped: Stamped) -> None:
    buffer = Buffer()
    for second in (1.0, 3.0, 2.0):
        buffer.set_transform(stamped("a", "b", second, (second**2, 0.0, 0.0)), "test")
    assert translation_of(buffer.lookup_transform("a", "b", at(2.0)))[0] == pytest.approx(4.0)
    assert translation_of(buffer.lookup_transform("a", "b", at(2.5)))[0] == pytest.approx(6.5)


def test_the_same_data_twice_changes_nothing(stamped: Stamped) -> None:
    buffer = Buffer()
    for second in (1.0, 1.0, 2.0, 2.0):
        buffer.set_transform(stamped("a", "b", second, (second, 0.0, 0.0)), "test")
    assert translation_of(buffer.lookup_transform("a", "b", at(1.5)))[0] == pytest.approx(1.5)


def test_time_zero_asks_for_the_latest_common_time(robot: Buffer, stamped: Stamped) -> None:
    robot.set_transform(stamped("odom", "base", 13.0, (3.0, 0.0, 0.0)), "test")
    found = robot.lookup_transform("map", "camera", LATEST)
    assert stamp_of(found) == 12.0  # map -> odom ends there
    assert translation_of(found)[0] == pytest.approx(2.0)
    assert stamp_of(robot.lookup_transform("odom", "base", LATEST)) == 13.0


def test_a_static_transform_holds_at_any_time(robot: Buffer) -> None:
    for time in (LATEST, at(0.001), at(11.0), at(4e6)):
        assert translation_of(robot.lookup_transform("base", "camera", time)) == (0.0, 0.0, 0.5)


def test_a_static_transform_can_be_replaced(robot: Buffer, stamped: Stamped) -> None:
    robot.set_transform_static(stamped("base", "camera", 0.0, (0.0, 0.0, 0.7)), "test")
    assert translation_of(robot.lookup_transform("base", "camera", LATEST)) == (0.0, 0.0, 0.7)


def test_a_frame_is_where_it_is(robot: Buffer) -> None:
    found = robot.lookup_transform("camera", "camera", at(11.0))
    assert translation_of(found) == (0.0, 0.0, 0.0)
    assert found.transform.rotation.w == 1.0


def test_a_frame_may_change_its_parent(robot: Buffer, stamped: Stamped) -> None:
    robot.set_transform(stamped("map", "base", 13.0, (7.0, 7.0, 0.0)), "test")
    assert translation_of(robot.lookup_transform("map", "base", at(13.0))) == pytest.approx((7.0, 7.0, 0.0))
    assert translation_of(robot.lookup_transform("map", "base", at(11.0))) == pytest.approx((1.0, 2.0, 0.0))


def test_between_two_parents_the_older_one_holds(stamped: Stamped) -> None:
    """Places in different frames cannot be averaged."""
    buffer = Buffer()
    buffer.set_transform_static(stamped("map", "room", 0.0, (100.0, 0.0, 0.0)), "test")
    buffer.set_transform(stamped("map", "robot", 1.0, (99.0, 0.0, 0.0)), "test")
    buffer.set_transform(stamped("room", "robot", 2.0, (1.0, 0.0, 0.0)), "test")
    assert translation_of(buffer.lookup_transform("map", "robot", at(1.5)))[0] == pytest.approx(99.0)
    assert translation_of(buffer.lookup_transform("map", "robot", at(2.0)))[0] == pytest.approx(101.0)


# -- through time


def test_full_lookup_compares_two_times_in_a_frame_at_rest(robot: Buffer) -> None:
    """Where was the base of 10 s, seen from the base of 12 s? Two metres behind."""
    found = robot.lookup_transform_full("base", at(12.0), "base", at(10.0), "map")
    assert translation_of(found) == pytest.approx((-2.0, 0.0, 0.0))
    assert (found.header.frame_id, found.child_frame_id) == ("base", "base")
    assert stamp_of(found) == 12.0


def test_full_lookup_raises_what_hinders_it(robot: Buffer) -> None:
    with pytest.raises(ExtrapolationException):
        robot.lookup_transform_full("base", at(12.0), "base", at(5.0), "map")
    with pytest.raises(LookupException, match="nowhere"):
        robot.lookup_transform_full("base", at(12.0), "base", at(11.0), "nowhere")
    assert not robot.can_transform_full("base", at(12.0), "base", at(5.0), "map")
    assert robot.can_transform_full("base", at(12.0), "base", at(10.5), "map")


def test_the_frames_can_be_listed(robot: Buffer) -> None:
    lines = robot.all_frames_as_string()
    assert "Frame camera exists with parent base." in lines
    assert "Frame odom exists with parent map." in lines
    yaml = robot.all_frames_as_yaml()
    assert "camera:" in yaml
    assert "parent: 'base'" in yaml
