# SPDX-License-Identifier: Apache-2.0
"""Recordings: what is written is what is read, whole or not at all, and as rosbag2 wants it."""

from __future__ import annotations

import json
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from status_message import status_of

from mvloc_ros import storage
from mvloc_ros.recordings import RecordingError, open_folder, read_color, topics
from mvloc_ros.recordings.bag_info import summarise
from mvloc_ros.recordings.bag_reader import BagReader, RawMessage
from mvloc_ros.recordings.bag_writer import BagWriter
from mvloc_ros.recordings.from_folder import select_frames, write_bag
from mvloc_ros.recordings.header_stamps import read_stamp, starts_with_header, with_stamp
from mvloc_ros.recordings.mcap_kind import mcap_problem
from mvloc_ros.recordings.message_builder import MessageBuilder
from mvloc_ros.recordings.typestore import new_typestore, require_type


def nanoseconds(message) -> int:
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec


@pytest.fixture(scope="module")
def store():
    return new_typestore()


@pytest.fixture
def bag(seven_scenes: Path, tmp_path: Path) -> Path:
    folder = open_folder(seven_scenes)
    write_bag(folder, select_frames(folder, "test"), tmp_path / "bag", progress=False)
    return tmp_path / "bag"


def test_images_poses_and_stamps_survive(bag: Path, seven_scenes: Path, depth_of):
    frames = open_folder(seven_scenes).test
    with BagReader(bag) as reader:
        messages = list(reader.messages())
    assert [stamp for _, stamp, _ in messages] == sorted(stamp for _, stamp, _ in messages)
    by_topic: dict[str, list] = {}
    for topic, stamp, message in messages:
        by_topic.setdefault(topic, []).append(message)
        assert topic == topics.TF_STATIC or nanoseconds(message) == stamp
    assert messages[0][0] == topics.TF_STATIC
    assert len(messages) == 1 + 5 * len(frames)
    for index, frame in enumerate(frames):
        color, depth = by_topic[topics.COLOR_IMAGE][index], by_topic[topics.DEPTH_IMAGE][index]
        assert nanoseconds(color) == nanoseconds(depth) == frame.stamp_ns
        assert (color.encoding, color.step, color.header.frame_id) == ("rgb8", 96, "camera_color_optical_frame")
        np.testing.assert_array_equal(color.data.reshape(24, 32, 3), read_color(frame.color))
        assert (depth.encoding, depth.step, depth.is_bigendian) == ("16UC1", 64, 0)
        expected = depth_of(index)
        expected[expected == 65535] = 0
        np.testing.assert_array_equal(depth.data.view("<u2").reshape(24, 32), expected)
        pose = by_topic[topics.GROUND_TRUTH][index]
        assert (nanoseconds(pose), pose.header.frame_id) == (frame.stamp_ns, "map")
        assert pose.pose.position.x == frame.T_map_camera[0, 3]
    info = by_topic[topics.DEPTH_INFO][0]
    assert (info.width, info.height, info.k[0]) == (32, 24, pytest.approx(585 / 20))
    static = by_topic[topics.TF_STATIC][0]
    assert {t.child_frame_id for t in static.transforms} == {topics.COLOR_FRAME, topics.DEPTH_FRAME}


def test_depth_in_other_units_becomes_millimetres(tum: Path, tmp_path: Path, depth_of):
    folder = open_folder(tum)
    write_bag(folder, list(folder.frames()), tmp_path / "bag", progress=False)
    with BagReader(tmp_path / "bag") as reader:
        depths = [message for _, _, message in reader.messages((topics.DEPTH_IMAGE,))]
        truth = [nanoseconds(message) for _, _, message in reader.messages((topics.GROUND_TRUTH,))]
    np.testing.assert_array_equal(depths[0].data.view("<u2").reshape(24, 32)[3:], depth_of(1)[3:])
    frames = list(folder.frames())
    assert [nanoseconds(message) for message in depths] == [f.depth_stamp_ns for f in frames if f.depth]
    assert truth == [frame.stamp_ns for frame in frames]


def test_metadata_is_what_rosbag2_reads(bag: Path):
    values = yaml.safe_load((bag / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    assert (values["version"], values["storage_identifier"]) == (8, "mcap")
    assert values["relative_file_paths"] == ["bag.mcap"]
    assert (bag / "bag.mcap").read_bytes()[:8] == b"\x89MCAP0\r\n"
    assert values["message_count"] == sum(entry["message_count"] for entry in values["topics_with_message_count"])
    qos = {}
    for entry in values["topics_with_message_count"]:
        topic = entry["topic_metadata"]
        assert topic["serialization_format"] == "cdr"
        qos[topic["name"]] = yaml.safe_load(topic["offered_qos_profiles"])[0]
    # rmw's numbers: durability 1 transient local, 2 volatile; reliability 1 reliable; history 1 keep last.
    assert (qos["/tf_static"]["durability"], qos["/tf_static"]["depth"]) == (1, 1)
    image = qos[topics.COLOR_IMAGE]
    assert (image["durability"], image["reliability"], image["history"], image["depth"]) == (2, 1, 1, 5)


@pytest.mark.parametrize(
    "name",
    [topics.IMAGE, topics.CAMERA_INFO, topics.POSE, topics.POSE_WITH_COVARIANCE, topics.TF_MESSAGE, topics.STATUS],
)
def test_type_hashes_are_those_of_the_installed_messages(name: str):
    package, _, kind = name.split("/")
    path = Path(sys.prefix) / "share" / package / "msg" / f"{kind}.json"
    if not path.is_file():
        pytest.skip(f"{package} is not installed in {sys.prefix}")
    hashes = {entry["type_name"]: entry["hash_string"] for entry in json.loads(path.read_text())["type_hashes"]}
    store = new_typestore()
    require_type(store, name)
    assert store.hash_rihs01(name) == hashes[name]


def test_the_definitions_are_in_the_recording(tmp_path: Path):
    """A reader that has never heard of the project's message reads it from the recording alone."""
    with BagWriter(tmp_path / "bag") as writer:
        writer.add_topic("/mvloc/status", topics.STATUS)
        writer.write("/mvloc/status", 5, status_of(writer.store, 5, reason="dark", published=7))
    from rosbags.highlevel import AnyReader

    with AnyReader([tmp_path / "bag"]) as reader:
        ((connection, _, data),) = reader.messages()
        message = reader.deserialize(data, connection.msgtype)
    assert message.reason == "dark"
    assert message.published == 7


def test_an_existing_recording_is_kept_unless_forced(bag: Path, seven_scenes: Path):
    folder = open_folder(seven_scenes)
    before = (bag / "bag.mcap").read_bytes()
    with pytest.raises(RecordingError, match=r"exists already.*--force"):
        write_bag(folder, folder.train, bag, progress=False)
    assert (bag / "bag.mcap").read_bytes() == before
    write_bag(folder, folder.train, bag, force=True, progress=False)
    assert summarise(bag).messages == 1 + 5 * 8


def test_a_link_to_a_recording_is_followed(bag: Path, seven_scenes: Path, tmp_path: Path):
    folder, link = open_folder(seven_scenes), tmp_path / "link"
    link.symlink_to(bag)
    write_bag(folder, folder.train, link, force=True, progress=False)
    assert link.is_symlink()
    assert summarise(bag).messages == summarise(link).messages == 1 + 5 * len(folder.train)
    assert not list(tmp_path.glob(".*"))


def test_an_interruption_at_the_last_step_keeps_the_old_recording(bag: Path, seven_scenes: Path, monkeypatch):
    before = summarise(bag)

    def interrupted(*_: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(storage, "_exchange", interrupted)
    folder = open_folder(seven_scenes)
    with pytest.raises(KeyboardInterrupt):
        write_bag(folder, folder.train, bag, force=True, progress=False)
    assert summarise(bag) == before


def test_what_is_no_recording_is_never_overwritten(seven_scenes: Path):
    with pytest.raises(RecordingError, match="is not a recording"):
        BagWriter(seven_scenes, force=True)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_recording_leaves_nothing(tmp_path: Path, error: type[BaseException]):
    def interrupted() -> None:
        with BagWriter(tmp_path / "out" / "bag") as writer:
            writer.add_topic("/a", topics.POSE)
            writer.write("/a", 1, MessageBuilder(writer.store).pose(1, "map", np.eye(4)))
            raise error

    with pytest.raises(error):
        interrupted()
    assert list((tmp_path / "out").iterdir()) == []


def test_a_damaged_image_ends_the_writing_and_leaves_nothing(seven_scenes: Path, tmp_path: Path):
    (seven_scenes / "seq-02" / "frame-000002.depth.png").write_bytes(b"")
    folder = open_folder(seven_scenes)
    with pytest.raises(RecordingError, match=r"frame-000002\.depth\.png is damaged \(the file is empty\)"):
        write_bag(folder, folder.test, tmp_path / "bag", progress=False)
    assert not (tmp_path / "bag").exists()


@pytest.mark.parametrize("kept", [0.0, 0.2, 0.5, 0.9, 0.999])
def test_a_recording_that_was_cut_short_is_named(bag: Path, kept: float):
    data = (bag / "bag.mcap").read_bytes()
    (bag / "bag.mcap").write_bytes(data[: int(kept * len(data))])
    with pytest.raises(RecordingError, match="damaged or incomplete") as error:
        summarise(bag)
    assert str(bag) in str(error.value)


def test_missing_recordings_and_topics_are_named(bag: Path, tmp_path: Path):
    with pytest.raises(RecordingError, match="There is no recording at"):
        summarise(tmp_path / "none")
    (tmp_path / "folder").mkdir()
    with pytest.raises(RecordingError, match=r"no metadata\.yaml"):
        summarise(tmp_path / "folder")
    with BagReader(bag) as reader:
        with pytest.raises(RecordingError, match=r"no message on /rgb.*has /camera/color"):
            reader.require("/rgb", topics.IMAGE)
        with pytest.raises(RecordingError, match="is of type sensor_msgs/msg/Image, not"):
            reader.require(topics.COLOR_IMAGE, topics.POSE)


def test_an_unknown_message_type_is_named():
    with pytest.raises(RecordingError, match="definition of the message type my_robot/msg/Secret"):
        require_type(new_typestore(), "my_robot/msg/Secret")


def test_a_chosen_rate_stretches_time_and_keeps_the_skew(tum: Path, tmp_path: Path):
    folder = open_folder(tum)
    frames = list(folder.frames())
    write_bag(folder, frames, tmp_path / "bag", rate_hz=10.0, progress=False)
    summary = {topic.name: topic for topic in summarise(tmp_path / "bag").topics}
    assert summary[topics.COLOR_IMAGE].rate_hz == pytest.approx(10.0)
    with BagReader(tmp_path / "bag") as reader:
        color = [raw.stamp_ns for raw in reader.raw((topics.COLOR_IMAGE,))]
        depth = [raw.stamp_ns for raw in reader.raw((topics.DEPTH_IMAGE,))]
    assert color[0] == frames[0].stamp_ns
    assert depth[0] - color[0] == frames[0].depth_stamp_ns - frames[0].stamp_ns


def test_pauses_between_sequences_are_one_second(seven_scenes: Path, tmp_path: Path):
    folder = open_folder(seven_scenes)
    write_bag(folder, folder.train, tmp_path / "cut", progress=False)
    write_bag(folder, folder.train, tmp_path / "kept", keep_pauses=True, progress=False)
    gaps = [
        next(t for t in summarise(tmp_path / name).topics if t.name == topics.COLOR_IMAGE) for name in ("cut", "kept")
    ]
    assert (gaps[0].gaps, gaps[0].longest_gap_s) == (1, pytest.approx(1.0))
    assert gaps[1].longest_gap_s == pytest.approx(2.1)


def test_one_sequence_can_be_chosen(seven_scenes: Path):
    folder = open_folder(seven_scenes)
    assert [f.index for f in select_frames(folder, "train", "seq-03")] == [0, 1, 2, 3]
    with pytest.raises(RecordingError, match="no sequence 'seq-02' in the split 'train'; it has seq-01, seq-03"):
        select_frames(folder, "train", "seq-02")


def test_info_shows_rates_and_gaps(bag: Path):
    text = summarise(bag).text()
    assert "21 messages, 0.100 s" in text
    assert "30.00 Hz" in text


@given(stamp=st.integers(0, 2**31 * 10**9 - 1), moved=st.integers(0, 2**31 * 10**9 - 1))
def test_stamps_are_read_and_replaced_in_place(store, stamp: int, moved: int):
    assert starts_with_header(store, topics.POSE)
    assert not starts_with_header(store, topics.TF_MESSAGE)
    data = bytes(store.serialize_cdr(MessageBuilder(store).pose(stamp, "map", np.eye(4)), topics.POSE))
    assert read_stamp(data) == stamp
    changed = with_stamp(data, moved)
    assert nanoseconds(store.deserialize_cdr(changed, topics.POSE)) == moved
    assert with_stamp(changed, stamp) == data


def test_a_recording_without_messages_is_said_to_be_empty(tmp_path: Path):
    with BagWriter(tmp_path / "bare"):
        pass
    with BagWriter(tmp_path / "silent") as writer:
        writer.add_topic(topics.COLOR_IMAGE, topics.IMAGE)
    for name in ("bare", "silent"):
        said = summarise(tmp_path / name).text()
        assert "it holds no message" in said
        assert "from 0.000" not in said
        with BagReader(tmp_path / name) as reader, pytest.raises(RecordingError, match="contains no messages"):
            reader.require(topics.COLOR_IMAGE, topics.IMAGE)
    assert topics.COLOR_IMAGE in said


def test_a_topic_that_was_recorded_without_messages_is_told_from_one_that_was_not(tmp_path: Path):
    with BagWriter(tmp_path / "bag") as writer:
        for topic in (topics.COLOR_IMAGE, topics.DEPTH_IMAGE):
            writer.add_topic(topic, topics.IMAGE)
        depth = MessageBuilder(writer.store).depth_image(5, "depth", np.zeros((4, 4), np.uint16))
        writer.write(topics.DEPTH_IMAGE, 5, depth)
    with BagReader(tmp_path / "bag") as reader:
        with pytest.raises(RecordingError, match=f"{topics.COLOR_IMAGE}, although the topic was recorded"):
            reader.require(topics.COLOR_IMAGE, topics.IMAGE)
        with pytest.raises(RecordingError, match=f"no message on /rgb .it has {topics.DEPTH_IMAGE}"):
            reader.require("/rgb", topics.IMAGE)


def mcap_file(path: Path, profile: str, channels: dict[str, tuple[str, str]], summary: bool = True) -> Path:
    """A finished mcap without messages: topic -> (encoding of messages, of the schema)."""

    def record(opcode: int, content: bytes) -> bytes:
        return struct.pack("<BQ", opcode, len(content)) + content

    def text(value: str) -> bytes:
        return struct.pack("<I", len(value)) + value.encode()

    records = b""
    for number, (topic, (encoding, schema)) in enumerate(channels.items(), start=1):
        records += record(
            3, struct.pack("<H", number) + text("std_msgs/msg/String") + text(schema) + text("string data")
        )
        records += record(4, struct.pack("<HH", number, number) + text(topic) + text(encoding) + struct.pack("<I", 0))
    magic = b"\x89MCAP0\r\n"
    data = magic + record(1, text(profile) + text("test"))
    start = len(data) + (9 + 4) if summary else 0
    data += (record(15, bytes(4)) if summary else b"") + records
    path.write_bytes(data + record(2, struct.pack("<QQI", start, 0, 0)) + magic)
    return path


ROS2 = ("cdr", "ros2msg")


@pytest.mark.parametrize("summary", [True, False])
@pytest.mark.parametrize(
    ("profile", "channels", "sentence"),
    [
        ("ros1", {"/a": ("ros1", "ros1msg")}, r"mcap of ROS 1 messages\): read the \.bag file"),
        ("", {"/a": ("json", "jsonschema")}, r"no topic that can be read \(1 are skipped; /a: .* 'json', not 'cdr'"),
        ("ros2", {"/a": ("cdr", "ros1msg")}, r"\(1 are skipped; /a: its type is described in 'ros1msg', which"),
    ],
)
def test_an_mcap_of_another_kind_is_called_so(tmp_path: Path, profile: str, channels, sentence: str, summary: bool):
    path = mcap_file(tmp_path / "a.mcap", profile, channels, summary)
    with pytest.raises(RecordingError, match=sentence) as caught:
        summarise(path)
    assert "damaged" not in str(caught.value)


@pytest.mark.parametrize("summary", [True, False])
def test_an_mcap_of_ros2_is_not_accused(tmp_path: Path, summary: bool):
    assert mcap_problem(mcap_file(tmp_path / "a.mcap", "ros2", {"/a": ROS2}, summary)) == ("", "")


def test_an_unfinished_mcap_can_be_recovered(bag: Path):
    file = bag / "bag.mcap"
    assert mcap_problem(file) == ("", "")
    file.write_bytes(file.read_bytes()[:-50])
    with pytest.raises(RecordingError, match=r"bag\.mcap is truncated.*`mcap recover .*bag\.mcap -o NEW\.mcap`"):
        summarise(bag)
    (bag / "metadata.yaml").unlink()
    with pytest.raises(
        RecordingError, match=r"no metadata\.yaml.*`mcap recover .*; then write it with `ros2 bag reindex"
    ):
        summarise(bag)


def test_lost_messages_are_said(bag: Path):
    assert "messages lost" not in summarise(bag).text()
    content = yaml.safe_load((bag / "metadata.yaml").read_text())
    for entry in content["rosbag2_bagfile_information"]["topics_with_message_count"]:
        if entry["topic_metadata"]["name"] == topics.COLOR_IMAGE:
            entry["message_count"] += 3
    (bag / "metadata.yaml").write_text(yaml.safe_dump(content))
    text = summarise(bag).text()
    assert f"messages lost: 3 of 7 (43 %), {topics.COLOR_IMAGE}" in text
    assert text.count("messages lost") == 1


def test_a_definition_that_cannot_be_read_does_not_end_the_others(tmp_path: Path):
    path = mcap_file(tmp_path / "odd.mcap", "ros2", {"/odd": ROS2})
    odd = path.read_bytes().replace(b"std_msgs/msg/String", b"our_msgs/msg/Things")
    path.write_bytes(odd.replace(b"string data", b"string ?ata"))
    assert [topic.name for topic in summarise(path).topics] == ["/odd"]
    with BagReader(path) as reader, pytest.raises(RecordingError, match="our_msgs/msg/Things"):
        reader.decode(RawMessage("/odd", "our_msgs/msg/Things", 0, b""))
