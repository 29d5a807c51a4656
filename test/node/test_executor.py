# SPDX-License-Identifier: Apache-2.0
"""The parameter `executor`: rclpy's EventsExecutor where there is one, and a sentence where there is none."""

from __future__ import annotations

import importlib.util
import signal
import time
from pathlib import Path

import pytest
from child_process import parameter_words

pytestmark = pytest.mark.dds

WITHOUT = """
import sys
sys.modules["rclpy.experimental.events_executor"] = None
from mvloc_ros.node.main import main
sys.exit(main(sys.argv[1:]))
"""


def has_events_executor() -> bool:
    try:
        return importlib.util.find_spec("rclpy.experimental.events_executor") is not None
    except ModuleNotFoundError:
        return False


@pytest.mark.skipif(not has_events_executor(), reason="this rclpy has no EventsExecutor")
def test_the_events_executor_gives_poses_and_ends_in_order(peer, start_node, tiny_bundle: Path, wait_for):
    options = ("executor:=events", "publish_frame:=camera", "gate:=false", "status_period:=0.2")
    process = start_node(*parameter_words(f"model:={tiny_bundle}", *options))
    wait_for(peer.is_connected, 30, "the node's subscriptions")

    def pose() -> bool:
        stamp_ns = time.time_ns()
        peer.send_color(stamp_ns)
        peer.send_depth(stamp_ns)
        return bool(peer.poses)

    wait_for(pose, 30, "a pose")
    assert process.end(signal.SIGTERM) == 0
    assert "Traceback" not in process.text()


def test_where_rclpy_has_no_events_executor_the_node_says_so_and_runs(start_node, wait_for):
    process = start_node(*parameter_words("executor:=events", "autostart:=false"), program=("-c", WITHOUT))
    wait_for(lambda: "the single-threaded one is used" in process.text(), 30, "the sentence")
    assert "this rclpy has no EventsExecutor (Kilted has it, and Jazzy from 7.1.4 on)" in process.text()
    assert process.end(signal.SIGTERM) == 0


def test_an_executor_that_there_is_not_ends_the_process_with_a_sentence(start_node):
    process = start_node(*parameter_words("executor:=many"))
    assert process.wait() == 2
    assert "The node cannot start: The parameter executor must be one of single_threaded, events" in process.text()
