# SPDX-License-Identifier: Apache-2.0
"""What every test may use: the shared recordings, a ROS domain of the run's own, and polling with a deadline."""

from __future__ import annotations

import atexit
import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import pytest

if TYPE_CHECKING:
    import rclpy

# A test run in the background of a script has SIGINT ignored, and so would every process that it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parent.parent


def _own_domain() -> tuple[str, TextIO | None]:
    """A ROS domain that no other run of tests on this machine has, and the lock on it; where all are taken, any.

    Another run's node would answer under the same names. Domains above 101 collide with the ephemeral ports of Linux.
    """
    for n in range(80):
        domain = str(20 + (os.getpid() + n) % 80)
        with suppress(OSError):  # of another user
            lock = (Path(tempfile.gettempdir()) / f"mvloc-test-domain-{domain}.lock").open("a")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return domain, lock
            except BlockingIOError:
                lock.close()
    return str(20 + os.getpid() % 80), None


# A domain and a network scope of this run's own: tests neither disturb a running robot nor are disturbed.
_DOMAIN, _LOCK = _own_domain()
os.environ.setdefault("ROS_DOMAIN_ID", _DOMAIN)
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"

# Decoded frames of tests go nowhere near the user's.
os.environ["MVLOC_CACHE"] = tempfile.mkdtemp(prefix="mvloc-test-cache-")
atexit.register(shutil.rmtree, os.environ["MVLOC_CACHE"], ignore_errors=True)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real recordings; the test is skipped where there is none."""
    path = Path(os.environ.get("MVLOC_DATA", ROOT.parent / "shared" / "data"))
    if not path.is_dir():
        pytest.skip(f"no real recordings at {path}; set MVLOC_DATA to their folder")
    return path


def wait_for(condition: Callable[[], object], seconds: float, what: str) -> object:
    """Poll until `condition` gives something true, and return it; fail with `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.01)
    pytest.fail(f"waited {seconds} s in vain for {what}")


@pytest.fixture(name="wait_for")
def _wait_for() -> Callable[[Callable[[], object], float, str], object]:
    return wait_for


@pytest.fixture(scope="module")
def ros_context() -> Iterator[rclpy.Context]:
    """The ROS context of this process's nodes, with one DDS participant that lives as long as a file of tests.

    A participant goes with the last node of its context, and Fast DDS 3.2 now and then crashes when one goes while
    processes that it shares memory with are killed (SharedMemChannelResource::release locks a port that is no
    longer mapped). So one participant ends a file instead of a test. One for all files was seen to go deaf.
    """
    import rclpy

    context = rclpy.Context()
    rclpy.init(context=context)
    anchor = rclpy.create_node("test_anchor", context=context, enable_rosout=False, start_parameter_services=False)
    yield context
    anchor.destroy_node()
    rclpy.shutdown(context=context)


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real bundle whose network is arithmetic that a test can predict (see `tiny_model`)."""
    import numpy as np

    from mvloc_ros.geometry.camera import PinholeCamera
    from mvloc_ros.geometry.trajectory import Trajectory, write_tum
    from mvloc_ros.inference.bundle_writer import write_bundle
    from mvloc_ros.inference.manifest import FrameSpec, InputSpec, Manifest, PositionSpec

    folder = tmp_path_factory.mktemp("tiny")
    tiny_model(folder / "model.onnx")
    poses = np.tile(np.eye(4), (3, 1, 1))
    poses[:, 0, 3] = [0.0, 1.0, 2.0]
    write_tum(folder / "poses.tum", Trajectory(np.array([1, 2, 3], dtype=np.int64), poses))
    camera = PinholeCamera(64, 48, 60.0, 60.0, 31.5, 23.5)
    manifest = Manifest(
        system="mvloc",
        preset="tiny",
        input=InputSpec(12, 16, 0.1, 10.0),
        latent_dim=4,
        position=PositionSpec((10.0, 20.0, 30.0), 2.0),
        frames=FrameSpec("map", "color"),
        color_camera=camera,
        depth_camera=camera,
        depth_registered=True,
        residual_variance=(0.01, 0.02, 0.03, 0.001, 0.002, 0.003),
        training={"seed": 0, "validation_frames": 24},
        licence="Apache-2.0",
        created_with="test",
    )
    files = {"model.onnx": folder / "model.onnx", "training_poses.tum": folder / "poses.tum"}
    return write_bundle(folder / "bundle", manifest, files).path


def tiny_model(path: Path, height: int = 12, width: int = 16) -> None:
    """Write the network: position = (mean colour / 255, mean depth in m, colour present), no rotation.

    Each of the first two is multiplied by its presence, so that a test sees what reached the graph.
    """
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    def constant(name: str, values: object, kind: type) -> onnx.TensorProto:
        return numpy_helper.from_array(np.array(values, dtype=kind), name)

    nodes = [
        helper.make_node("Cast", ["color"], ["color_float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["color_float", "color_axes"], ["color_mean"], keepdims=0),
        helper.make_node("Div", ["color_mean", "scale"], ["brightness"]),
        helper.make_node("ReduceMean", ["depth", "depth_axes"], ["distance"], keepdims=0),
        helper.make_node("Gather", ["present", "zero"], ["has_color"], axis=1),
        helper.make_node("Gather", ["present", "one"], ["has_depth"], axis=1),
        helper.make_node("Mul", ["brightness", "has_color"], ["x"]),
        helper.make_node("Mul", ["distance", "has_depth"], ["y"]),
        helper.make_node("Unsqueeze", ["x", "last"], ["x1"]),
        helper.make_node("Unsqueeze", ["y", "last"], ["y1"]),
        helper.make_node("Unsqueeze", ["has_color", "last"], ["z1"]),
        helper.make_node("Concat", ["x1", "y1", "z1", "no_rotation"], ["pose"], axis=1),
        helper.make_node("Identity", ["mean"], ["latent_mean"]),
        helper.make_node("Identity", ["mean"], ["latent_log_variance"]),
        helper.make_node("Identity", ["share"], ["expert_share"]),
    ]
    constants = [
        constant("color_axes", [1, 2, 3], np.int64),
        constant("depth_axes", [1, 2], np.int64),
        constant("scale", 255.0, np.float32),
        constant("zero", 0, np.int64),
        constant("one", 1, np.int64),
        constant("last", [1], np.int64),
        constant("no_rotation", [[0, 0, 0]], np.float32),
        constant("mean", [[0, 0, 0, 0]], np.float32),
        constant("share", [[0.25, 0.5, 0.25]], np.float32),
    ]
    inputs = [
        helper.make_tensor_value_info("color", TensorProto.UINT8, [1, height, width, 3]),
        helper.make_tensor_value_info("depth", TensorProto.FLOAT, [1, height, width]),
        helper.make_tensor_value_info("present", TensorProto.FLOAT, [1, 2]),
    ]
    shapes = {"pose": 6, "latent_mean": 4, "latent_log_variance": 4, "expert_share": 3}
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, size]) for name, size in shapes.items()]
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


@pytest.fixture
def interrupt() -> Callable[[subprocess.Popen[Any], Callable[[], object]], int]:
    """Send a signal again and again for a second, or until the process has ended; its exit status."""

    def send_and_wait(process: subprocess.Popen[Any], send: Callable[[], object]) -> int:
        for _ in range(40):
            with suppress(ProcessLookupError):
                send()
            with suppress(subprocess.TimeoutExpired):
                return process.wait(0.025)
        return process.wait(30)

    return send_and_wait
