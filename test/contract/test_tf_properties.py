# SPDX-License-Identifier: Apache-2.0
"""tf2_ros.Buffer against matrix algebra, on random trees, poses and times."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from geometry_msgs.msg import TransformStamped
from hypothesis import given, settings
from hypothesis import strategies as st
from rclpy.time import Time
from tf2_ros import Buffer, ExtrapolationException

Stamped = Callable[..., TransformStamped]

coordinates = st.tuples(*[st.floats(-100.0, 100.0)] * 3)
rotations = (
    st.tuples(*[st.floats(-1.0, 1.0)] * 4)
    .filter(lambda q: np.linalg.norm(q) > 0.1)
    .map(lambda q: np.asarray(q) / np.linalg.norm(q))
)
poses = st.tuples(coordinates, rotations)


def matrix(translation: Any, quaternion: np.ndarray) -> np.ndarray:
    """4x4 of a translation and a quaternion x, y, z, w, written out."""
    x, y, z, w = quaternion
    result = np.eye(4)
    result[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    result[:3, 3] = translation
    return result


def matrix_of(message: TransformStamped) -> np.ndarray:
    t, q = message.transform.translation, message.transform.rotation
    assert np.linalg.norm([q.x, q.y, q.z, q.w]) == pytest.approx(1.0)
    return matrix(np.array([t.x, t.y, t.z]), np.array([q.x, q.y, q.z, q.w]))


@settings(deadline=None, max_examples=60)
@given(data=st.data(), count=st.integers(2, 9))
def test_any_two_frames_of_a_random_tree(stamped: Stamped, data: st.DataObject, count: int) -> None:
    """Frame 0 is the root; every other one hangs on an earlier one, static or moving."""
    buffer = Buffer()
    in_root = {0: np.eye(4)}
    for frame in range(1, count):
        parent = data.draw(st.integers(0, frame - 1))
        translation, rotation = data.draw(poses)
        message = stamped(f"f{parent}", f"f{frame}", 5.0, translation, rotation)
        if data.draw(st.booleans()):
            buffer.set_transform_static(message, "test")
        else:
            buffer.set_transform(message, "test")
        in_root[frame] = in_root[parent] @ matrix(np.asarray(translation), rotation)
    target, source = data.draw(st.integers(0, count - 1)), data.draw(st.integers(0, count - 1))
    expected = np.linalg.inv(in_root[target]) @ in_root[source]
    for time in (Time(seconds=5), Time()):
        found = matrix_of(buffer.lookup_transform(f"f{target}", f"f{source}", time))
        np.testing.assert_allclose(found, expected, atol=1e-9)


@settings(deadline=None, max_examples=60)
@given(first=poses, second=poses, share=st.floats(0.0, 1.0))
def test_between_two_stamps(
    stamped: Stamped, first: tuple[tuple, np.ndarray], second: tuple[tuple, np.ndarray], share: float
) -> None:
    """The translation is on the line; the rotation is a part of the shorter turn, in proportion to the time."""
    buffer = Buffer()
    buffer.set_transform(stamped("a", "b", 1.0, *first), "test")
    buffer.set_transform(stamped("a", "b", 2.0, *second), "test")
    time_ns = 1_000_000_000 + round(share * 1e9)
    share = (time_ns - 1_000_000_000) / 1e9
    found = matrix_of(buffer.lookup_transform("a", "b", Time(nanoseconds=time_ns)))
    expected: Any = (1.0 - share) * np.asarray(first[0]) + share * np.asarray(second[0])
    np.testing.assert_allclose(found[:3, 3], expected, atol=1e-9)
    start, end = matrix(*first), matrix(*second)
    whole, part = turn(start, end), turn(start, found)
    assert part == pytest.approx(share * whole, abs=1e-5)
    assert part + turn(found, end) == pytest.approx(whole, abs=1e-5)


def turn(a: np.ndarray, b: np.ndarray) -> float:
    """The angle between two rotations."""
    chord = np.linalg.norm(a[:3, :3] - b[:3, :3]) / np.sqrt(8.0)
    return float(2.0 * np.arcsin(min(1.0, chord)))


@settings(deadline=None, max_examples=40)
@given(stamps=st.lists(st.integers(1, 9_000), min_size=2, max_size=12, unique=True), asked=st.integers(1, 9_500))
def test_random_arrival_order(stamped: Stamped, stamps: list[int], asked: int) -> None:
    """Whatever the order of arrival, the answer is that of the neighbours in time (here: t -> t squared)."""
    buffer = Buffer()
    for stamp in stamps:
        buffer.set_transform(stamped("a", "b", stamp / 1000.0, (float(stamp**2), 0.0, 0.0)), "test")
    time = Time(nanoseconds=asked * 1_000_000)
    if not min(stamps) <= asked <= max(stamps):
        with pytest.raises(ExtrapolationException):
            buffer.lookup_transform("a", "b", time)
        return
    ordered = sorted(stamps)
    expected = np.interp(asked, ordered, [stamp**2 for stamp in ordered])
    assert buffer.lookup_transform("a", "b", time).transform.translation.x == pytest.approx(expected)


@settings(deadline=None, max_examples=30)
@given(before=poses, after=poses)
def test_full_lookup_is_a_product(
    stamped: Stamped, before: tuple[tuple, np.ndarray], after: tuple[tuple, np.ndarray]
) -> None:
    buffer = Buffer()
    buffer.set_transform(stamped("map", "base", 1.0, *before), "test")
    buffer.set_transform(stamped("map", "base", 2.0, *after), "test")
    found = matrix_of(buffer.lookup_transform_full("base", Time(seconds=2), "base", Time(seconds=1), "map"))
    np.testing.assert_allclose(found, np.linalg.inv(matrix(*after)) @ matrix(*before), atol=1e-9)
