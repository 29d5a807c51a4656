# SPDX-License-Identifier: Apache-2.0
"""tf2_ros.Buffer: what is raised, what is not taken in, and what is forgotten."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from geometry_msgs.msg import TransformStamped
from rclpy.duration import Duration
from rclpy.time import Time
from tf2_ros import (
    Buffer,
    ConnectivityException,
    ExtrapolationException,
    InvalidArgumentException,
    LookupException,
    TimeoutException,
    TransformException,
)

Stamped = Callable[..., TransformStamped]
LATEST = Time()


def at(seconds: float) -> Time:
    return Time(nanoseconds=round(seconds * 1e9))


def translation_of(message: TransformStamped) -> tuple[float, float, float]:
    t = message.transform.translation
    return (t.x, t.y, t.z)


@pytest.mark.parametrize(
    "error",
    [LookupException, ConnectivityException, ExtrapolationException, InvalidArgumentException, TimeoutException],
)
def test_every_exception_is_a_transform_exception(error: type) -> None:
    assert issubclass(error, TransformException)
    assert issubclass(error, Exception)


# -- what is raised


@pytest.mark.parametrize(("seconds", "direction"), [(12.5, "future"), (9.5, "past")])
def test_outside_the_data_is_extrapolation(robot: Buffer, seconds: float, direction: str) -> None:
    with pytest.raises(ExtrapolationException) as caught:
        robot.lookup_transform("map", "camera", at(seconds))
    message = str(caught.value)
    assert "extrapolation" in message
    assert direction in message
    assert "camera" in message
    assert "map" in message
    assert f"{seconds:.3f}" in message  # the time that was asked for


def test_a_single_stamp_is_good_for_that_time_only(stamped: Stamped) -> None:
    buffer = Buffer()
    buffer.set_transform(stamped("a", "b", 1.0, (1.0, 0.0, 0.0)), "test")
    assert translation_of(buffer.lookup_transform("a", "b", at(1.0)))[0] == 1.0
    with pytest.raises(ExtrapolationException, match="extrapolation"):
        buffer.lookup_transform("a", "b", at(1.1))


def test_an_unknown_frame_is_named(robot: Buffer) -> None:
    with pytest.raises(LookupException, match="nowhere"):
        robot.lookup_transform("map", "nowhere", LATEST)
    with pytest.raises(LookupException, match="nowhere"):
        robot.lookup_transform("nowhere", "map", LATEST)


def test_separate_trees_are_named(robot: Buffer, stamped: Stamped) -> None:
    robot.set_transform_static(stamped("world", "table"), "test")
    with pytest.raises(ConnectivityException) as caught:
        robot.lookup_transform("map", "table", LATEST)
    assert "map" in str(caught.value)
    assert "table" in str(caught.value)


def test_a_loop_ends_in_an_exception(stamped: Stamped) -> None:
    buffer = Buffer()
    for parent, child in (("a", "b"), ("b", "c"), ("c", "a"), ("x", "y")):
        buffer.set_transform_static(stamped(parent, child), "test")
    with pytest.raises(TransformException):
        buffer.lookup_transform("x", "b", at(1.0))


@pytest.mark.parametrize("name", ["", "/camera"])
def test_names_that_no_frame_can_have(robot: Buffer, name: str) -> None:
    with pytest.raises(InvalidArgumentException):
        robot.lookup_transform("map", name, LATEST)
    assert not robot.can_transform("map", name, LATEST)


def test_can_transform_says_why_not(robot: Buffer) -> None:
    assert type(robot.can_transform("map", "camera", at(11.5))) is int  # tf2 gives a C int
    assert robot.can_transform("map", "camera", at(11.5)) == 1
    assert robot.can_transform("map", "camera", at(14.0)) == 0
    assert robot.can_transform("map", "nowhere", LATEST) == 0
    possible, reason = robot.can_transform("map", "nowhere", LATEST, return_debug_tuple=True)
    assert not possible
    assert "nowhere" in reason
    assert robot.can_transform("map", "camera", at(11.5), return_debug_tuple=True)[0] == 1


# -- what is not taken in


@pytest.mark.parametrize(
    ("parent", "child", "translation", "rotation"),
    [
        ("same", "same", (0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0)),
        ("", "b", (0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0)),
        ("a", "", (0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0)),
        ("a", "b", (math.nan, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0)),
        ("a", "b", (0.0, 0.0, 0.0), (0.0, 0.0, math.nan, 1.0)),
        ("a", "b", (0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 0.0)),
        ("a", "b", (0.0, 0.0, 0.0), (0.0, 0.0, 0.5, 1.0)),
    ],
)
def test_a_transform_without_sense_is_ignored(
    stamped: Stamped, parent: str, child: str, translation: tuple[float, ...], rotation: tuple[float, ...]
) -> None:
    buffer = Buffer()
    buffer.set_transform(stamped(parent, child, 1.0, translation, rotation), "test")
    buffer.set_transform_static(stamped(parent, child, 1.0, translation, rotation), "test")
    assert not buffer.can_transform("a", "b", LATEST)
    assert "b" not in buffer.all_frames_as_string()


def test_a_leading_slash_is_stripped_from_what_is_sent(stamped: Stamped) -> None:
    buffer = Buffer()
    buffer.set_transform(stamped("/a", "/b", 1.0, (1.0, 0.0, 0.0)), "test")
    assert translation_of(buffer.lookup_transform("a", "b", LATEST))[0] == 1.0


def test_only_the_cache_time_is_kept(stamped: Stamped) -> None:
    buffer = Buffer(cache_time=Duration(seconds=2.0))
    default = Buffer()
    for second in range(1, 31):
        for one in (buffer, default):
            one.set_transform(stamped("a", "b", second, (float(second), 0.0, 0.0)), "test")
    assert buffer.can_transform("a", "b", at(28.5))
    assert not buffer.can_transform("a", "b", at(25.0))
    assert default.can_transform("a", "b", at(20.5))
    assert not default.can_transform("a", "b", at(15.0))


def test_data_older_than_the_cache_is_ignored(stamped: Stamped) -> None:
    buffer = Buffer(cache_time=Duration(seconds=2.0))
    buffer.set_transform(stamped("a", "b", 10.0), "test")
    buffer.set_transform(stamped("a", "b", 11.0), "test")
    buffer.set_transform(stamped("a", "b", 5.0), "test")
    assert not buffer.can_transform("a", "b", at(5.0))
    assert buffer.can_transform("a", "b", at(10.5))


def test_clear_forgets_what_moves(robot: Buffer) -> None:
    robot.clear()
    for time in (LATEST, at(11.0)):
        with pytest.raises(TransformException):
            robot.lookup_transform("map", "base", time)


def test_data_from_before_is_taken_after_a_clear(robot: Buffer, stamped: Stamped) -> None:
    robot.clear()
    robot.set_transform(stamped("map", "odom", 1.0, (9.0, 0.0, 0.0)), "test")
    assert translation_of(robot.lookup_transform("map", "odom", at(1.0)))[0] == 9.0
