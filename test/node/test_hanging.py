# SPDX-License-Identifier: Apache-2.0
"""What hangs in a library, and that the node still ends: in time, with a sentence and an exit code of its own.

The network hangs in ONNX Runtime itself: it counts to 2^60 where it sees a white image. The node refuses such a network
before it runs it, so that check is switched off here.
"""

from __future__ import annotations

import signal
import time
from pathlib import Path

import numpy as np
import onnx
import psutil
import pytest
from bundles import with_network
from child_process import parameter_words
from lifecycle_msgs.msg import Transition
from onnx import TensorProto, helper, numpy_helper
from std_srvs.srv import Trigger

pytestmark = pytest.mark.dds
HANGS = 3
"""The exit code."""
SECONDS = 6.0
"""From a signal to the end of a node whose worker hangs; more on a machine that has other things to do."""
WHITE = np.full((48, 64, 3), 255, np.uint8)
LEFT_BEHIND = "the frame in work did not end within 3 s and is left behind"


def counting(before: str, after: str) -> list[onnx.NodeProto]:
    """Nodes that copy a tensor 2^60 times for a white image, and once otherwise."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go_on"], ["goes_on"]),
            helper.make_node("Identity", ["state"], ["next_state"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("n", TensorProto.INT64, []),
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state", TensorProto.FLOAT, [1, 3]),
        ],
        [
            helper.make_tensor_value_info("goes_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next_state", TensorProto.FLOAT, [1, 3]),
        ],
    )
    return [
        helper.make_node("Greater", ["brightness", "nearly_white"], ["is_white"]),
        helper.make_node("Cast", ["is_white"], ["white"], to=TensorProto.INT64),
        helper.make_node("Mul", ["white", "very_many"], ["rounds"]),
        helper.make_node("ReduceSum", ["rounds"], ["count"], keepdims=0),
        helper.make_node("Loop", ["count", "", before], [after], body=body),
    ]


@pytest.fixture(scope="module")
def hanging_bundle(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = onnx.load(tiny_bundle / "model.onnx")
    graph = model.graph
    graph.initializer.extend(
        [
            numpy_helper.from_array(np.array([0.95], np.float32), "nearly_white"),
            numpy_helper.from_array(np.array([2**60], np.int64), "very_many"),
        ]
    )
    assert list(graph.node[-1].output) == ["expert_share"]
    del graph.node[-1]
    graph.node.extend(counting("share", "expert_share"))
    return with_network(tiny_bundle, model, tmp_path_factory.mktemp("hanging"))


UNCHECKED = """
import sys
from mvloc_ros.backends import onnxruntime_backend
from mvloc_ros.node.main import main

onnxruntime_backend.require_network = lambda bundle, precision: bundle.network_path(precision)
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def hanging_node(peer, start_node, hanging_bundle, wait_for):
    """A node whose worker hangs in ONNX Runtime."""
    options = ("publish_frame:=camera", "status_period:=0.1", "lost_after:=0.5", "starvation_timeout:=0.5")
    words = parameter_words(f"model:={hanging_bundle}", *options)
    process = start_node(*words, program=("-c", UNCHECKED))
    wait_for(lambda: peer.is_connected() and peer.node_sees_it(), 30, "the node and the peer to find each other")

    def told() -> bool:
        stamp_ns = time.time_ns()
        peer.send_color(stamp_ns, WHITE)
        peer.send_depth(stamp_ns)
        return any("has not been finished for" in status.reason for status in list(peer.statuses))

    wait_for(told, 20, "the network to hang")
    return process


def end_of(process, number: signal.Signals, seconds: float = SECONDS) -> str:
    """What a node said that is ended by a signal, with the exit code of one that hangs."""
    started = time.monotonic()
    assert process.end(number, 40.0) == HANGS
    took = time.monotonic() - started
    assert took < seconds * max(1.0, psutil.getloadavg()[0] / (psutil.cpu_count() or 1)), process.text()
    assert "Traceback" not in process.text()
    return process.text()


def test_a_network_that_hangs_does_not_hold_up_the_end_even_while_a_model_waits_for_it(
    peer, hanging_node, tiny_bundle, wait_for
):
    assert peer.set_string("model", str(tiny_bundle)).successful
    assert LEFT_BEHIND in end_of(hanging_node, signal.SIGINT)


def test_what_a_network_that_hangs_uses_is_not_taken_from_it_and_not_used_twice(
    peer, hanging_node, tiny_bundle, wait_for
):
    assert peer.transition(Transition.TRANSITION_DEACTIVATE)
    assert LEFT_BEHIND in hanging_node.text()
    assert not peer.transition(Transition.TRANSITION_ACTIVATE)
    assert "Activate failed: a frame that was in work" in hanging_node.text()
    refused = peer.set_string("model", str(tiny_bundle))
    assert not refused.successful
    assert "has not ended" in refused.reason
    assert "has not ended" in peer.call("load_model", Trigger.Request()).message
    assert peer.transition(Transition.TRANSITION_CLEANUP)
    assert peer.set_string("model", str(tiny_bundle)).successful
    for transition in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE):
        assert peer.transition(transition)
    wait_for(peer.is_connected, 20, "the subscriptions")
    peer.poses.clear()

    def sends() -> bool:
        stamp_ns = time.time_ns()
        peer.send_color(stamp_ns)
        peer.send_depth(stamp_ns)
        return bool(peer.poses)

    wait_for(sends, 20, "a pose of the other model")
    end_of(hanging_node, signal.SIGTERM)


DECODER = """
import sys, time
from mvloc_ros.frontend import image_reader
from mvloc_ros.node import main

def hang(*_):
    print("hangs", flush=True)
    while True:
        time.sleep(1.0)

image_reader.decode_color = hang
main._LAST_S = 1.0
sys.exit(main.main(sys.argv[1:]))
"""


def test_a_decoder_that_hangs_in_the_main_thread_does_not_hold_up_the_end(peer, start_node, tiny_bundle, wait_for):
    words = parameter_words(f"model:={tiny_bundle}", "publish_frame:=camera")
    process = start_node(*words, program=("-c", DECODER))

    def hangs() -> bool:
        peer.send_color(time.time_ns())
        return "hangs" in process.text()

    wait_for(hangs, 40, "the decoder to hang")
    assert process.end(signal.SIGTERM, 20.0) == HANGS
    assert "The node hangs: it did not end within 1 s of the signal, and is ended." in process.text()
