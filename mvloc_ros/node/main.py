# SPDX-License-Identifier: Apache-2.0
"""The node's process: one executor for ROS, one worker for the network, an orderly end at any signal."""

from __future__ import annotations

import sys

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor

from mvloc_ros.node.localization_node import LocalizationNode


def main(args: list[str] | None = None) -> int:
    """Run until SIGINT or SIGTERM; the exit code is 0 then."""
    rclpy.init(args=args)
    node = LocalizationNode()
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        if node.get_parameter("autostart").value:
            start(node)
        executor.spin()
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        node.close()
        executor.shutdown()
        node.destroy_node()
        rclpy.try_shutdown()
    return 0


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
