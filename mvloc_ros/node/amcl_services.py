# SPDX-License-Identifier: Apache-2.0
"""AMCL's services, for stacks that call them by name: Nav2's behavior trees, docking, rviz's Nav2 panel.

The topic `amcl_pose` is among the node's outputs (see `outputs`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from geometry_msgs.msg import PoseWithCovarianceStamped
from rclpy.lifecycle import LifecycleNode
from std_srvs.srv import Empty

from mvloc_ros.frontend.input_log import InputLog
from mvloc_ros.node.services import Answer


class AmclServices:
    """From configure to cleanup; called by the executor's thread."""

    def __init__(
        self,
        node: LifecycleNode,
        relocalize: Callable[[], Answer],
        take_pose: Callable[[PoseWithCovarianceStamped], None],
        log: InputLog,
    ) -> None:
        """Offer the services; `set_initial_pose` only where nav2_msgs is installed, without which nobody can call it.

        Args:
            node: whose services these are.
            relocalize: forgets where the camera was.
            take_pose: takes an initial pose.
            log: told what was asked for.
        """
        self._node, self._relocalize, self._log = node, relocalize, log
        self._services = [
            node.create_service(Empty, "reinitialize_global_localization", self._reinitialize),
            node.create_service(Empty, "request_nomotion_update", self._update),
        ]
        kind = _set_initial_pose()
        if kind is None:
            log.tell("set_initial_pose", "nav2_msgs is not installed, so there is no service set_initial_pose")
            return

        def set_pose(request: Any, response: Any) -> Any:
            take_pose(request.pose)
            return response

        self._services.append(node.create_service(kind, "set_initial_pose", set_pose))

    def close(self) -> None:
        """Remove them."""
        for service in self._services:
            self._node.destroy_service(service)

    def _reinitialize(self, _request: Empty.Request, response: Empty.Response) -> Empty.Response:
        """AMCL spreads its particles over the map; here the accepted pose is forgotten, and the next is found anywhere.

        An Empty answer cannot tell a failure; the log does.
        """
        done, text = self._relocalize()
        say = self._log.tell if done else self._log.warn
        say("reinitialize_global_localization", f"reinitialize_global_localization: {text}")
        return response

    def _update(self, _request: Empty.Request, response: Empty.Response) -> Empty.Response:
        """AMCL updates only while the robot moves, unless it is asked; here every frame gives a pose."""
        self._log.tell("request_nomotion_update", "request_nomotion_update: every frame gives a pose without it")
        return response


def _set_initial_pose() -> Any | None:
    try:
        from nav2_msgs.srv import SetInitialPose
    except ImportError:
        return None
    return SetInitialPose
