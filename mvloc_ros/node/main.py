# SPDX-License-Identifier: Apache-2.0
"""The node's process: one executor for ROS, one worker for the network, an orderly end at any signal."""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from typing import TYPE_CHECKING

from mvloc_ros import interrupts

if TYPE_CHECKING:
    from rclpy.executors import SingleThreadedExecutor

    from mvloc_ros.node.localization_node import LocalizationNode

# How long a signal may go unnoticed while nothing arrives.
_SPIN_S = 0.2
# How long one thread may keep Python from another that wants it. By default 5 ms: that long a pair would wait for the
# worker to begin, while the executor's thread takes the next messages.
_SWITCH_S = 1e-4
_CANNOT_START = 2
_ERROR_PERIOD_S = 5.0


class Ending:
    """Whether a signal has come. Made before the imports, which take a second in which signals come too.

    Attributes:
        is_awaited: whether somebody looks; until then a signal ends the process at once, as nothing has begun.
    """

    def __init__(self) -> None:
        self.is_awaited = self._requested = False
        # rclpy's own handlers take the context away at once, under a worker that is about to publish.
        for number in interrupts.SIGNALS:
            signal.signal(number, self._request)

    def __call__(self) -> bool:
        """Whether the process is to end."""
        return self._requested

    def _request(self, *_: object) -> None:
        self._requested = True
        if not self.is_awaited:
            os._exit(0)


def main(args: list[str] | None = None) -> int:
    """Run until SIGINT or SIGTERM; the exit code is 0 then, and 2 where what was given at the start is wrong."""
    ending = Ending()
    import rclpy
    from rclpy.executors import SingleThreadedExecutor

    node = _create_node(args, ending)
    if node is None:
        interrupts.ignore()
        return _CANNOT_START
    sys.setswitchinterval(_SWITCH_S)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        if node.get_parameter("autostart").value and not ending():
            start(node, ending)
        while not ending() and rclpy.ok():
            _spin_once(executor, node)
    finally:
        node.close()
        executor.shutdown()
        node.destroy_node()
        rclpy.try_shutdown()
        interrupts.ignore()
    _leave_loads_behind()
    return 0


def _create_node(args: list[str] | None, ending: Ending) -> LocalizationNode | None:
    """The node, or None after a sentence on what hinders it."""
    import rclpy
    from rclpy.signals import SignalHandlerOptions

    from mvloc_ros.node.localization_node import LocalizationNode
    from mvloc_ros.node.parameters import ParameterError

    ending.is_awaited = True
    try:
        rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    except Exception as error:  # rclpy has no public class for arguments and files that it cannot read
        print(f"The node cannot start: {' '.join(str(error).split())}", file=sys.stderr)
        return None
    try:
        return LocalizationNode(ending)
    except ParameterError as error:
        print(f"The node cannot start: {error}", file=sys.stderr)
        rclpy.try_shutdown()
        return None


def _spin_once(executor: SingleThreadedExecutor, node: LocalizationNode) -> None:
    """Wait for one callback and call it; a defect in one is told and does not end the others."""
    try:
        executor.spin_once(timeout_sec=_SPIN_S)
    except Exception:
        node.get_logger().error(
            f"A callback failed unexpectedly:\n{traceback.format_exc()}", throttle_duration_sec=_ERROR_PERIOD_S
        )


def start(node: LocalizationNode, ending: Ending) -> None:
    """Configure and activate; a node that cannot stays up, so that it can be mended and configured again."""
    node.trigger_configure()
    if node.is_configured:
        node.trigger_activate()
    elif not ending():
        node.get_logger().error(
            "not started; mend what the message above says, then: ros2 lifecycle set <this node> configure"
        )


def _leave_loads_behind() -> None:
    """End the process now if a model is still being loaded: the interpreter would wait for it, for minutes perhaps."""
    from mvloc_ros.node.model_slot import LOADER

    if any(thread.name == LOADER for thread in threading.enumerate()):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
