# SPDX-License-Identifier: Apache-2.0
"""How the process starts: values that cannot be used end it with a sentence; robots with namespaces do not mix."""

from __future__ import annotations

import time

import numpy as np
import pytest
from child_process import parameter_words
from geometry_msgs.msg import PoseStamped
from mvloc_ros.msg import LocalizationStatus
from sensor_msgs.msg import Image
from std_srvs.srv import Trigger
from tf2_msgs.msg import TFMessage

pytestmark = pytest.mark.dds


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-p", "status_period:=0.05"], "status_period must be a number with a decimal point from 0.1 to 60"),
        (["-p", "starvation_timeout:=3"], "(default: 2.0), not 3."),
        (["-p", "gate_confirmations:=2.5"], "gate_confirmations must be a whole number from 1 to 1000"),
        (["-p", "nonsense"], "-p nonsense"),
    ],
)
def test_what_cannot_be_used_ends_the_start_with_a_sentence(start_node, arguments, words):
    process = start_node(*arguments)
    assert process.wait(60) == 2
    said = process.text().strip().splitlines()[-1]
    assert said.startswith("The node cannot start: ")
    assert words in said
    assert "Traceback" not in process.text()


class Namespaced:
    """One of several robots: its camera, its TF, and what its node says."""

    def __init__(self, peer, namespace: str) -> None:
        self.namespace, self.statuses, self.transforms, self.poses = namespace, [], [], []
        node = peer.node
        self.relocalize = node.create_client(Trigger, f"/{namespace}/mvloc/relocalize")
        node.create_subscription(PoseStamped, f"/{namespace}/mvloc/pose", self.poses.append, 50)
        node.create_subscription(TFMessage, f"/{namespace}/tf", lambda m: self.transforms.extend(m.transforms), 50)
        # Last, as the peer's: who sends a status and sees the images' publishers knows all of the above.
        node.create_subscription(LocalizationStatus, f"/{namespace}/mvloc/status", self.statuses.append, 50)
        self.color = node.create_publisher(Image, f"/{namespace}/color/image", 5)
        self.depth = node.create_publisher(Image, f"/{namespace}/depth/image", 5)

    def is_ready(self) -> bool:
        return bool(self.statuses) and self.statuses[-1].reason.count("1 publisher(s) on") == 2

    def send(self, make_image, depth_m: float) -> None:
        stamp = time.time_ns()
        for publisher, pixels, encoding in (
            (self.color, np.full((48, 64, 3), 51, np.uint8), "rgb8"),
            (self.depth, np.full((48, 64), round(1000 * depth_m), np.uint16), "16UC1"),
        ):
            publisher.publish(make_image(pixels, stamp, f"{self.namespace}_camera", encoding=encoding))


def test_two_robots_in_one_process_group(peer, make_image, start_node, tiny_bundle, wait_for):
    robots = [Namespaced(peer, "red"), Namespaced(peer, "blue")]
    options = (f"model:={tiny_bundle}", "publish_frame:=camera", "status_period:=0.1", "starvation_timeout:=0.2")
    for robot in robots:
        remaps = ("-r", f"__ns:=/{robot.namespace}", "-r", "/tf:=tf", "-r", "/tf_static:=tf_static")
        start_node(*remaps, *parameter_words(*options))
    wait_for(lambda: all(robot.is_ready() for robot in robots), 40, "both nodes")
    robots[0].send(make_image, 1.0)
    robots[1].send(make_image, 2.0)
    wait_for(lambda: all(robot.poses and robot.transforms for robot in robots), 10, "both robots' poses")
    assert [robot.poses[0].pose.position.y for robot in robots] == pytest.approx([22.0, 24.0], abs=1e-4)
    assert [{t.child_frame_id for t in robot.transforms} for robot in robots] == [{"red_camera"}, {"blue_camera"}]
    assert not peer.transforms  # nothing on the global /tf

    def diagnosed() -> set[str]:
        return {entry.name.split(":")[0] for message in list(peer.diagnostics) for entry in message.status}

    wait_for(lambda: len(diagnosed()) >= 2, 10, "both robots' diagnostics")
    assert diagnosed() == {"red/mvloc", "blue/mvloc"}
    for robot in robots:
        assert robot.relocalize.wait_for_service(10)
