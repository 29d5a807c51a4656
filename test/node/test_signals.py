# SPDX-License-Identifier: Apache-2.0
"""SIGINT and SIGTERM at every stage of a node's life: exit code 0 within two seconds, and in order."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import psutil
import pytest
from bundles import with_network
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from onnx import TensorProto, helper, numpy_helper

pytestmark = pytest.mark.dds
SECONDS = 2.0
"""The bar. A machine on which something else runs at the same time is given more, and says so; ONNX Runtime before 1.24
lets no other thread of Python run while it loads a network, and a node can end no sooner than that is done."""
SIGNALS = [signal.SIGINT, signal.SIGTERM]


@pytest.fixture(scope="module")
def slow_bundle(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model with forty products of large constants in it, which ONNX Runtime computes when it loads it."""
    model = onnx.load(tiny_bundle / "model.onnx")
    graph, count, size = model.graph, 40, 1500
    graph.initializer.extend(
        [
            numpy_helper.from_array(np.zeros((1, 1), np.float32), "seed"),
            numpy_helper.from_array(np.array([size, size], np.int64), "size"),
        ]
    )
    output = graph.node[-1]
    assert list(output.output) == ["expert_share"]
    output.CopyFrom(helper.make_node("Add", ["share", "nothing"], ["expert_share"]))
    products = [helper.make_node("MatMul", [f"product{n}", "product0"], [f"product{n + 1}"]) for n in range(count)]
    added = [
        helper.make_node("Expand", ["seed", "size"], ["product0"]),
        *products,
        helper.make_node("ReduceMean", [f"product{count}"], ["nothing"], keepdims=0),
    ]
    assert graph.output[-1].type.tensor_type.elem_type == TensorProto.FLOAT
    nodes = [*added, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    return with_network(tiny_bundle, model, tmp_path_factory.mktemp("slow"))


@pytest.fixture(scope="module")
def loading_s(slow_bundle: Path) -> float:
    """For how long loading the slow model keeps another thread from running."""
    longest_s, is_done = 0.0, threading.Event()

    def tick() -> None:
        nonlocal longest_s
        before = time.monotonic()
        while not is_done.wait(0.01):
            now = time.monotonic()
            longest_s, before = max(longest_s, now - before), now

    thread = threading.Thread(target=tick)
    thread.start()
    onnxruntime.InferenceSession(str(slow_bundle / "model.onnx"), providers=["CPUExecutionProvider"])
    is_done.set()
    thread.join()
    return longest_s if longest_s > 0.5 else 0.0


@pytest.fixture
def ends_while_it_loads(note_line, request, loading_s) -> Callable[..., None]:
    """`ends_at_once` of a node that loads the slow model."""

    def end(process, number: signal.Signals) -> None:
        test = request.node.name.split("[")[0]
        seconds = end_of(process, number, loading_s)
        held = f", loading held all threads for {loading_s:.2f} s" if loading_s else ""
        note_line(f"{test}, {number.name}: ended in {seconds:.2f} s{held}")

    return end


@pytest.fixture
def ends_at_once(note_line, request) -> Callable[..., None]:
    """Send a signal and see the process end; how long it took is said in the summary of the run."""

    def end(process, number: signal.Signals) -> None:
        note_line(f"{request.node.name.split('[')[0]}, {number.name}: ended in {end_of(process, number):.2f} s")

    return end


def end_of(process, number: signal.Signals, held_s: float = 0.0) -> float:
    """Seconds from the signal to the end, `held_s` of which the node may be kept from noticing it."""
    pid = process.process.pid
    started = time.monotonic()
    assert process.end(number, 30.0) == 0
    seconds = time.monotonic() - started
    said = process.text()
    assert "Traceback" not in said, said
    allowed = SECONDS * max(1.0, psutil.getloadavg()[0] / (psutil.cpu_count() or 1))
    assert seconds - held_s < allowed, said
    assert not psutil.pid_exists(pid)
    return seconds


@contextmanager
def one_more_thread(process, wait_for) -> Iterator[None]:
    """What is done within starts the thread that loads a model."""
    process = psutil.Process(process.process.pid)
    before = process.num_threads()
    yield
    wait_for(lambda: process.num_threads() > before, 20, "the loading to begin")


@pytest.mark.parametrize("number", SIGNALS)
def test_unconfigured(peer, start_node, wait_for, number, ends_at_once):
    process = start_node("-p", "autostart:=false")
    assert peer.state() == "unconfigured"
    ends_at_once(process, number)


@pytest.mark.parametrize("number", SIGNALS)
def test_while_it_starts(start_node, wait_for, number, ends_at_once):
    """While Python imports: the handlers are there before anything that takes time."""
    process = start_node("-p", "autostart:=false")
    status = Path(f"/proc/{process.process.pid}/status")
    bit = 1 << (number - 1)

    def is_caught() -> bool:
        line = next(line for line in status.read_text().splitlines() if line.startswith("SigCgt"))
        both = sum(1 << (n - 1) for n in SIGNALS)
        return int(line.split()[1], 16) & both == both and bool(both & bit)

    wait_for(is_caught, 20, "the signal to be caught")
    ends_at_once(process, number)


@pytest.mark.parametrize("number", SIGNALS)
def test_during_configure(peer, start_node, slow_bundle, wait_for, number, ends_while_it_loads):
    process = start_node("-p", f"model:={slow_bundle}", "-p", "autostart:=false")
    assert peer.state() == "unconfigured"
    request = ChangeState.Request()
    request.transition.id = Transition.TRANSITION_CONFIGURE
    with one_more_thread(process, wait_for):
        peer.services["change_state"].call_async(request)
    ends_while_it_loads(process, number)
    assert "told to end while its model was being loaded" in process.text()


@pytest.mark.parametrize("number", SIGNALS)
def test_inactive(peer, start_node, tiny_bundle, wait_for, number, ends_at_once):
    process = start_node("-p", f"model:={tiny_bundle}", "-p", "autostart:=false")
    assert peer.state() == "unconfigured"
    assert peer.transition(Transition.TRANSITION_CONFIGURE)
    assert peer.state() == "inactive"
    ends_at_once(process, number)


class Load:
    """A camera that sends pairs faster than they are worked on."""

    def __init__(self, peer) -> None:
        self.peer, self.stop = peer, threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self) -> None:
        while not self.stop.wait(0.004):
            stamp = time.time_ns()
            self.peer.send_color(stamp)
            self.peer.send_depth(stamp)

    def __enter__(self) -> None:
        self.thread.start()

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.thread.join()


@pytest.mark.parametrize("number", SIGNALS)
def test_active_under_load(peer, robot_node, wait_for, number, ends_at_once):
    process = robot_node("publish_frame:=camera")
    with Load(peer):
        wait_for(lambda: len(peer.poses) > 10, 20, "poses")
        ends_at_once(process, number)


@pytest.mark.parametrize("number", SIGNALS)
def test_during_a_model_swap_under_load(peer, robot_node, slow_bundle, wait_for, number, ends_while_it_loads):
    process = robot_node("publish_frame:=camera")
    with Load(peer):
        wait_for(lambda: len(peer.poses) > 3, 20, "poses")
        with one_more_thread(process, wait_for):
            assert peer.set_string("model", str(slow_bundle)).successful
        ends_while_it_loads(process, number)


def test_cleanup_does_not_wait_for_a_model_that_is_being_loaded(peer, robot_node, slow_bundle, wait_for, ends_at_once):
    process = robot_node("publish_frame:=camera")
    assert peer.set_string("model", str(slow_bundle)).successful
    started = time.monotonic()
    assert peer.transition(Transition.TRANSITION_DEACTIVATE)
    assert peer.transition(Transition.TRANSITION_CLEANUP)
    assert time.monotonic() - started < 5.0
    assert peer.state() == "unconfigured"
    ends_at_once(process, signal.SIGINT)


@pytest.mark.parametrize("number", SIGNALS)
def test_signals_that_repeat_end_it_in_order_too(peer, robot_node, wait_for, interrupt, number):
    """As `ros2 launch` and the terminal send them; Python takes its handlers away before the process has ended."""
    process = robot_node("publish_frame:=camera")
    assert interrupt(process.process, lambda: process.process.send_signal(number)) == 0, process.text()
    assert "Traceback" not in process.text()
