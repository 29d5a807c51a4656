# SPDX-License-Identifier: Apache-2.0
"""A camera and a listener in this process, the node in its own, real DDS between them."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rclpy
from child_process import NodeProcess, parameter_words
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped, PoseWithCovarianceStamped
from image_message import image_message
from lifecycle_msgs.srv import ChangeState, GetState
from mvloc_ros.msg import LocalizationStatus
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue, SetParametersResult
from rcl_interfaces.srv import GetParameters, SetParameters
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import Image
from std_srvs.srv import SetBool, Trigger
from tf2_msgs.msg import TFMessage
from tf2_ros import StaticTransformBroadcaster, TransformBroadcaster

from mvloc_ros.node.messages import transform_message

HEIGHT, WIDTH = 48, 64


class Peer:
    """Publishes what a camera driver publishes, and keeps what the node sends."""

    def __init__(self, context: rclpy.Context) -> None:
        self.node = rclpy.create_node("test_peer", context=context)
        self.services = {
            "change_state": self.node.create_client(ChangeState, "mvloc/change_state"),
            "get_state": self.node.create_client(GetState, "mvloc/get_state"),
            "set_parameters": self.node.create_client(SetParameters, "mvloc/set_parameters"),
            "get_parameters": self.node.create_client(GetParameters, "mvloc/get_parameters"),
            "relocalize": self.node.create_client(Trigger, "mvloc/relocalize"),
            "set_enabled": self.node.create_client(SetBool, "mvloc/set_enabled"),
            "publish_initialpose": self.node.create_client(Trigger, "mvloc/publish_initialpose"),
            "load_model": self.node.create_client(Trigger, "mvloc/load_model"),
        }
        self.poses: list[PoseStamped] = []
        self.covariances: list[PoseWithCovarianceStamped] = []
        self.transforms: list[Any] = []
        self.diagnostics: list[DiagnosticArray] = []
        self.statuses: list[LocalizationStatus] = []
        self.node.create_subscription(PoseStamped, "mvloc/pose", self.poses.append, 50)
        self.node.create_subscription(
            PoseWithCovarianceStamped, "mvloc/pose_with_covariance", self.covariances.append, 50
        )
        self.node.create_subscription(TFMessage, "/tf", lambda m: self.transforms.extend(m.transforms), 50)
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self.diagnostics.append, 50)
        # A participant announces its readers in the order they were made, and its writers likewise: a node whose status
        # comes knows every reader of the above, and one that sees the images' publishers knows every writer.
        self.node.create_subscription(LocalizationStatus, "mvloc/status", self.statuses.append, 50)
        self.color = self.node.create_publisher(Image, "color/image", 10)
        self.depth = self.node.create_publisher(Image, "depth/image", 10)
        self.executor = SingleThreadedExecutor(context=context)
        self.executor.add_node(self.node)
        self.thread = threading.Thread(target=self.executor.spin)
        self.thread.start()

    def close(self) -> None:
        self.executor.shutdown()
        self.thread.join()
        self.node.destroy_node()

    def send_color(self, stamp_ns: int, pixels: np.ndarray | None = None, **changes: Any) -> None:
        pixels = np.full((HEIGHT, WIDTH, 3), 51, np.uint8) if pixels is None else pixels
        self.color.publish(
            image_message(pixels, stamp_ns, "camera_color_optical_frame", **{"encoding": "rgb8", **changes})
        )

    def send_depth(self, stamp_ns: int, pixels: np.ndarray | None = None, **changes: Any) -> None:
        pixels = np.full((HEIGHT, WIDTH), 1500, np.uint16) if pixels is None else pixels
        self.depth.publish(
            image_message(pixels, stamp_ns, "camera_depth_optical_frame", **{"encoding": "16UC1", **changes})
        )

    def call(self, name: str, request: Any, seconds: float = 20.0) -> Any:
        client = self.services[name]
        assert client.wait_for_service(seconds), f"no service {name}"
        done = threading.Event()
        future = client.call_async(request)
        future.add_done_callback(lambda _: done.set())
        assert done.wait(seconds), f"no answer from {name}"
        return future.result()

    def ask(self, name: str, request: Any) -> Any:
        """What may be asked again: discovery is one-sided for a while, and the first answer may find no way back."""
        for _ in range(15):
            with suppress(AssertionError):
                return self.call(name, request, 2.0)
        raise AssertionError(f"no answer from {name}")

    def transition(self, identity: int) -> bool:
        request = ChangeState.Request()
        request.transition.id = identity
        return bool(self.call("change_state", request).success)

    def state(self) -> str:
        return str(self.ask("get_state", GetState.Request()).current_state.label)

    def set_string(self, name: str, value: str) -> Any:
        parameter = Parameter(name=name, value=ParameterValue(type=ParameterType.PARAMETER_STRING, string_value=value))
        for _ in range(15):
            with suppress(AssertionError):
                return self.call("set_parameters", SetParameters.Request(parameters=[parameter]), 2.0).results[0]
            # The answer may be lost and the change made; asked again, a node that loads a model would refuse it.
            if self.get_string(name) == value:
                return SetParametersResult(successful=True)
        raise AssertionError("no answer from set_parameters")

    def get_string(self, name: str) -> str:
        return str(self.ask("get_parameters", GetParameters.Request(names=[name])).values[0].string_value)

    def node_sees_it(self) -> bool:
        """Discovery is one-sided for a while: the node's own watchdog tells when it sees both publishers."""
        return bool(self.statuses) and self.statuses[-1].reason.count("1 publisher(s) on") == 2

    def is_connected(self) -> bool:
        return self.color.get_subscription_count() > 0 and self.depth.get_subscription_count() > 0


@pytest.fixture
def note_line(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Say a line in the summary of the run."""
    return partial(record_property, "note")


@pytest.fixture
def note_fault(note_line: Callable[[str], None]) -> Callable[[str, LocalizationStatus, int], None]:
    """Say in the summary of the run what was injected, and what became of the images, by the node's own counters."""

    def note(injected: str, status: LocalizationStatus, waiting: int) -> None:
        received = status.color_received + status.depth_received
        columns = (
            f"{status.published} poses", f"{status.rejected} rejected", f"{status.dropped_busy} frames replaced",
            f"{status.dropped_failed} frames failed", f"{status.dropped_unpaired} images unpaired",
            f"{status.dropped_invalid} invalid", f"{waiting} waiting", f"{status.lost_in_transport} missing by stamps",
        )  # fmt: skip
        told = ", ".join(column for column in columns if not column.startswith("0 "))
        note_line(f"{injected}: {received} images, {status.pairs} pairs, {status.single_modality} alone -> {told}")

    return note


@pytest.fixture
def make_image() -> Callable[..., Image]:
    """Makes a sensor_msgs/Image: (pixels, stamp_ns, frame_id, **fields)."""
    return image_message


class Robot:
    """The rest of a robot, on TF: where the camera sits on it, and its odometry."""

    def __init__(self, peer: Peer, odom: str = "odom", base: str = "base_link") -> None:
        self.odom, self.base, self.camera = odom, base, "camera_color_optical_frame"
        self._moving, self._fixed = TransformBroadcaster(peer.node), StaticTransformBroadcaster(peer.node)

    def mount_camera(self, T_base_camera: np.ndarray) -> None:
        self._fixed.sendTransform(transform_message(T_base_camera, 0, self.base, self.camera))

    def drive(self, stamp_ns: int, T_odom_base: np.ndarray) -> None:
        self._moving.sendTransform(transform_message(T_odom_base, stamp_ns, self.odom, self.base))


@pytest.fixture
def robot(peer: Peer) -> Robot:
    return Robot(peer)


@pytest.fixture
def peer(ros_context: rclpy.Context) -> Iterator[Peer]:
    peer = Peer(ros_context)
    yield peer
    peer.close()


@pytest.fixture
def start_node(tmp_path: Path) -> Iterator[Callable[..., NodeProcess]]:
    """Start nodes; whatever is left of them ends with the test.

    In order, because a process that is killed leaves its 32 MB segment of shared memory behind.
    """
    started: list[NodeProcess] = []

    def start(*arguments: str, **how: Any) -> NodeProcess:
        started.append(NodeProcess(tmp_path / f"node{len(started)}.log", *arguments, **how))
        return started[-1]

    yield start
    for process in started:
        process.end(signal.SIGTERM)


@pytest.fixture
def robot_node(start_node, tiny_bundle: Path, peer: Peer, wait_for) -> Callable[..., NodeProcess]:
    """Start a node with the parameters `name:=value` that are given, the gate on, and wait until it hears the peer."""

    def start(*parameters: str) -> NodeProcess:
        options = (f"model:={tiny_bundle}", "status_period:=0.1", "starvation_timeout:=0.3", *parameters)
        process = start_node(*parameter_words(*options))
        wait_for(lambda: peer.is_connected() and peer.node_sees_it(), 30, "the node and the peer to find each other")
        peer.statuses.clear()
        return process

    return start


@pytest.fixture
def active_node(start_node, tiny_bundle: Path, peer: Peer, wait_for) -> NodeProcess:
    """A node that runs the tiny model, and to which both of the peer's topics are connected."""
    options = (
        "publish_frame:=camera",
        "gate:=false",
        "starvation_timeout:=0.5",
        "status_period:=0.2",
        "single_modality_wait:=0.0",
    )
    process = start_node(*parameter_words(f"model:={tiny_bundle}", *options))
    wait_for(lambda: peer.is_connected() and peer.node_sees_it(), 30, "the node and the peer to find each other")
    peer.statuses.clear()
    return process
