# SPDX-License-Identifier: Apache-2.0
"""The buffer of transforms with waiting, and with forgetting when time jumps back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from geometry_msgs.msg import TransformStamped
from rclpy.clock import JumpThreshold
from rclpy.duration import Duration
from rclpy.logging import get_logger
from rclpy.node import Node
from rclpy.task import Future
from rclpy.time import Time
from tf2_py import BufferCore

NO_WAIT = Duration()


class Buffer(BufferCore):
    """Stores transforms and answers lookups, waiting for them where a timeout says so.

    :param cache_time: how much of the past is kept, 10 s unless told.
    :param node: its clock is watched; when time jumps back by more than a second, or the clock changes between
        system and simulated time, the buffer is cleared.
    """

    def __init__(self, cache_time: Duration | None = None, node: Node | None = None) -> None:
        super().__init__(cache_time)
        self._arrivals: list[Callable[[], None]] = []
        self._jump_handle: Any = None
        if node is not None:
            threshold = JumpThreshold(min_forward=None, min_backward=Duration(seconds=-1), on_clock_change=True)
            self._jump_handle = node.get_clock().create_jump_callback(threshold, post_callback=self._on_jump)

    def _on_jump(self, _jump: Any) -> None:
        get_logger("tf2_buffer").warning("Detected a jump back in time. Clearing the tf buffer.")
        self.clear()

    def set_transform(self, transform: TransformStamped, authority: str) -> None:
        """Add a moving frame's place and wake who waits for it."""
        super().set_transform(transform, authority)
        self._announce()

    def set_transform_static(self, transform: TransformStamped, authority: str) -> None:
        """Add a place that holds at any time and wake who waits for it."""
        super().set_transform_static(transform, authority)
        self._announce()

    def lookup_transform(
        self, target_frame: str, source_frame: str, time: Time, timeout: Duration = NO_WAIT
    ) -> TransformStamped:
        """The transform that takes coordinates in `source_frame` to `target_frame`.

        :param time: when; zero asks for the latest time that all steps between the frames have in common.
        :param timeout: how long to wait for it. After that, what hinders it is raised.
        """
        if timeout.nanoseconds > 0:
            self.can_transform(target_frame, source_frame, time, timeout)
        return self.lookup_transform_core(target_frame, source_frame, time)

    def lookup_transform_full(
        self,
        target_frame: str,
        target_time: Time,
        source_frame: str,
        source_time: Time,
        fixed_frame: str,
        timeout: Duration = NO_WAIT,
    ) -> TransformStamped:
        """From `source_frame` at `source_time` to `target_frame` at `target_time`, `fixed_frame` being at rest."""
        if timeout.nanoseconds > 0:
            self.can_transform_full(target_frame, target_time, source_frame, source_time, fixed_frame, timeout)
        return self.lookup_transform_full_core(target_frame, target_time, source_frame, source_time, fixed_frame)

    def can_transform(
        self,
        target_frame: str,
        source_frame: str,
        time: Time,
        timeout: Duration = NO_WAIT,
        return_debug_tuple: bool = False,
    ) -> Any:
        """1 or 0: whether the lookup would succeed within the timeout; or (1 or 0, why not) where asked for."""
        result = self._wait(lambda: self.can_transform_core(target_frame, source_frame, time), timeout)
        return result if return_debug_tuple else result[0]

    def can_transform_full(
        self,
        target_frame: str,
        target_time: Time,
        source_frame: str,
        source_time: Time,
        fixed_frame: str,
        timeout: Duration = NO_WAIT,
        return_debug_tuple: bool = False,
    ) -> Any:
        """1 or 0: whether the full lookup would succeed within the timeout; or a tuple as in `can_transform`."""
        result = self._wait(
            lambda: self.can_transform_full_core(target_frame, target_time, source_frame, source_time, fixed_frame),
            timeout,
        )
        return result if return_debug_tuple else result[0]

    def wait_for_transform_async(self, target_frame: str, source_frame: str, time: Time) -> Future:
        """A future whose result is the transform, once it is there."""
        future: Future = Future()

        def try_once() -> None:
            if not future.done() and self.can_transform_core(target_frame, source_frame, time)[0]:
                future.set_result(self.lookup_transform_core(target_frame, source_frame, time))

        with self._changed:
            try_once()
            if not future.done():
                self._arrivals.append(try_once)
                future.add_done_callback(lambda _: self._forget(try_once))
        return future

    async def lookup_transform_async(self, target_frame: str, source_frame: str, time: Time) -> TransformStamped:
        """The transform, awaited."""
        return await self.wait_for_transform_async(target_frame, source_frame, time)

    def _wait(self, attempt: Callable[[], tuple[int, str]], timeout: Duration) -> tuple[int, str]:
        """Try now and after each new transform, for `timeout` of real time (simulated time may stand still)."""
        with self._changed:
            result = attempt()
            if result[0] or timeout.nanoseconds <= 0:
                return result

            def succeeded() -> bool:
                nonlocal result
                result = attempt()
                return bool(result[0])

            self._changed.wait_for(succeeded, timeout.nanoseconds / 1e9)
            return result

    def _announce(self) -> None:
        with self._changed:
            waiting = list(self._arrivals)
        for try_once in waiting:
            try_once()

    def _forget(self, try_once: Callable[[], None]) -> None:
        with self._changed:
            if try_once in self._arrivals:
                self._arrivals.remove(try_once)
