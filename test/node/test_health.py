# SPDX-License-Identifier: Apache-2.0
"""`mvloc health`, the health check of containers: 0 only while the node is active, an answer within the deadline."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from child_process import ChildProcess
from lifecycle_msgs.msg import Transition

from mvloc_ros.cli import main

pytestmark = pytest.mark.dds
START_S = 5.0
"""Of a process of Python with rclpy, on a machine that does other things too."""


def test_only_an_active_node_is_healthy(peer, active_node, tmp_path: Path):
    check = ChildProcess(tmp_path / "active", "-m", "mvloc_ros.cli", "health", "--deadline", "20")
    assert check.wait() == 0
    assert check.text() == "/mvloc: active\n"
    assert peer.transition(Transition.TRANSITION_DEACTIVATE)
    check = ChildProcess(tmp_path / "inactive", "-m", "mvloc_ros.cli", "health", "--deadline", "20")
    assert check.wait() == 1
    assert check.text() == "/mvloc: inactive\n"


def test_a_node_that_is_not_there_is_not_healthy_within_the_deadline(capsys: pytest.CaptureFixture[str]):
    started = time.monotonic()
    assert main(["health", "--node", "/nowhere/mvloc", "--deadline", "1"]) == 1
    assert 1.0 <= time.monotonic() - started < 1.0 + START_S
    assert "/nowhere/mvloc: no answer within 1 s" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["", "a b", "/mvloc/../x", "1node"])
def test_what_is_no_name_of_a_node_is_refused(name: str, capsys: pytest.CaptureFixture[str]):
    assert main(["health", f"--node={name}"]) == 2
    assert "is no name of a node" in capsys.readouterr().err
