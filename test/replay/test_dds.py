# SPDX-License-Identifier: Apache-2.0
"""Player and recorder as processes, over real DDS."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import numpy as np
import pytest

from mvloc_ros.recordings import topics
from mvloc_ros.recordings.bag_info import summarise
from mvloc_ros.recordings.bag_reader import BagReader, RawMessage
from mvloc_ros.recordings.header_stamps import read_stamp

pytestmark = pytest.mark.dds
PLAYED = (topics.COLOR_IMAGE, topics.DEPTH_IMAGE, topics.GROUND_TRUTH)
WAITS = [word for topic in PLAYED for word in ("--wait-topic", topic)]


def read(path: Path) -> dict[str, list[RawMessage]]:
    with BagReader(path) as reader:
        messages: dict[str, list[RawMessage]] = {topic: [] for topic in reader.topics}
        for message in reader.raw():
            messages[message.topic].append(message)
    return messages


def play_and_record(verb, bag: Path, out: Path, *options: str) -> dict[str, list[RawMessage]]:
    recorder = verb("record", "--out", out, "--topics", *PLAYED)
    player = verb("play", bag, *WAITS, *options)
    assert player.wait() == 0, player.text()
    recorder.process.send_signal(signal.SIGINT)
    assert recorder.wait() == 0, recorder.text()
    return read(out)


def test_every_vga_frame_arrives_bit_identical_and_in_time(verb, camera_bag, tmp_path: Path):
    bag = camera_bag(frames=30, size=(480, 640))
    sent, received = read(bag), play_and_record(verb, bag, tmp_path / "out")
    for topic in PLAYED:
        assert [m.data for m in received[topic]] == [m.data for m in sent[topic]], topic
    times = np.array([m.stamp_ns for m in received[topics.COLOR_IMAGE]])
    due = np.array([m.stamp_ns for m in sent[topics.COLOR_IMAGE]])
    late = (times - due) / 1e6
    # No drift: the schedule is absolute (test_timeline.py), so that what is late once is not late for ever. A busy
    # machine makes single frames late; the least late ones of either half show the schedule.
    assert np.min(late[15:]) - np.min(late[:15]) < 20.0


def test_restamping_moves_images_and_truth_by_one_offset_to_now(verb, camera_bag, tmp_path: Path):
    bag = camera_bag(frames=12)
    sent, received = read(bag), play_and_record(verb, bag, tmp_path / "out", "--restamp", "now")
    offsets = set()
    for topic in PLAYED:
        assert len(received[topic]) == len(sent[topic]) == 12
        for before, after in zip(sent[topic], received[topic], strict=True):
            offsets.add(read_stamp(after.data) - read_stamp(before.data))
            assert after.data[12:] == before.data[12:], "only the stamp changes"
            assert -1e6 < after.stamp_ns - read_stamp(after.data) < 2e9, "the stamp is the time of publication"
    assert len(offsets) == 1
    assert abs(time.time_ns() - (offsets.pop() + sent[topics.COLOR_IMAGE][0].stamp_ns)) < 120e9


def test_the_clock_follows_the_recording(verb, camera_bag, tmp_path: Path):
    bag = camera_bag(frames=30)
    recorder = verb("record", "--out", tmp_path / "out", "--topics", "/clock")
    player = verb("play", bag, "--clock", "--rate", "2", "--wait-topic", "/clock")
    assert player.wait() == 0, player.text()
    recorder.process.send_signal(signal.SIGTERM)
    assert recorder.wait() == 0, recorder.text()
    with BagReader(bag) as reader, BagReader(tmp_path / "out") as clocks:
        start, end = reader.start_ns, reader.end_ns
        ticks = [(m.clock.sec * 10**9 + m.clock.nanosec, wall) for _, wall, m in clocks.messages()]
    times, walls = np.array([tick for tick, _ in ticks]), np.array([wall for _, wall in ticks])
    assert np.all(np.diff(times) >= 0)
    assert times[0] == start, "waiting for subscribers shows the beginning"
    assert times[-1] == end
    moving = (times > start) & (times < end)
    assert np.sum(moving) > 40, "0.5 s at 100 Hz"
    # Least squares: bag seconds a wall second.
    assert np.polyfit(walls[moving] - walls[0], times[moving] - times[0], 1)[0] == pytest.approx(2.0, rel=0.1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_player_at_once_and_properly(verb, camera_bag, tmp_path: Path, wait_for, number: int):
    player = verb("play", camera_bag(frames=300), "--loop")
    wait_for(lambda: "playing" in player.text(), 20, "the player")
    if number == signal.SIGINT:
        # One who comes late still gets what is latched.
        late = verb("record", "--out", tmp_path / "out", "--topics", topics.TF_STATIC, "--for", "4")
        assert late.wait() == 0, late.text()
        assert len(read(tmp_path / "out")[topics.TF_STATIC]) == 1
    begin = time.monotonic()
    player.process.send_signal(number)
    assert player.wait(5) == 0, player.text()
    assert time.monotonic() - begin < 1.5
    assert "interrupted" in player.text()


def test_nobody_listening_is_said(verb, camera_bag):
    player = verb("play", camera_bag(), "--wait-for-subscribers", "--wait-deadline", "0.5")
    assert player.wait() == 2
    assert "Nobody subscribed to /camera/color/image_raw, /camera/depth/image_raw within 0.5 s" in player.text()


def test_clock_and_restamp_exclude_each_other(verb, camera_bag):
    player = verb("play", camera_bag(), "--clock", "--restamp", "now")
    assert player.wait() == 2
    assert "exclude each other" in player.text()


def test_a_recording_of_silence_is_whole(verb, tmp_path: Path):
    recorder = verb("record", "--out", tmp_path / "out", "--for", "0.5")
    assert recorder.wait() == 0, recorder.text()
    assert summarise(tmp_path / "out").messages == 0
    assert "0  /mvloc/pose" in recorder.text()
    again = verb("record", "--out", tmp_path / "out", "--for", "0.5")
    assert again.wait() == 2
    assert "exists already" in again.text()
