# SPDX-License-Identifier: Apache-2.0
"""Lifecycle: bad configurations are explained and mended without a restart; nothing is left behind."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from child_process import parameter_words
from lifecycle_msgs.msg import Transition
from mvloc_ros.msg import LocalizationStatus

pytestmark = pytest.mark.dds


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-p", "model:=/nowhere/at/all"], "No model bundle found at /nowhere/at/all"),
        (["-p", "model:=''"], "No model is given: set the parameter `model` to the folder"),
        (["-p", "backend:=tensorrt"], "CUDA"),
        (["-p", "precision:=fp16"], "has no fp16 network"),
        (["-p", "refine:=required"], "has no scene map to refine poses against"),
        (["-p", "refine:=on"], "must be one of auto, off, required, not True"),
        (["-p", "backend:=abacus"], "must be one of auto, tensorrt"),
        (["-p", "publish_frame:=moon"], "must be one of odom, base_link, camera, none, not 'moon'"),
    ],
)
def test_a_bad_configuration_is_said_and_can_be_mended(
    peer, start_node, tiny_bundle, wait_for, monkeypatch, arguments, words
):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    model = [] if any("model" in a for a in arguments) else ["-p", f"model:={tiny_bundle}"]
    process = start_node(*model, *arguments)
    wait_for(lambda: words in process.text(), 20, f"the log to say {words!r}")
    assert "Traceback" not in process.text()
    assert peer.state() == "unconfigured"
    assert peer.set_string("model", str(tiny_bundle)).successful
    assert peer.set_string("backend", "auto").successful
    assert peer.set_string("publish_frame", "camera").successful
    assert peer.set_string("precision", "auto").successful
    assert peer.set_string("refine", "auto").successful
    assert peer.transition(Transition.TRANSITION_CONFIGURE)
    assert "auto chose onnxruntime" in process.text()
    assert "not tensorrt: " in process.text()
    assert peer.transition(Transition.TRANSITION_ACTIVATE)
    assert peer.state() == "active"
    assert process.end() == 0


def test_a_damaged_bundle_is_refused(peer, start_node, tiny_bundle, tmp_path: Path, wait_for):
    bundle = shutil.copytree(tiny_bundle, tmp_path / "model")
    (bundle / "model.onnx").write_bytes(b"rubbish")
    process = start_node("-p", f"model:={bundle}")
    wait_for(lambda: "damaged or was replaced" in process.text(), 20, "the log to say what is wrong")
    assert peer.state() == "unconfigured"
    assert process.end() == 0


def test_parameters_do_not_change_under_a_running_node(peer, active_node):
    result = peer.set_string("map_frame", "elsewhere")
    assert not result.successful
    assert "read at configure" in result.reason


def test_an_impossible_choice_is_refused_with_the_choices(peer, start_node, wait_for):
    process = start_node("-p", "autostart:=false", "-p", "gate_max_jmp:=1.0")
    result = peer.set_string("image_reliability", "perfect")
    assert not result.successful
    assert "best_effort, reliable" in result.reason
    words = "The node has no parameter gate_max_jmp; the nearest name is gate_max_jump"
    wait_for(lambda: words in process.text(), 10, f"the log to say {words!r}")


def test_coming_and_going_leaves_nothing(peer, robot_node, wait_for):
    node = robot_node()
    process = psutil.Process(node.process.pid)
    cycle = (
        Transition.TRANSITION_DEACTIVATE,
        Transition.TRANSITION_CLEANUP,
        Transition.TRANSITION_CONFIGURE,
        Transition.TRANSITION_ACTIVATE,
    )
    for transition in cycle * 2:
        assert peer.transition(transition), transition
    threads, memory = process.num_threads(), process.memory_info().rss
    for transition in cycle * 98:
        assert peer.transition(transition), transition
    assert process.num_threads() <= threads
    assert process.memory_info().rss < memory + 20e6
    wait_for(peer.is_connected, 10, "the subscriptions of the last activation")
    assert node.end() == 0


FAILING = """
import json, sys, threading
import rclpy
from mvloc_ros.node import localization_node
from mvloc_ros.node.localization_node import LocalizationNode

rclpy.init(args=["--ros-args", "-p", "publish_frame:=camera", "-p", f"model:={sys.argv[1]}"])
node = LocalizationNode()

def state():
    return node._state_machine.current_state[1]

def held():
    return threading.active_count(), len(list(node.subscriptions)), len(list(node.timers)), len(list(node.publishers))

def fail(*arguments):
    raise RuntimeError("injected")

seen = []
node.trigger_configure(), node.trigger_activate(), node.trigger_deactivate(), node.trigger_cleanup()
empty = held()
for name, trigger in (("InitialPose", node.trigger_configure), ("Inputs", node.trigger_activate)):
    before, working = held(), getattr(localization_node, name)
    setattr(localization_node, name, fail)
    for _ in range(3):
        trigger()
    seen.append((state(), held() == before))
    setattr(localization_node, name, working)
    trigger()
    seen.append((state(), held() == before))
node.trigger_deactivate(), node.trigger_cleanup()
seen.append((state(), held() == empty))
node.close()
node.destroy_node()
rclpy.shutdown()
print(json.dumps(seen))
"""


def test_what_a_failed_transition_began_is_undone(tiny_bundle):
    """A part fails at configure, and one at activate, three times each; then they work."""
    command = [sys.executable, "-c", FAILING, str(tiny_bundle)]
    result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=90)
    assert json.loads(result.stdout.splitlines()[-1]) == [
        ["unconfigured", True],
        ["inactive", False],
        ["inactive", True],
        ["active", False],
        ["unconfigured", True],
    ]
    assert result.stderr.count("failed unexpectedly") == 6
    assert result.stderr.count("RuntimeError: injected") == 6


TIMERS = """
import json, sys
import rclpy
from mvloc_ros.node.localization_node import LocalizationNode

rclpy.init(args=["--ros-args", "-p", f"model:={sys.argv[1]}", "-p", f"use_sim_time:={sys.argv[2]}"])
node = LocalizationNode()
node.trigger_configure(), node.trigger_activate()
print(json.dumps(sorted(timer.clock.clock_type.name for timer in node.timers)))
node.close()
node.destroy_node()
rclpy.shutdown()
"""


@pytest.mark.parametrize(("simulated", "clocks"), [("false", {"STEADY_TIME"}), ("true", {"ROS_TIME", "STEADY_TIME"})])
def test_no_timer_waits_for_a_system_clock_that_was_set_back(tiny_bundle, simulated: str, clocks: set[str]):
    """Nav2 would lose map -> odom for as long; in simulated time the repetition goes with that."""
    command = [sys.executable, "-c", TIMERS, str(tiny_bundle), simulated]
    result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=90)
    assert set(json.loads(result.stdout.splitlines()[-1])) == clocks


HANGING = """
import os, sys, time
from mvloc_ros.localization.localizer import Localizer
from mvloc_ros.node.main import main

def hang(*_):
    while os.path.exists(sys.argv[1]):
        time.sleep(0.01)
    raise RuntimeError("injected")

Localizer.see = hang
sys.exit(main(sys.argv[2:]))
"""


def test_a_frame_that_hangs_in_work_is_told(peer, start_node, tiny_bundle, wait_for, tmp_path):
    options = ("publish_frame:=camera", "status_period:=0.1", "lost_after:=0.5", "starvation_timeout:=0.5")
    hangs = tmp_path / "hangs"  # for as long as this is there
    hangs.touch()
    words = parameter_words(f"model:={tiny_bundle}", *options)
    process = start_node(*words, program=("-c", HANGING, str(hangs)))
    wait_for(lambda: peer.is_connected() and peer.node_sees_it(), 30, "the node and the peer to find each other")

    def told() -> LocalizationStatus | None:
        stamp_ns = time.time_ns()
        peer.send_color(stamp_ns)
        peer.send_depth(stamp_ns)
        words = "the frame in work has not been finished for"
        return next((status for status in list(peer.statuses) if words in status.reason), None)

    try:
        assert wait_for(told, 10, "the frame that hangs").state == LocalizationStatus.LOST
    finally:
        hangs.unlink()
    assert process.end(signal.SIGTERM) == 0
