# SPDX-License-Identifier: Apache-2.0
"""tf2_ros.Buffer: lookups that wait, and use from several threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from geometry_msgs.msg import TransformStamped
from rclpy.duration import Duration
from rclpy.time import Time
from tf2_ros import Buffer, LookupException, TransformException

Stamped = Callable[..., TransformStamped]
WaitFor = Callable[[Callable[[], object], float, str], object]


def test_without_a_timeout_nothing_waits() -> None:
    start = time.monotonic()
    with pytest.raises(LookupException):
        Buffer().lookup_transform("a", "b", Time())
    assert time.monotonic() - start < 0.1


def test_a_vain_wait_ends_at_its_timeout_with_the_reason() -> None:
    start = time.monotonic()
    with pytest.raises(LookupException):
        Buffer().lookup_transform("a", "b", Time(), timeout=Duration(seconds=0.2))
    assert 0.2 <= time.monotonic() - start < 1.0


def test_a_wait_ends_when_the_transform_comes(stamped: Stamped) -> None:
    buffer = Buffer()
    sender = threading.Timer(0.1, lambda: buffer.set_transform(stamped("a", "b", 1.0, (1.0, 0.0, 0.0)), "test"))
    sender.start()
    start = time.monotonic()
    found = buffer.lookup_transform("a", "b", Time(seconds=1), timeout=Duration(seconds=20.0))
    sender.join()
    assert found.transform.translation.x == 1.0
    assert time.monotonic() - start < 5.0


def test_can_transform_waits_too(stamped: Stamped) -> None:
    buffer = Buffer()
    assert not buffer.can_transform("a", "b", Time(), timeout=Duration(seconds=0.05))
    sender = threading.Timer(0.05, lambda: buffer.set_transform_static(stamped("a", "b"), "test"))
    sender.start()
    assert buffer.can_transform("a", "b", Time(), timeout=Duration(seconds=20.0))
    sender.join()


def test_a_future_gets_the_transform_once_it_is_there(stamped: Stamped, wait_for: WaitFor) -> None:
    buffer = Buffer()
    future = buffer.wait_for_transform_async("a", "c", Time(seconds=1))
    buffer.set_transform(stamped("a", "b", 1.0, (1.0, 0.0, 0.0)), "test")
    assert not future.done()
    buffer.set_transform_static(stamped("b", "c", 0.0, (1.0, 0.0, 0.0)), "test")
    assert future.done()
    result: Any = future.result()
    # The first releases give True, the later ones the transform itself.
    assert result is True or result.transform.translation.x == 2.0
    assert buffer.wait_for_transform_async("a", "c", Time(seconds=1)).done()


def test_readers_and_writers_do_not_disturb_each_other(stamped: Stamped) -> None:
    """In a -> b -> c, b moves by t and c by -t: at every common time c is at the origin of a."""
    buffer = Buffer()
    buffer.set_transform(stamped("a", "b", 0.001, (0.001, 0.0, 0.0)), "test")
    buffer.set_transform(stamped("b", "c", 0.001, (-0.001, 0.0, 0.0)), "test")
    done = threading.Event()
    failures: list[object] = []

    def write(parent: str, child: str, sign: float) -> None:
        for step in range(2, 600):
            stamp = step / 1000.0
            buffer.set_transform(stamped(parent, child, stamp, (sign * stamp, 0.0, 0.0)), "test")

    def read() -> None:
        while not done.is_set():
            try:
                x = buffer.lookup_transform("a", "c", Time()).transform.translation.x
            except TransformException as error:
                failures.append(error)
                return
            if abs(x) > 1e-9:
                failures.append(x)
                return

    readers = [threading.Thread(target=read) for _ in range(2)]
    moves = (("a", "b", 1.0), ("b", "c", -1.0))
    writers = [threading.Thread(target=write, args=move) for move in moves]
    for thread in readers + writers:
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    for thread in readers:
        thread.join()
    assert not failures
