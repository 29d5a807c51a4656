# SPDX-License-Identifier: Apache-2.0
"""The node's process: one executor for ROS, one worker for the network, an orderly end at any signal."""

from __future__ import annotations

import signal
import sys

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from mvloc_ros.node.localization_node import LocalizationNode
from mvloc_ros.node.parameters import ParameterError

# How long a signal may go unnoticed while nothing arrives.
_SPIN_S = 0.2
# How long one thread may keep Python from another that wants it. By default 5 ms: that long a pair would wait for the
# worker to begin, while the executor's thread takes the next messages.
_SWITCH_S = 1e-4
_CANNOT_START = 2


def main(args: list[str] | None = None) -> int:
    """Run until SIGINT or SIGTERM; the exit code is 0 then, and 2 where what was given at the start is wrong."""
    stopping = False

    def stop(*_: object) -> None:
        nonlocal stopping
        stopping = True

    # rclpy's own handlers take the context away at once, under a worker that is about to publish.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    node = _create_node(args)
    if node is None:
        return _CANNOT_START
    sys.setswitchinterval(_SWITCH_S)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        if node.get_parameter("autostart").value:
            start(node)
        while not stopping and rclpy.ok():
            executor.spin_once(timeout_sec=_SPIN_S)
    finally:
        node.close()
        executor.shutdown()
        node.destroy_node()
        rclpy.try_shutdown()
    return 0


def _create_node(args: list[str] | None) -> LocalizationNode | None:
    """The node, or None after a sentence on what hinders it."""
    try:
        rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    except Exception as error:  # rclpy has no public class for arguments and files that it cannot read
        print(f"The node cannot start: {' '.join(str(error).split())}", file=sys.stderr)
        return None
    try:
        return LocalizationNode()
    except ParameterError as error:
        print(f"The node cannot start: {error}", file=sys.stderr)
        rclpy.try_shutdown()
        return None


def start(node: LocalizationNode) -> None:
    """Configure and activate; a node that cannot stays up, so that it can be mended and configured again."""
    node.trigger_configure()
    if node.is_configured:
        node.trigger_activate()
    else:
        node.get_logger().error(
            "not started; mend what the message above says, then: ros2 lifecycle set <this node> configure"
        )


if __name__ == "__main__":
    sys.exit(main())
