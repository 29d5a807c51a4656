# SPDX-License-Identifier: Apache-2.0
"""The node's process: one executor for ROS, one worker for the network, an orderly end at any signal."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from typing import TYPE_CHECKING

from mvloc_ros import interrupts
from mvloc_ros.foreign_text import shown, shown_lines
from mvloc_ros.limits import MOST_LOG_CHARACTERS

if TYPE_CHECKING:
    from rclpy.executors import Executor

    from mvloc_ros.node.localization_node import LocalizationNode

# How long a signal may go unnoticed while nothing arrives.
_SPIN_S = 0.2
# How long one thread may keep Python from another that wants it. By default 5 ms: that long a pair would wait for the
# worker to begin, while the executor's thread takes the next messages.
_SWITCH_S = 1e-4
_CANNOT_START, _HANGS = 2, 3
_ERROR_PERIOD_S = 60.0
_EXECUTOR_S = 1.0
_LAST_S = 8.0
"""After a signal the process ends within this, whatever hangs. What may take its time while it ends has less."""


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
        _end_at_last()

    def __call__(self) -> bool:
        """Whether the process is to end."""
        return self._requested

    def _request(self, *_: object) -> None:
        self._requested = True
        if not self.is_awaited:
            os._exit(0)


def main(args: list[str] | None = None) -> int:
    """Run until SIGINT or SIGTERM.

    The exit code is 0 then, 2 where what was given at the start is wrong, and 3 where something hung at the end.
    """
    ending = Ending()
    # OpenCV has a line of its own for each image that it cannot decode; the node says so through its log of input.
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    import rclpy

    node = _create_node(args, ending)
    if node is None:
        interrupts.ignore()
        return _CANNOT_START
    sys.setswitchinterval(_SWITCH_S)
    executor = _create_executor(node)
    executor.add_node(node)
    try:
        if node.get_parameter("autostart").value and not ending():
            start(node, ending)
        while not ending() and rclpy.ok():
            _spin_once(executor, node)
    finally:
        node.close()
        executor.shutdown(timeout_sec=_EXECUTOR_S)
        node.destroy_node()
        rclpy.try_shutdown()
        interrupts.ignore()
    _leave_threads_behind()
    return 0


def _create_node(args: list[str] | None, ending: Ending) -> LocalizationNode | None:
    """The node, or None after a sentence on what hinders it."""
    import rclpy
    from rclpy.signals import SignalHandlerOptions

    from mvloc_ros.node.localization_node import LocalizationNode
    from mvloc_ros.parameters.errors import ParameterError

    ending.is_awaited = True
    try:
        rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    except Exception as error:  # rclpy has no public class for arguments and files that it cannot read
        print(f"The node cannot start: {shown(' '.join(str(error).split()), MOST_LOG_CHARACTERS)}", file=sys.stderr)
        return None
    try:
        return LocalizationNode(ending)
    except ParameterError as error:
        print(f"The node cannot start: {error}", file=sys.stderr)
        rclpy.try_shutdown()
        return None


def _create_executor(node: LocalizationNode) -> Executor:
    """The executor that the parameter names; where this rclpy does not have it, the default one and a sentence."""
    from rclpy.executors import SingleThreadedExecutor

    if node.get_parameter("executor").value == "events":
        try:
            from rclpy.experimental.events_executor import EventsExecutor

            return EventsExecutor()
        except (ImportError, AttributeError):  # before Jazzy's 7.1.4; a binding that lacks it
            node.get_logger().warning(
                "executor is events, but this rclpy has no EventsExecutor (Kilted has it, and Jazzy from 7.1.4 on): "
                "the single-threaded one is used"
            )
    return SingleThreadedExecutor()


def _spin_once(executor: Executor, node: LocalizationNode) -> None:
    """Wait for one callback and call it; a defect in one is told and does not end the others."""
    try:
        executor.spin_once(timeout_sec=_SPIN_S)
    except Exception:
        node.get_logger().error(
            f"A callback failed unexpectedly:\n{shown_lines(traceback.format_exc())}",
            throttle_duration_sec=_ERROR_PERIOD_S,
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


def _leave_threads_behind() -> None:
    """End the process now if a model is still being loaded (for minutes perhaps), or a frame hangs."""
    from mvloc_ros.frontend.mailbox import WORKER
    from mvloc_ros.node.model_exchange import LOADER

    names = {thread.name for thread in threading.enumerate()}
    if WORKER in names:
        _exit(_HANGS)  # the node has said so
    if LOADER in names:
        _exit(0)


def _end_at_last() -> None:
    """Have a thread end the process `_LAST_S` after the first signal, should the main thread not do so.

    Python's handlers run in the main thread alone, between two of its instructions. What the system writes into a
    pipe at a signal is noticed while that thread waits in a library, too.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)

    def watch() -> None:
        while os.read(reading, 1)[0] not in interrupts.SIGNALS:
            pass
        time.sleep(_LAST_S)
        print(f"The node hangs: it did not end within {_LAST_S:g} s of the signal, and is ended.", file=sys.stderr)
        _exit(_HANGS)

    threading.Thread(target=watch, name="mvloc_last", daemon=True).start()


def _exit(code: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    sys.exit(main())
