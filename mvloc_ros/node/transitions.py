# SPDX-License-Identifier: Apache-2.0
"""Lifecycle transitions that say why they failed: rclpy swallows what a transition callback raises."""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable
from typing import TypeVar

from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from mvloc_ros.errors import MvlocError
from mvloc_ros.foreign_text import shown, shown_lines
from mvloc_ros.limits import MOST_LOG_CHARACTERS

N = TypeVar("N", bound=LifecycleNode)
Transition = Callable[[N, LifecycleState], TransitionCallbackReturn]


def logged(transition: Transition[N]) -> Transition[N]:
    """Log what the transition raises and let it fail, which leaves the node in the state it came from."""

    @functools.wraps(transition)
    def wrapper(node: N, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            return transition(node, state)
        except MvlocError as error:
            node.get_logger().error(f"{_name(transition)} failed: {shown(error, MOST_LOG_CHARACTERS)}")
        except Exception:
            node.get_logger().error(f"{_name(transition)} failed unexpectedly:\n{shown_lines(traceback.format_exc())}")
        return TransitionCallbackReturn.FAILURE

    return wrapper


def _name(transition: Transition[N]) -> str:
    return transition.__name__.removeprefix("on_").capitalize()
