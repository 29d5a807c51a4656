# SPDX-License-Identifier: Apache-2.0
"""The node's services. They exist from the node's start to its end and say what they cannot do in which state."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from std_srvs.srv import SetBool, Trigger

from mvloc_ros.foreign_text import shown_lines

Response = TypeVar("Response", Trigger.Response, SetBool.Response)
Answer = tuple[bool, str]


def create_services(
    node: Node,
    relocalize: Callable[[], Answer],
    set_enabled: Callable[[bool], Answer],
    publish_initialpose: Callable[[], Answer],
    load_model: Callable[[], Awaitable[Answer]],
) -> None:
    """Offer `~/relocalize`, `~/set_enabled`, `~/publish_initialpose` and `~/load_model`.

    Each function answers whether it was done, and a sentence.
    """

    async def answer_load(_request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        return _fill(response, await load_model())

    node.create_service(Trigger, "~/relocalize", lambda _, response: _fill(response, relocalize()))
    node.create_service(SetBool, "~/set_enabled", lambda asked, response: _fill(response, set_enabled(asked.data)))
    node.create_service(Trigger, "~/publish_initialpose", lambda _, response: _fill(response, publish_initialpose()))
    # Of a group of its own: while its coroutine waits, its group takes no other callback.
    group = MutuallyExclusiveCallbackGroup()
    node.create_service(Trigger, "~/load_model", answer_load, callback_group=group)


def _fill(response: Response, answer: Answer) -> Response:
    response.success, response.message = answer[0], shown_lines(answer[1])
    return response
