# SPDX-License-Identifier: Apache-2.0
"""What every test may use: the shared recordings, a ROS domain of the process's own, and polling with a deadline."""

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
from hypothesis import settings

if TYPE_CHECKING:
    import rclpy

# A test run in the background of a script has SIGINT ignored, and so would every process that it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)

# The first example of a test may take long on a busy machine, and is not wrong for that.
settings.register_profile("without deadline", deadline=None)
settings.load_profile("without deadline")

ROOT = Path(__file__).resolve().parent.parent


def _own_domain() -> tuple[str, TextIO | None]:
    """A ROS domain that no other process with tests on this machine has, and the lock on it; where all are taken, any.

    Another's node would answer under the same names. Domains above 101 collide with the ephemeral ports of Linux.
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


# A domain and a network scope of this process's own: tests neither disturb a running robot nor are disturbed. What the
# environment names is a robot's, or that of the process which shares the tests out (`pytest -n 2`).
os.environ["ROS_DOMAIN_ID"], _LOCK = _own_domain()
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"

# Decoded frames of tests go nowhere near the user's.
os.environ["MVLOC_CACHE"] = tempfile.mkdtemp(prefix="mvloc-test-cache-")
atexit.register(shutil.rmtree, os.environ["MVLOC_CACHE"], ignore_errors=True)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    """With `-n` and no `--dist`: by groups (see `helpers/side_by_side.py`)."""
    if config.getoption("dist") != "load":
        return None
    from side_by_side import Groups

    config.option.loadscopereorder = False  # the order in which the workers collect (below), not that of their sizes
    return Groups(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In a process of `-n`, the tests of the first group first."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        from side_by_side import sort_by_group

        sort_by_group(items, config.rootpath)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """The faults that were injected; each test has asserted that its images are all counted.

    Tests note them as properties (`note_line` in test/node), which come along with the results of other processes.
    """
    reports = [report for kind in terminalreporter.stats.values() for report in kind]
    ends = [report for report in reports if getattr(report, "when", None) == "teardown"]
    if lines := [text for report in ends for name, text in report.user_properties if name == "note"]:
        terminalreporter.section("faults injected")
        for line in lines:
            terminalreporter.write_line(line)


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
    pytest.fail(f"waited {seconds} s for {what}")


@pytest.fixture(name="wait_for", scope="session")
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
    """A real bundle whose network is arithmetic that a test can predict (see `tiny_network`)."""
    import numpy as np
    import onnx
    from tiny_network import tiny_network

    from mvloc_ros.geometry.camera import PinholeCamera
    from mvloc_ros.geometry.trajectory import Trajectory, write_tum
    from mvloc_ros.model.bundle_writer import write_bundle
    from mvloc_ros.model.manifest import FrameSpec, InputSpec, Manifest, PositionSpec

    folder = tmp_path_factory.mktemp("tiny")
    onnx.save(tiny_network(), str(folder / "model.onnx"))
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
