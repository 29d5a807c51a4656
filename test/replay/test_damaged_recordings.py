# SPDX-License-Identifier: Apache-2.0
"""Every command that reads recordings refuses one that lost messages, and with --allow-damage says how many."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from synthetic_bag import Recording, add_pose_topic

from mvloc_ros.cli import main
from mvloc_ros.recordings import RecordingError, topics
from mvloc_ros.recordings.bag_reader import BagReader
from mvloc_ros.recordings.bag_writer import BagWriter
from mvloc_ros.replay.live import NodeOptions, run_live
from mvloc_ros.replay.offline import OfflineOptions, run_offline
from mvloc_ros.replay.player import PlayOptions, play

SENTENCE = r"is damaged \(messages lost: 5 of 13 \(38 %\), "
FRAMES = 8


def lose(bag: Path, topic: str, count: int = 5) -> Path:
    """Let the metadata name more messages of a topic than there are."""
    content = yaml.safe_load((bag / "metadata.yaml").read_text())
    (entry,) = [
        entry
        for entry in content["rosbag2_bagfile_information"]["topics_with_message_count"]
        if entry["topic_metadata"]["name"] == topic
    ]
    entry["message_count"] += count
    (bag / "metadata.yaml").write_text(yaml.safe_dump(content))
    return bag


@pytest.fixture
def live(camera_bag: Callable[..., Path], tmp_path: Path) -> tuple[Path, Path]:
    """A recording that was played, and that of a node which answers with the truth."""
    played = camera_bag("played", frames=FRAMES)
    with BagReader(played) as reader, BagWriter(tmp_path / "live") as writer:
        for topic in (topics.GROUND_TRUTH, "/mvloc/pose"):
            writer.add_topic(topic, topics.POSE)
        for raw in reader.raw((topics.GROUND_TRUTH,)):
            for topic in (topics.GROUND_TRUTH, "/mvloc/pose"):
                writer.write_raw(topic, raw.stamp_ns, raw.data)
    return played, tmp_path / "live"


@pytest.mark.parametrize("topic", [topics.COLOR_IMAGE, topics.DEPTH_IMAGE, topics.GROUND_TRUTH])
def test_replay(camera_bag, tiny_bundle: Path, tmp_path: Path, topic: str, capsys: pytest.CaptureFixture[str]):
    bag = lose(camera_bag(frames=FRAMES), topic)
    out = tmp_path / "out"
    words = ["replay", str(bag), "--model", str(tiny_bundle), "--out", str(out), "--threads", "1"]
    assert main(words) == 2
    assert f"messages lost: 5 of 13 (38 %), {topic}" in capsys.readouterr().err
    assert not out.exists()
    assert main([*words, "--allow-damage"]) == 0
    assert f"note: messages lost: 5 of 13 (38 %), {topic}" in capsys.readouterr().out
    report = json.loads((out / "report.json").read_text())
    assert report["messages_lost"] == [{"topic": topic, "read": 8, "stated": 13}]
    assert f"messages lost: 5 of 13 (38 %), {topic}" in report["notes"]


def test_a_whole_recording_is_reported_without_losses(camera_bag, tiny_bundle: Path):
    run = run_offline(camera_bag(frames=FRAMES), tiny_bundle, OfflineOptions(progress=False))
    assert run.losses == ()
    assert not any("lost" in note for note in run.notes)


@pytest.mark.parametrize(("which", "topic"), [(0, topics.COLOR_IMAGE), (0, topics.GROUND_TRUTH), (1, "/mvloc/pose")])
def test_evaluate(live, tmp_path: Path, capsys: pytest.CaptureFixture[str], which: int, topic: str, tiny_bundle: Path):
    played, recorded = live
    lose(live[which], topic)
    words = ["evaluate", str(recorded), "--played-bag", str(played), "--model", str(tiny_bundle)]
    words += ["--out", str(tmp_path / "out")]
    assert main(words) == 2
    assert f"messages lost: 5 of 13 (38 %), {topic}" in capsys.readouterr().err
    assert main([*words, "--allow-damage"]) == 0
    said = f"messages lost: 5 of 13 (38 %), {topic}"
    assert f"note: {'the played recording: ' if which == 0 else ''}{said}" in capsys.readouterr().out
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["messages_lost"] == [{"topic": topic, "read": 8, "stated": 13}]


def test_live_refuses_before_anything_is_started(camera_bag, tiny_bundle: Path, tmp_path: Path):
    bag = lose(camera_bag(frames=FRAMES), topics.DEPTH_IMAGE)
    with pytest.raises(RecordingError, match=SENTENCE):
        run_live(bag, tiny_bundle, tmp_path / "out", NodeOptions())
    assert not (tmp_path / "out").exists()


def test_play_says_it_at_the_end(camera_bag):
    bag = lose(camera_bag(frames=2), topics.DEPTH_IMAGE)
    with pytest.raises(RecordingError, match=r"messages lost: 5 of 7 \(71 %\), /camera/depth/image_raw"):
        play(bag, PlayOptions(rate=20.0))
    report = play(bag, PlayOptions(rate=20.0, allow_damage=True))
    assert report.sent[topics.DEPTH_IMAGE] == 2
    assert "note: messages lost: 5 of 7 (71 %), /camera/depth/image_raw" in report.text()


def test_to_dataset(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    recording = Recording()
    recording.add_images()
    add_pose_topic(recording)
    bag = recording.write(tmp_path / "bag")
    with BagReader(bag) as reader:
        (poses,) = (
            name for name, topic in reader.topics.items() if topic.type.startswith(("geometry_msgs", "nav_msgs"))
        )
    lose(bag, poses, 100)
    words = ["bag", "to-dataset", str(bag), "--out", str(tmp_path / "out")]
    assert main(words) == 2
    assert "messages lost: 100 of" in capsys.readouterr().err
    assert not list(tmp_path.glob("*out*"))
    assert main([*words, "--allow-damage"]) == 0
    assert "note: messages lost: 100 of" in capsys.readouterr().out
