# SPDX-License-Identifier: Apache-2.0
"""Faults at a camera's rate, over real DDS: what is injected, how many frames it costs, and that the books balance.

The images travel reliably and no queue is too short, so that each one that is sent must appear in the node's counters.
What is lost on the way is in test_inputs.py (20 % loss, skew, jitter), bursts in test_node.py, exchanged models in
test_services.py, signals in test_signals.py, cameras of other QoS in test_qos.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from lifecycle_msgs.msg import Transition
from mvloc_ros.msg import LocalizationStatus
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

from mvloc_ros.frontend.message_checks import to_nanoseconds

pytestmark = pytest.mark.dds
SECOND = 1_000_000_000
PERIOD = 33_333_333
DEMO_MODEL = Path(__file__).resolve().parents[2] / "models" / "demo"
COLOR = np.full((48, 64, 3), 51, np.uint8)
WAIT_S = 0.5


class Film:
    """A camera with a schedule; what it sends is counted, and nothing of it is lost on its side."""

    def __init__(self, peer, make_image) -> None:
        qos = QoSProfile(depth=1000, reliability=ReliabilityPolicy.RELIABLE)
        self.peer, self.make_image = peer, make_image
        self.color = peer.node.create_publisher(Image, "color/image", qos)
        self.depth = peer.node.create_publisher(Image, "depth/image", qos)
        self.sent = {"color": 0, "depth": 0}

    def send_color(self, stamp_ns: int, pixels: np.ndarray = COLOR, **fields) -> None:
        fields = {"encoding": "rgb8", **fields}
        self.color.publish(self.make_image(pixels, stamp_ns, "camera_color_optical_frame", **fields))
        self.sent["color"] += 1

    def send_depth(self, stamp_ns: int, metres: float = 1.5, **fields) -> None:
        pixels = np.full((48, 64), round(1000 * metres), np.uint16)
        fields = {"encoding": "16UC1", **fields}
        self.depth.publish(self.make_image(pixels, stamp_ns, "camera_depth_optical_frame", **fields))
        self.sent["depth"] += 1

    def play(self, stamps: list[int], period_s: float, send: Callable[[int], None]) -> None:
        """Send at a steady rate."""
        start = time.monotonic()
        for n, stamp in enumerate(stamps):
            send(stamp)
            time.sleep(max(0.0, start + (n + 1) * period_s - time.monotonic()))

    def send_both(self, stamp_ns: int) -> None:
        self.send_color(stamp_ns)
        self.send_depth(stamp_ns)


@pytest.fixture(scope="module")
def node_of_the_file(node_process, tiny_bundle, tmp_path_factory) -> Iterator[object]:
    """One process for the tests that need no parameters of their own; each activates it, and counts from zero."""
    options = (
        f"model:={tiny_bundle}", "autostart:=false", "publish_frame:=camera", "gate_max_speed:=0.1",
        "image_reliability:=reliable", "image_queue_size:=100", f"single_modality_wait:={WAIT_S}",
        "starvation_timeout:=0.6", "status_period:=0.1",
    )  # fmt: skip
    log = tmp_path_factory.mktemp("faults") / "node.log"
    process = node_process(log, *(word for option in options for word in ("-p", option)))
    yield process
    assert process.end() == 0
    assert "Traceback" not in process.text()


@pytest.fixture
def film(node_of_the_file, peer, make_image, wait_for) -> Iterator[Film]:
    film = Film(peer, make_image)
    if peer.state() == "unconfigured":
        assert peer.transition(Transition.TRANSITION_CONFIGURE)
    peer.statuses.clear()
    assert peer.transition(Transition.TRANSITION_ACTIVATE)
    # The peer's own publishers are on these topics too.
    seen = f"{2} publisher(s) on"
    wait_for(lambda: peer.statuses and peer.statuses[-1].reason.count(seen) == 2, 30, "the node to see the camera")
    wait_for(lambda: film.color.get_subscription_count() and film.depth.get_subscription_count(), 30, "a subscription")
    peer.statuses.clear()
    yield film
    assert peer.transition(Transition.TRANSITION_DEACTIVATE)
    for publisher in (film.color, film.depth):
        peer.node.destroy_publisher(publisher)


@pytest.fixture
def books(peer, wait_for, note_fault) -> Callable[..., LocalizationStatus]:
    """Waits until nothing is on its way any more, and balances what was sent against the last status."""

    def balance(film: Film, injected: str) -> LocalizationStatus:
        def settled() -> LocalizationStatus | None:
            s = peer.statuses[-1]
            arrived = (s.color_received, s.depth_received) == (film.sent["color"], film.sent["depth"])
            return s if arrived and s.state == LocalizationStatus.STARVED else None

        s = wait_for(settled, 20, f"all of {film.sent} images; the last status: {peer.statuses[-1]}")
        frames = s.pairs + s.single_modality
        assert frames == s.published + s.rejected + s.dropped_busy + s.dropped_failed
        images = 2 * s.pairs + s.single_modality + s.dropped_unpaired + s.dropped_invalid
        waiting = s.color_received + s.depth_received - images
        assert 0 <= waiting <= 2
        assert len(peer.poses) == s.published
        note_fault(injected, s, waiting)
        return s

    return balance


def test_a_recording_loops_and_stamps_jump_both_ways(film, peer, books):
    """Back to the start as `ros2 bag play --loop` does, ahead by 1000 s, and back by 500 s."""
    start, frames = time.time_ns() - 4000 * SECOND, 40
    for offset_s in (0, 0, 1000, 500):
        stamps = [start + offset_s * SECOND + n * PERIOD for n in range(frames)]
        film.play(stamps, 0.03, film.send_both)
    status = books(film, "recording loops, leaps ahead 1000 s, jumps back 500 s; 40 pairs before each")
    assert status.clock_jumps == 3
    assert status.pairs >= 4 * frames - 3
    # Forgotten with each jump back: what waited, and the frame in work.
    assert status.dropped_unpaired + status.dropped_failed <= 6
    assert status.rejected == 0
    stamps = [to_nanoseconds(pose.header.stamp) for pose in peer.poses]
    for offset_s in (0, 1000, 500):
        first = start + offset_s * SECOND
        assert sum(first <= stamp < first + frames * PERIOD for stamp in stamps) >= 5


def test_depth_dies_at_full_rate_and_returns(film, peer, books, wait_for):
    """Colour and depth at 30 Hz; depth stops twice. Where colour alone tells another place, that is rejected."""
    start, n = time.time_ns(), 0

    def film_for(frames: int, depth_m: float | None) -> None:
        nonlocal n

        def send(stamp: int) -> None:
            film.send_color(stamp)
            if depth_m is not None:
                film.send_depth(stamp, depth_m)

        stamps = [start + k * PERIOD for k in range(n, n + frames)]
        film.play(stamps, 1e-9 * PERIOD, send)
        n += frames
        wait_for(lambda: to_nanoseconds(peer.statuses[-1].header.stamp) >= stamps[-1], 10, "the last image's frame")

    # Near enough to what colour alone tells (1.2 m): DEGRADED poses after the wait.
    film_for(20, 0.6)
    arrivals = Arrivals(peer)
    film_for(30, None)
    singles = [s for s in peer.statuses if s.single_modality]
    assert singles[0].state == LocalizationStatus.DEGRADED
    assert singles[0].pose_valid
    assert "no depth image" in singles[0].reason
    assert "/depth/image" in singles[0].reason
    alone_since = arrivals.first_without_depth() - arrivals.last_with_depth()
    film_for(8, 0.6)
    assert peer.statuses[-1].state == LocalizationStatus.TRACKING

    # Too far from it (3 m): every pose is refused, however well they agree.
    while peer.poses[-1].pose.position.y < 22.9:  # until five pairs have agreed that the camera was carried there
        film_for(8, 1.5)
    poses, rejected = len(peer.poses), peer.statuses[-1].rejected
    film_for(36, None)
    assert peer.statuses[-1].rejected > rejected + 5
    assert len(peer.poses) == poses
    assert "poses of one image alone do not confirm a jump" in peer.statuses[-1].last_rejection
    assert peer.statuses[-1].state in (LocalizationStatus.DEGRADED, LocalizationStatus.LOST)
    film_for(4, 1.5)
    assert peer.statuses[-1].state == LocalizationStatus.TRACKING
    status = books(film, "depth stops for 30 frames, and for 36")
    assert status.single_modality >= 10
    assert WAIT_S - 0.1 < alone_since < WAIT_S + 5.0  # the bar of 0.2 s is the benchmark's: bench/modality_loss.py


class Arrivals:
    """When poses with and without depth came, from a topic's own point of view: the images' stamps."""

    def __init__(self, peer) -> None:
        self.peer = peer

    def _stamps(self, depth_used: bool) -> list[float]:
        statuses = [s for s in self.peer.statuses if s.pose_valid and s.depth_used == depth_used]
        return [1e-9 * to_nanoseconds(s.header.stamp) + 1e-3 * s.callback_to_publication_ms for s in statuses]

    def last_with_depth(self) -> float:
        return self._stamps(True)[-1]

    def first_without_depth(self) -> float:
        return self._stamps(False)[0]


def test_encodings_change_from_image_to_image_and_some_are_unknown(film, books):
    """Eight pairs of encodings in turn; every tenth colour image is in a code that no camera driver sends raw."""
    grey, bgra = COLOR[..., 0], np.dstack([COLOR, COLOR[..., 0]])
    kinds = [
        (COLOR, {"encoding": "rgb8"}), (COLOR, {"encoding": "bgr8"}), (bgra, {"encoding": "rgba8"}),
        (bgra, {"encoding": "bgra8"}), (grey, {"encoding": "mono8"}), (COLOR.astype(np.uint16), {"encoding": "rgb16"}),
        (COLOR.astype(np.uint16), {"encoding": "bgr16"}), (bgra[..., :2], {"encoding": "yuv422_yuy2"}),
    ]  # fmt: skip
    start, number = time.time_ns(), 0

    def send(stamp: int) -> None:
        nonlocal number
        number += 1
        pixels, fields = kinds[number % len(kinds)]
        film.send_color(stamp, pixels, **(fields if number % 10 else {"encoding": "h264"}))
        film.send_depth(stamp)

    film.play([start + n * PERIOD // 2 for n in range(90)], 0.5e-9 * PERIOD, send)
    status = books(film, "8 encodings in turn, every 10th of 90 colour images unreadable")
    assert status.dropped_invalid == 9
    assert status.pairs == 81
    # Their partners: given up when the next pair overtook them, or processed alone.
    assert status.dropped_unpaired + status.single_modality == 9
    assert status.dropped_failed == 0


def test_a_camera_twice_as_fast_as_the_node(peer, make_image, start_node, wait_for, note_fault):
    """The demo's network, fed at twice the rate that it has: the newest frame is next, and none waits in a queue."""
    options = (
        f"model:={DEMO_MODEL}", "threads:=1", "publish_frame:=camera", "gate:=false", "image_reliability:=reliable",
        "image_queue_size:=100", "starvation_timeout:=0.6", "status_period:=0.1", "refine:=off",
    )  # fmt: skip
    start_node(*(word for option in options for word in ("-p", option)))
    film = Film(peer, make_image)
    seen = "2 publisher(s) on"
    wait_for(lambda: peer.statuses and peer.statuses[-1].reason.count(seen) == 2, 40, "the node to see the camera")
    wait_for(lambda: film.color.get_subscription_count() and film.depth.get_subscription_count(), 30, "a subscription")
    times = []
    for _ in range(8):
        count = len(peer.statuses)
        film.send_both(time.time_ns())
        answer = wait_for(lambda n=count: next((s for s in peer.statuses[n:] if s.pose_valid), None), 10, "a pose")
        times.append(1e-3 * (answer.callback_to_publication_ms - answer.wait_ms))
    alone = float(np.median(times))
    peer.statuses.clear()
    peer.poses.clear()
    frames, start = 150, time.time_ns()
    film.play([start + round(n * SECOND * alone / 2) for n in range(frames)], alone / 2, film.send_both)

    def settled() -> LocalizationStatus | None:
        s = peer.statuses[-1]
        return (
            s if s.color_received == s.depth_received == frames + 8 and s.state == LocalizationStatus.STARVED else None
        )

    status = wait_for(settled, 20, "the end of it")
    assert status.pairs == frames + 8 == status.published + status.dropped_busy
    assert status.dropped_busy > frames // 5
    assert len(peer.poses) == status.published - 8
    note_fault("camera twice as fast as the node", status, 0)
    # Newest wins: a frame waits for the one in work and for nothing else, from the first to the last.
    waits = np.array([s.wait_ms for s in peer.statuses if s.pose_valid])
    works = np.array([s.callback_to_publication_ms - s.wait_ms for s in peer.statuses if s.pose_valid])
    assert np.median(waits[-20:]) <= 2 * np.median(works)
    stamps = [to_nanoseconds(pose.header.stamp) for pose in peer.poses]
    assert np.all(np.diff(stamps) > 0)
    assert stamps[-1] == start + round((frames - 1) * SECOND * alone / 2)  # the last image is not left lying
