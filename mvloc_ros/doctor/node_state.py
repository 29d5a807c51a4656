# SPDX-License-Identifier: Apache-2.0
"""The lifecycle state of a running node, asked over ROS within a deadline."""

from __future__ import annotations

import time
from typing import Any

from lifecycle_msgs.srv import GetState
from rclpy.executors import SingleThreadedExecutor

from mvloc_ros.replay.ros import ros_node

_ASK_S = 1.0
# How long one answer is waited for: discovery is one-sided for a while, and an answer may find no way back.


def node_state(name: str, seconds: float) -> str | None:
    """The label of a node's state, such as `active`; None where no answer comes within the deadline.

    Args:
        name: of the node, with its namespace: `/mvloc`.
        seconds: the deadline, from the call on.
    """
    end = time.monotonic() + seconds
    with ros_node("mvloc_health") as node:
        client: Any = node.create_client(GetState, f"{name.rstrip('/')}/get_state")
        executor = SingleThreadedExecutor(context=node.context)
        executor.add_node(node)
        try:
            while (left := end - time.monotonic()) > 0:
                if not client.service_is_ready():
                    executor.spin_once(timeout_sec=min(0.05, left))
                    continue
                answer = client.call_async(GetState.Request())
                executor.spin_until_future_complete(answer, timeout_sec=min(_ASK_S, left))
                result = answer.result() if answer.done() else None
                if result is not None:
                    return str(result.current_state.label)
                client.remove_pending_request(answer)
        finally:
            executor.shutdown()
    return None
