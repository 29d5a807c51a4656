# SPDX-License-Identifier: Apache-2.0
"""What player and recorder share of ROS: a node with a clean end, message classes, QoS."""

from __future__ import annotations

import importlib
import os
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import rclpy
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions

from mvloc_ros import fastdds_profile, interrupts
from mvloc_ros.replay.errors import ReplayError
from mvloc_ros.replay.message_packages import require_installed


@contextmanager
def ros_node(name: str) -> Iterator[Node]:
    """A node of a ROS context of its own, without rclpy's signal handlers: see `stop_on_signals`."""
    # Fast DDS's stock segment is smaller than one VGA image, so that frames would be lost.
    os.environ.update(fastdds_profile.settings())
    context = rclpy.Context()
    rclpy.init(context=context, signal_handler_options=SignalHandlerOptions.NO)
    try:
        node = Node(name, context=context, enable_rosout=False, start_parameter_services=False)
        try:
            yield node
        finally:
            node.destroy_node()
    finally:
        rclpy.shutdown(context=context)


class Stop:
    """A wish to end, which a signal handler may state while the same thread waits for it.

    threading.Event must not be set by a handler: where the signal meets the thread inside of the
    event's own lock, that thread blocks for good. A pipe has no lock.
    """

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        self._stated = False

    def set(self) -> None:
        """State the wish."""
        if not self._stated:
            self._stated = True
            os.write(self._write, b".")

    def is_set(self) -> bool:
        """Whether it was stated."""
        return self._stated

    def wait(self, seconds: float) -> bool:
        """Wait until it is stated, but not longer; whether it was."""
        select.select([self._read], [], [], max(0.0, seconds))
        return self._stated

    def close(self) -> None:
        """Release the pipe."""
        os.close(self._read)
        os.close(self._write)


@contextmanager
def stop_on_signals() -> Iterator[Stop]:
    """A `Stop` that SIGINT and SIGTERM state, so that what was begun can be ended properly."""
    stop = Stop()
    numbers = interrupts.SIGNALS

    def state(*_: object) -> None:
        interrupts.is_repeated()  # noted: what comes after it, and after this block, may be the same Ctrl-C
        stop.set()

    previous = [signal.signal(number, state) for number in numbers]
    try:
        yield stop
    finally:
        for number, handler in zip(numbers, previous, strict=True):
            signal.signal(number, handler)
        stop.close()


def message_class(message_type: str) -> Any:
    """The Python class of `package/msg/Type`. Raises ReplayError where its package is not installed."""
    package, name = require_installed(message_type)
    try:
        return getattr(importlib.import_module(f"{package}.msg"), name)
    except (ImportError, AttributeError) as error:
        raise ReplayError(
            f"The message type {message_type} is not installed ({error}): install or source its package."
        ) from error


def quality(depth: int = 5, *, reliable: bool = True, latched: bool = False) -> QoSProfile:
    """A keep-last profile. Reliable is what drivers offer, and suits best-effort subscribers too (REP 2003)."""
    return QoSProfile(
        depth=depth,
        history=HistoryPolicy.KEEP_LAST,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )
