# SPDX-License-Identifier: Apache-2.0
"""Input that asks for a line in the log with every message: how much the node writes, and which characters."""

from __future__ import annotations

import re
import time

import numpy as np
import pytest
from geometry_msgs.msg import PoseWithCovarianceStamped
from sensor_msgs.msg import CameraInfo
from tf2_msgs.msg import TFMessage

from mvloc_ros.limits import MOST_LOG_CHARACTERS
from mvloc_ros.node.messages import transform_message

pytestmark = pytest.mark.dds
ESCAPE = "\x1b[31m\n[ERROR] forged \u202e"
MESSAGES = 400


class Hostile:
    """Sends one message of every kind that the node has words for, and another one each time."""

    def __init__(self, peer) -> None:
        self.peer, self.n = peer, 0
        self.info = peer.node.create_publisher(CameraInfo, "color/camera_info", 10)
        self.initial = peer.node.create_publisher(PoseWithCovarianceStamped, "initialpose", 10)
        self.tf = peer.node.create_publisher(TFMessage, "/tf", 10)

    def send(self) -> None:
        self.n += 1
        stamp = time.time_ns() - (self.n % 3) * 2_000_000_000  # jumps back and ahead
        color = (
            {"encoding": "rgb8"}, {"encoding": "bgra8", "step": 256}, {"encoding": f"{ESCAPE}{self.n}"},
            {"encoding": "x" * 300_000}, {"width": 0}, {"step": 1},
        )[self.n % 6]  # fmt: skip
        pixels = np.full((48, 64, 4 if "step" in color else 3), 51, np.uint8)
        self.peer.send_color(stamp, pixels, **color)
        self.peer.send_depth(stamp, encoding=("16UC1", "rgb8")[self.n % 2])
        info = CameraInfo(width=self.n, height=48, distortion_model=ESCAPE * 1000, k=np.full(9, float(self.n)))
        info.header.frame_id = ESCAPE * (self.n % 2)
        self.info.publish(info)
        initial = PoseWithCovarianceStamped()
        initial.header.frame_id = f"{ESCAPE}{self.n}" if self.n % 2 else "map"
        initial.pose.pose.orientation.w = float(self.n % 3)
        self.initial.publish(initial)
        edges = [
            transform_message(np.eye(4), stamp, f"frame{self.n}", "odom"),
            transform_message(np.eye(4), stamp - 20_000_000_000, "odom", "base_link"),
            transform_message(np.eye(4), stamp, "odom", "base_link"),
            transform_message(np.eye(4), stamp, "odom", ESCAPE),
            transform_message(np.eye(4), stamp, "same", "same"),
            transform_message(np.eye(4), stamp, "base_link", "arm"),
        ]
        edges[-1].transform.translation.x = np.inf
        self.tf.publish(TFMessage(transforms=edges))


def test_a_flood_of_hostile_input_fills_no_log_and_forges_no_line(peer, robot_node, wait_for, note_line):
    process = robot_node("publish_frame:=camera", "camera_frame:=camera")
    hostile = Hostile(peer)
    wait_for(lambda: hostile.initial.get_subscription_count() and hostile.tf.get_subscription_count(), 20, "the node")
    before = len(process.text())
    started = time.monotonic()

    def received() -> bool:
        hostile.send()
        return bool(peer.statuses) and peer.statuses[-1].color_received >= MESSAGES

    wait_for(received, 60, f"{MESSAGES} messages to arrive")
    seconds = time.monotonic() - started
    written = process.text()[before:]
    lines = written.splitlines()
    note_line(f"hostile input: {hostile.n} rounds in {seconds:.1f} s gave {len(lines)} lines of {len(written)} bytes")
    assert "forged" in written  # escaped
    for line in lines:
        assert re.match(r"\[(INFO|WARN)\] \[[\d.]+\] \[mvloc\]: ", line), line
        assert line.isprintable()
        assert len(line) < MOST_LOG_CHARACTERS + 120
    # Each kind is said at 0, 5, 15, 35 ... s: of the ten minutes, the first seconds have most.
    assert len(lines) < 100
    assert len(written) < 40_000
    texts = [
        text
        for array in peer.diagnostics
        for entry in array.status
        for text in (entry.message, entry.hardware_id, *(value.value for value in entry.values))
    ] + [text for status in peer.statuses for text in (status.reason, status.last_rejection, status.header.frame_id)]
    assert all(text.isprintable() and len(text) <= MOST_LOG_CHARACTERS for text in texts)
    assert process.end() == 0
    assert "Traceback" not in process.text()
