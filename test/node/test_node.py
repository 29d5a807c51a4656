# SPDX-License-Identifier: Apache-2.0
"""The node as a robot sees it: images in, poses, transforms, status and diagnostics out."""

from __future__ import annotations

import signal
import time

import numpy as np
import pytest
from mvloc_ros.msg import LocalizationStatus

pytestmark = pytest.mark.dds
PERIOD = 33_000_000


def send_pairs(peer, count: int, start_ns: int | None = None) -> list[int]:
    """Pairs of equal stamps, each sent once the node has answered the one before."""
    start_ns = start_ns or time.time_ns()
    stamps = [start_ns + n * PERIOD for n in range(count)]
    for number, stamp in enumerate(stamps):
        before = len(peer.poses)
        peer.send_color(stamp)
        peer.send_depth(stamp)
        deadline = time.monotonic() + 10
        while len(peer.poses) <= before and time.monotonic() < deadline:
            time.sleep(0.002)
        assert len(peer.poses) > before, f"no pose for pair {number}"
    return stamps


def values_of(diagnostics) -> dict[str, str]:
    return {value.key: value.value for value in diagnostics.status[0].values}


def test_a_pair_gives_one_pose_in_all_its_forms(peer, active_node, wait_for):
    stamps = send_pairs(peer, 5)
    wait_for(lambda: peer.statuses and peer.statuses[-1].published == 5, 10, "the status of the fifth pose")
    got = [pose.header.stamp.sec * 10**9 + pose.header.stamp.nanosec for pose in peer.poses]
    assert got == stamps
    pose = peer.poses[0]
    assert pose.header.frame_id == "map"
    # The tiny network: 10 + 2 * 51/255, 20 + 2 * 1.5 m, 30 + 2 * 1.
    position = pose.pose.position
    assert (position.x, position.y, position.z) == pytest.approx((10.4, 23.0, 32.0), abs=1e-5)
    assert pose.pose.orientation.w == pytest.approx(1.0)
    wait_for(lambda: len(peer.covariances) == 5 and len(peer.transforms) == 5, 10, "the other forms")
    assert np.diag(peer.covariances[0].pose.covariance.reshape(6, 6)) == pytest.approx(
        [0.01, 0.02, 0.03, 0.001, 0.002, 0.003]
    )
    transform = peer.transforms[0]
    assert (transform.header.frame_id, transform.child_frame_id) == ("map", "camera_color_optical_frame")
    assert transform.transform.translation.y == pytest.approx(23.0, abs=1e-5)
    assert transform.header.stamp == peer.covariances[0].header.stamp == pose.header.stamp


def test_the_status_tells_modalities_shares_latency_and_counts(peer, active_node, wait_for):
    send_pairs(peer, 3)
    status = wait_for(
        lambda: next((s for s in peer.statuses if s.pose_valid and s.published == 3), None), 10, "the status"
    )
    assert status.state == LocalizationStatus.TRACKING
    assert (status.color_used, status.depth_used, status.pose_valid) == (True, True, True)
    assert (status.prior_share, status.color_share, status.depth_share) == pytest.approx((0.25, 0.5, 0.25))
    assert (status.color_received, status.depth_received, status.pairs) == (3, 3, 3)
    assert status.dropped_unpaired + status.dropped_busy + status.dropped_invalid + status.dropped_failed == 0
    steps = status.decode_ms, status.wait_ms, status.preprocess_ms, status.inference_ms, status.localization_ms
    assert all(step > 0 for step in steps)
    assert status.callback_to_publication_ms >= sum(steps[1:])
    assert status.stamp_to_publication_ms != 0
    assert "onnxruntime" in status.backend
    assert status.model == "bundle"
    diagnostics = wait_for(
        lambda: next((d for d in peer.diagnostics if values_of(d).get("published") == "3"), None), 5, "diagnostics"
    )
    assert diagnostics.status[0].level == b"\x00"
    assert "TRACKING" in diagnostics.status[0].message


def test_depth_without_content_degrades_and_says_so(peer, active_node, wait_for):
    stamp = time.time_ns()
    peer.send_color(stamp)
    peer.send_depth(stamp, np.zeros((48, 64), np.uint16))
    status = wait_for(lambda: next((s for s in peer.statuses if s.pose_valid), None), 10, "the status")
    assert status.state == LocalizationStatus.DEGRADED
    assert (status.color_used, status.depth_used) == (True, False)
    assert "depth" in status.reason
    send_pairs(peer, 1, stamp + PERIOD)
    wait_for(lambda: peer.statuses[-1].state == LocalizationStatus.TRACKING, 10, "recovery")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"encoding": "h264"}, "h264"),
        ({"encoding": "16UC1"}, "swapped"),
        ({"step": 1}, "step is 1"),
        ({"width": 0, "height": 0, "data": []}, "empty"),
        ({"stamp": 0}, "stamp 0"),
    ],
)
def test_an_image_that_cannot_be_used_is_counted_and_explained(peer, active_node, wait_for, changes, words):
    stamp = changes.pop("stamp", time.time_ns())
    peer.send_color(stamp, **changes)
    status = wait_for(
        lambda: next((s for s in peer.statuses if words in s.reason), None), 10, f"a status that says {words!r}"
    )
    assert status.dropped_invalid == 1
    assert status.color_received == 1
    assert words in active_node.text()
    send_pairs(peer, 2)  # the node goes on
    wait_for(lambda: peer.statuses[-1].state == LocalizationStatus.TRACKING, 10, "recovery")


def test_a_frame_of_another_shape_is_lost_with_its_reason(peer, active_node, wait_for):
    stamp = time.time_ns()
    peer.send_color(stamp, np.zeros((36, 64, 3), np.uint8))
    peer.send_depth(stamp)
    status = wait_for(lambda: next((s for s in peer.statuses if s.dropped_failed), None), 10, "the failure")
    assert status.state == LocalizationStatus.LOST
    assert "64x36" in status.reason
    assert not status.pose_valid
    assert not peer.poses
    send_pairs(peer, 1)


def test_silence_names_the_topic(peer, active_node, wait_for):
    stamp = time.time_ns()
    for n in range(3):
        peer.send_color(stamp + n * PERIOD)
    status = wait_for(
        lambda: next((s for s in peer.statuses if s.state == LocalizationStatus.STARVED and "depth" in s.reason), None),
        10,
        "a status that names depth",
    )
    assert "/depth/image" in status.reason
    assert "colour" not in status.reason
    assert status.color_received == 3


def test_stamps_too_far_apart_tell_the_tolerance_to_set(peer, active_node, wait_for):
    stamp = time.time_ns()
    for n in range(4):
        peer.send_color(stamp + n * 200_000_000)
        peer.send_depth(stamp + n * 200_000_000 + 41_000_000)
    wait_for(lambda: any("41.0 ms" in s.reason for s in peer.statuses), 10, "a status with the gap")
    assert not peer.poses


def test_a_looping_recording_goes_on(peer, active_node, wait_for):
    start = time.time_ns() - 100_000_000_000
    send_pairs(peer, 5, start)
    peer.poses.clear()
    for n in range(6):  # jumps back: the first pair may be spent on noticing it
        peer.send_color(start + n * PERIOD)
        peer.send_depth(start + n * PERIOD)
    wait_for(lambda: len(peer.poses) >= 1, 10, "poses after the jump")


def test_every_image_is_accounted_for_when_the_node_is_too_slow(peer, active_node, wait_for):
    """A burst: the newest pair is localized, the replaced ones are counted."""
    start = time.time_ns() - 200 * PERIOD
    for n in range(200):
        peer.send_color(start + n * PERIOD)
        peer.send_depth(start + n * PERIOD)
    wait_for(
        lambda: peer.statuses and peer.statuses[-1].state == LocalizationStatus.STARVED, 20, "the end of the burst"
    )
    last = peer.statuses[-1]
    assert last.pairs == last.published + last.rejected + last.dropped_busy + last.dropped_failed
    assert last.published == len(peer.poses)
    waiting = last.color_received + last.depth_received - 2 * last.pairs - last.dropped_unpaired - last.dropped_invalid
    assert 0 <= waiting <= 10  # the queues of both topics


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_it_in_order(peer, active_node, number):
    send_pairs(peer, 2)
    start_ns = time.time_ns() - 50 * PERIOD
    for n in range(50):  # the worker is busy when the signal comes
        peer.send_color(start_ns + n * PERIOD)
        peer.send_depth(start_ns + n * PERIOD)
    started = time.monotonic()
    assert active_node.end(number) == 0
    assert time.monotonic() - started < 5
    assert "Traceback" not in active_node.text()
